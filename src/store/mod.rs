//! The store: SQLite behind one writer thread, readers apart.
//!
//! Implements [`JobStore`] for the engine and [`Accounts`] for the API. It judges whether a write is possible, and
//! nothing else: what to write is decided by the engine. Map: `writer` commits groups and chunks, `reader` answers from
//! snapshots, `decision` and `rows` are what both apply, `schema` opens files and migrates them.
//!
//! [`JobStore`]: bunraku_actors::ports::JobStore
//! [`Accounts`]: crate::api::accounts::Accounts

mod accounts;
mod backup;
mod columns;
mod decision;
mod fault;
mod high_water;
mod job_store;
mod known_tokens;
mod names;
mod place;
mod reader;
mod records;
mod request;
mod restore;
mod retention;
mod rows;
mod schema;
mod sealed;
mod shared;
mod specs;
mod writer;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use bunraku_actors::ports::StoreError;
use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

pub use self::backup::{BackupError, UNFINISHED, backup, backup_unless};
use self::fault::Fault;
pub use self::fault::OpenError;
use self::high_water::HighWater;
use self::reader::Readers;
use self::request::{Piece, Reply, Request, WORK_ROWS};
pub use self::restore::{Restored, restore};
pub use self::retention::{Cutoffs, Pruned, pruned_result};
pub use self::sealed::{KeyError, SecretKey};
use self::shared::Shared;
use self::writer::{Outstanding, QUEUE_CAPACITY, Writer};

/// How a store is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Reading connections; reads beyond so many at once wait.
    pub readers: usize,
    /// How long a write waits for a lock of another process before the store counts as in trouble.
    pub busy_timeout: Duration,
    /// The sender of our requests to agents, taken when the database is new; afterwards the first one stays.
    pub sender_uri: String,
    /// How long a run that was going on keeps its node and its place when its job turns out to be unreadable.
    pub abandoned_hold: Duration,
    /// Seals sensitive parameters; without it jobs that have some are refused.
    pub secrets: Option<SecretKey>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            readers: 4,
            busy_timeout: Duration::from_secs(5),
            sender_uri: "pcp://localhost/orchestrator".to_owned(),
            abandoned_hold: Duration::from_secs(600),
            secrets: None,
        }
    }
}

/// Whether a file is a database that this release can open. Changes nothing.
///
/// # Errors
/// See [`OpenError`].
pub fn check(path: &Path) -> Result<(), OpenError> {
    schema::check_file(path)
}

/// The durable memory of the service. Cheap to clone; the file is open until [`Store::close`] or the last clone's drop.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// `None` only while being dropped.
    requests: Option<mpsc::Sender<Request>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
    readers: Readers,
    reader_count: usize,
    sender_uri: String,
    outstanding: watch::Receiver<Outstanding>,
    touched: Mutex<HashMap<Uuid, DateTime<Utc>>>,
}

impl Store {
    /// Opens the database at `path`, makes it if it is not there, and brings its schema up to date (after a copy).
    ///
    /// # Errors
    /// See [`OpenError`]: the file belongs to something else, is newer than this release, or cannot be used.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let path = path.as_ref();
        restore::finish(path)?;
        restore::refuse_mixture(path)?;
        let connection = schema::open_writer(path, options.busy_timeout)?;
        let unread = |source| OpenError::Sqlite { path: path.to_owned(), doing: "read", source };
        let sender_uri = schema::fix_setting(&connection, "sender_uri", &options.sender_uri).map_err(unread)?;
        let high_water = HighWater::open(path);
        restore::notice_older(&connection, path, &high_water).map_err(unread)?;
        let readers = Readers::open(path, options.readers, options.busy_timeout)?;
        let shared = Arc::new(Shared::new(options.secrets));
        let hold = TimeDelta::from_std(options.abandoned_hold).unwrap_or(TimeDelta::MAX / 4);
        let (writer, outstanding) =
            Writer::new(connection, path, high_water, Arc::clone(&shared), hold).map_err(|fault| match fault {
                Fault::Sqlite(source) => unread(source),
                other => OpenError::Unreadable { path: path.to_owned(), reason: other.to_string() },
            })?;
        let (requests, queue) = mpsc::channel(QUEUE_CAPACITY);
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run(queue));
        let thread =
            thread.map_err(|source| OpenError::Io { path: path.to_owned(), doing: "start the writer of", source })?;
        Ok(Self(Arc::new(Inner {
            requests: Some(requests),
            thread: Mutex::new(Some(thread)),
            shared,
            readers,
            reader_count: options.readers,
            sender_uri,
            outstanding,
            touched: Mutex::default(),
        })))
    }

    /// The sender of our requests to agents, fixed when the database was made: answers of runs that were started long
    /// ago still find us.
    #[must_use]
    pub fn sender_uri(&self) -> &str {
        &self.0.sender_uri
    }

    /// How many requests are handed in and not committed.
    #[must_use]
    pub fn queue_depth(&self) -> usize {
        let requests = self.0.requests();
        requests.max_capacity() - requests.capacity() + self.0.shared.waiting.load(Ordering::Relaxed)
    }

    /// Commits what was handed in before, then closes the file. Everything handed in later fails. Idempotent.
    pub async fn close(&self) {
        // An error means that the thread has ended already.
        let _ = self.0.requests().send(Request::Close).await;
        let thread = self.0.thread.lock().take();
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the writer thread of the store did not end well");
            }
        }
        self.0.readers.close(self.0.reader_count).await;
    }

    /// Hands a request to the writer and waits for its answer; waits for room when the queue is full.
    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.0.requests().send(request(reply)).await;
        sent.map_err(|_| self.ended())?;
        answer.await.map_err(|_| self.ended())?
    }

    /// Why the writer gives no answer.
    fn ended(&self) -> StoreError {
        StoreError::Failed(self.0.shared.trouble().unwrap_or_else(|| "it is closed".to_owned()))
    }

    /// Has the writer make a small change, with everything that it decides on read there and then.
    async fn change<T: Send + 'static>(
        &self,
        body: impl FnOnce(&rusqlite::Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask(|reply| Request::Work(Piece::boxed(WORK_ROWS, false, body, reply))).await
    }

    /// As [`Store::change`], of up to so many rows.
    async fn change_many<T: Send + 'static>(
        &self,
        rows: usize,
        body: impl FnOnce(&rusqlite::Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask(|reply| Request::Work(Piece::boxed(rows, false, body, reply))).await
    }

    /// As [`Store::change`], of tokens or what they may do.
    async fn change_tokens<T: Send + 'static>(
        &self,
        body: impl FnOnce(&rusqlite::Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask(|reply| Request::Work(Piece::boxed(WORK_ROWS, true, body, reply))).await
    }

    async fn read<T: Send + 'static>(
        &self,
        body: impl FnOnce(&rusqlite::Connection, &specs::Specs) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(&self.0.shared);
        let read = move |connection: &rusqlite::Connection| {
            body(connection, &shared.specs).inspect_err(|fault| shared.note_damage(fault))
        };
        self.0.readers.read(read).await
    }
}

impl Inner {
    fn requests(&self) -> &mpsc::Sender<Request> {
        self.requests.as_ref().expect("it is taken only by drop")
    }
}

impl Drop for Inner {
    /// Without [`Store::close`]: lets the writer finish what it has, so that the file can be opened again at once.
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the writer thread of the store did not end well");
        }
    }
}
