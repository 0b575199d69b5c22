//! Reads: a pool of connections of their own, each call one consistent snapshot, none held while a client is awaited.

mod events;
mod jobs;
mod nodes;
mod tokens;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bunraku_actors::ports::StoreError;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

pub(super) use self::events::{all_events, events, events_of, last_event, newest_event};
pub(super) use self::jobs::{holds, jobs, specs_of, unfinished};
pub(super) use self::nodes::{brief, nodes};
pub(super) use self::tokens::{token, tokens};
use super::fault::{Fault, OpenError};
use super::schema;

/// The most nodes or events that one read returns, whatever it was asked for.
pub(super) const PAGE: u32 = 1_000;

/// A page of nodes or events ends early when what its runs left behind takes up so many bytes, unpacked. So much is held
/// for every client who is slow to read.
pub(super) const PAGE_BYTES: usize = 1024 * 1024;

/// A fixed number of reading connections. A call that finds none free waits for its turn.
#[derive(Debug)]
pub(super) struct Readers {
    free: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

/// A connection on loan; goes back to the pool also when the reading code panics.
struct Loan {
    connection: Option<Connection>,
    free: Arc<Mutex<Vec<Connection>>>,
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.free.lock().extend(self.connection.take());
    }
}

/// A read transaction: all that is read in it is of one moment. Its statements stay prepared, which those of rusqlite's own
/// do not, and which a short read would notice.
struct Moment<'a>(&'a Connection);

impl<'a> Moment<'a> {
    fn of(connection: &'a Connection) -> Result<Self, Fault> {
        connection.prepare_cached("BEGIN DEFERRED")?.execute([])?;
        Ok(Self(connection))
    }
}

impl Drop for Moment<'_> {
    /// Nothing is written, so rolling back is the right end.
    fn drop(&mut self) {
        let ended = self.0.prepare_cached("ROLLBACK").and_then(|mut end| end.execute([]));
        if let Err(error) = ended {
            tracing::warn!(%error, "a read did not end well");
        }
    }
}

impl Readers {
    pub(super) fn open(path: &Path, count: usize, busy_timeout: Duration) -> Result<Self, OpenError> {
        let count = count.max(1);
        let connections: Result<Vec<_>, _> = (0..count).map(|_| schema::open_reader(path, busy_timeout)).collect();
        Ok(Self { free: Arc::new(Mutex::new(connections?)), permits: Arc::new(Semaphore::new(count)) })
    }

    /// Runs `body` on a thread for blocking work, inside one read transaction.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        body: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| StoreError::Failed("it is closed".to_owned()))?;
        let free = Arc::clone(&self.free);
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let connection = free.lock().pop();
            let loan = Loan { connection, free };
            let connection = loan.connection.as_ref().expect("there is a connection for every permit");
            let _moment = Moment::of(connection)?;
            body(connection)
        });
        match read.await {
            Ok(result) => result.map_err(StoreError::from),
            Err(_) => Err(StoreError::Failed("a read broke down".to_owned())),
        }
    }

    /// Refuses further reads, waits for those under way, and closes the connections.
    pub(super) async fn close(&self, count: usize) {
        let all = u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        if let Ok(permits) = self.permits.acquire_many(all).await {
            permits.forget();
        }
        self.permits.close();
        self.free.lock().clear();
    }
}
