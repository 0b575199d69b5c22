//! What the agent knows of every run: one directory per transaction, which outlives the agent and the machine's crash.
//!
//! | file | content |
//! | --- | --- |
//! | `metadata` | who asked for what, and how far it is; never a parameter |
//! | `pid` | created once: by the wrapper that starts the work (process id, start time, boot), or `void` by whoever made sure that none starts |
//! | `run.json`, `input` | the command, gone once it is read |
//! | `child` | the work's process, likewise |
//! | `stdout`, `stderr` | raw output, as long as what was written; what lies far beyond the limit is a hole |
//! | `stdout.uncounted`, … | stands there when that length is too short: the file system makes no holes |
//! | `exitcode` | written last |
//! | `canceled` | the work was told to end |
//! | `outcome.json` | what the final answer says |
//!
//! A directory appears with its metadata in it or not at all. Everything here blocks.

mod ledger;
mod metadata;
mod purge;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use uuid::Uuid;

pub(super) use ledger::Ledger;
pub(super) use metadata::{Metadata, Outcome, RunStatus};

use super::files::{self, SHARED, make_directory, write_atomic};

const LOCK: &str = "lock";
const METADATA: &str = "metadata";
const OUTCOME: &str = "outcome.json";
const CANCELED: &str = "canceled";
/// Who may start the work; see the module's table.
pub(super) const PID: &str = "pid";
/// Stands in [`PID`] when the work never starts.
pub(super) const VOID: &str = "void";
/// Begins the names of directories that are not complete yet.
const UNFINISHED: &str = ".new-";

/// The spool directory. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Spool {
    root: PathBuf,
    id: Uuid,
    /// The lock file that this process holds.
    lock: Inode,
}

/// Which file it is, whatever stands at its path by now: device and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Inode(u64, u64);

impl Inode {
    fn of(metadata: &fs::Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }
}

/// Held while an agent uses the spool; two agents on one spool could start a run twice.
#[derive(Debug)]
pub(super) struct SpoolLock {
    file: fs::File,
}

impl Drop for SpoolLock {
    fn drop(&mut self) {
        // Closing would not do: a process that is being started holds a copy of the descriptor for a moment.
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "cannot unlock the spool");
        }
    }
}

/// Why the spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpoolError {
    #[error("cannot use spool_dir {path}: {source}")]
    Unusable { path: PathBuf, source: io::Error },
    #[error("spool_dir {path} is in use by another agent")]
    InUse { path: PathBuf },
}

impl Spool {
    /// Opens or creates the spool and takes it for this process.
    pub(super) fn open(root: &Path) -> Result<(Self, SpoolLock), SpoolError> {
        let unusable = |source| SpoolError::Unusable { path: root.to_owned(), source };
        make_directory(root).map_err(unusable)?;
        // The work runs elsewhere and is given absolute paths.
        let absolute = fs::canonicalize(root).map_err(unusable)?;
        let file = fs::File::create(absolute.join(LOCK)).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(SpoolError::InUse { path: root.to_owned() }),
            Err(fs::TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let id = read_or_create_id(&absolute.join("id")).map_err(unusable)?;
        let lock = Inode::of(&file.metadata().map_err(unusable)?);
        let spool = Self { root: absolute, id, lock };
        spool.remove_unfinished().map_err(unusable)?;
        Ok((spool, SpoolLock { file }))
    }

    /// The random name of this spool: new when the spool is new. Its first part tells when that was.
    pub(super) fn id(&self) -> Uuid {
        self.id
    }

    /// Whether the directory is still the one that was opened. Where somebody removed or replaced it, what is not in it may
    /// have run all the same, and another agent may be using it.
    pub(super) fn is_in_place(&self) -> bool {
        fs::metadata(self.root.join(LOCK)).is_ok_and(|found| Inode::of(&found) == self.lock)
    }

    /// The directory that holds the spool's own files.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of a transaction, whether or not it exists.
    pub(super) fn directory(&self, transaction: Uuid) -> PathBuf {
        self.root.join(transaction.to_string())
    }

    /// Whether the transaction is known.
    pub(super) fn knows(&self, transaction: Uuid) -> bool {
        self.directory(transaction).exists()
    }

    /// Makes a transaction known, durably: directory and metadata at once. `false` when it is known already.
    pub(super) fn create(&self, transaction: Uuid, metadata: &Metadata) -> io::Result<bool> {
        if self.knows(transaction) {
            return Ok(false);
        }
        let unfinished = self.root.join(format!("{UNFINISHED}{transaction}"));
        make_directory(&unfinished)?;
        write_atomic(&unfinished.join(METADATA), &metadata.encode(), SHARED)?;
        fs::rename(&unfinished, self.directory(transaction))?;
        files::sync_directory(&self.root)?;
        Ok(true)
    }

    /// The metadata of a known transaction.
    pub(super) fn metadata(&self, transaction: Uuid) -> io::Result<Metadata> {
        let bytes = fs::read(self.directory(transaction).join(METADATA))?;
        serde_json::from_slice(&bytes).map_err(io::Error::other)
    }

    /// Replaces the metadata.
    pub(super) fn write_metadata(&self, transaction: Uuid, metadata: &Metadata) -> io::Result<()> {
        write_atomic(&self.directory(transaction).join(METADATA), &metadata.encode(), SHARED)
    }

    /// What the final answer says, if the transaction is over.
    pub(super) fn outcome(&self, transaction: Uuid) -> io::Result<Option<Outcome>> {
        match fs::read(self.directory(transaction).join(OUTCOME)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Records the end of a transaction: the outcome first, then the metadata that says that it is over.
    pub(super) fn finish(&self, transaction: Uuid, outcome: &Outcome) -> io::Result<Metadata> {
        write_atomic(&self.directory(transaction).join(OUTCOME), &outcome.encode(), SHARED)?;
        let mut metadata = self.metadata(transaction)?;
        metadata.end(outcome);
        self.write_metadata(transaction, &metadata)?;
        Ok(metadata)
    }

    /// Records that the final answer was sent.
    pub(super) fn mark_notified(&self, transaction: Uuid) -> io::Result<()> {
        let mut metadata = self.metadata(transaction)?;
        metadata.notified = true;
        self.write_metadata(transaction, &metadata)
    }

    /// Records that the work is told to end, before it is.
    pub(super) fn mark_canceled(&self, transaction: Uuid) -> io::Result<()> {
        files::claim(&self.directory(transaction).join(CANCELED), "").map(|_| ())
    }

    /// Whether the work was told to end.
    pub(super) fn is_canceled(&self, transaction: Uuid) -> bool {
        self.directory(transaction).join(CANCELED).exists()
    }

    /// All known transactions, in the order of their ids.
    pub(super) fn transactions(&self) -> io::Result<Vec<Uuid>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            found.extend(name.to_str().and_then(parse_transaction));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Directories of a crash in [`Spool::create`]: nothing was started for them.
    fn remove_unfinished(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(UNFINISHED)) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

/// A transaction id is a UUID in its usual form: it becomes the name of a directory.
pub(super) fn parse_transaction(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|id| id.to_string() == text)
}

fn read_or_create_id(path: &Path) -> io::Result<Uuid> {
    match fs::read_to_string(path) {
        Ok(text) => Uuid::try_parse(text.trim()).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = Uuid::now_v7();
            write_atomic(path, format!("{id}\n").as_bytes(), SHARED)?;
            Ok(id)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
