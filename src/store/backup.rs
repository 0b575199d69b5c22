//! Copies of the database, made from a running service.
//!
//! A copy is one consistent moment, checked before it gets its name. Keys, certificates and configuration are not in it.
//! How it is put back: `restore`.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::fault::OpenError;
use super::names::{beside, settle};
use super::restore;

/// How long a lock of the running service is waited for.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// What the name of a copy ends with until it is whole; files with more after it belong to it.
pub const UNFINISHED: &str = ".part";
/// So many pages are copied before it is asked whether that is still wanted.
const PAGES: std::ffi::c_int = 1_000;
/// The same while a copy is checked, in SQLite's instructions.
const INSTRUCTIONS: std::ffi::c_int = 10_000;

/// Why a backup or restore was not done. Nothing is changed then.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{0} exists already: choose another name")]
    Exists(PathBuf),
    #[error("{path} is damaged: {reason}")]
    Damaged { path: PathBuf, reason: String },
    #[error("cannot {doing} {path}: {source}")]
    Io { path: PathBuf, doing: &'static str, source: io::Error },
    #[error("cannot {doing} {path}: {source}")]
    Sqlite { path: PathBuf, doing: &'static str, source: rusqlite::Error },
    #[error("cannot open {0}: the log beside it must be read as well, which takes a folder that can be written to")]
    ReadOnlyFolder(PathBuf),
    #[error("copying to {0} was called off")]
    CalledOff(PathBuf),
    #[error("a restore of {0} was interrupted: start the service, or restore again, before it is copied")]
    HalfRestored(PathBuf),
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Copies the database, also of a running service, to a new file that only its owner may read.
///
/// # Errors
/// See [`BackupError`].
pub fn backup(database: &Path, to: &Path) -> Result<(), BackupError> {
    backup_unless(database, to, &Arc::default())
}

/// As [`backup`], until it is called off; nothing of the copy stays then.
///
/// # Errors
/// See [`BackupError`].
pub fn backup_unless(database: &Path, to: &Path, called_off: &Arc<AtomicBool>) -> Result<(), BackupError> {
    // A link that leads nowhere is there as well.
    if to.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    if restore::is_pending(database)? {
        return Err(BackupError::HalfRestored(database.to_owned()));
    }
    let fresh = beside(to, UNFINISHED);
    remove_unfinished(&fresh);
    let done = create_private(&fresh)
        .and_then(|()| copy(database, &fresh, called_off))
        .and_then(|()| check(&fresh, called_off))
        .and_then(|()| settle(&fresh, to).map_err(at(to, "write")));
    if done.is_err() {
        remove_unfinished(&fresh);
    }
    done
}

/// Removes a copy that was not finished, with all that SQLite may have left beside it.
pub(super) fn remove_unfinished(fresh: &Path) {
    for ending in ["", "-journal", "-wal", "-shm"] {
        let _ = fs::remove_file(beside(fresh, ending));
    }
}

/// Says at which path something went wrong with a file.
pub(super) fn at(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> BackupError {
    move |source| BackupError::Io { path: path.to_owned(), doing, source }
}

/// The same for SQLite.
pub(super) fn sqlite_at(path: &Path, doing: &'static str) -> impl FnOnce(rusqlite::Error) -> BackupError {
    move |source| BackupError::Sqlite { path: path.to_owned(), doing, source }
}

/// Makes a new file that only its owner may read.
pub(super) fn create_private(path: &Path) -> Result<(), BackupError> {
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    created.map(drop).map_err(at(path, "create"))
}

/// Opens a database that may be in use. One that is not, in a folder that cannot be written to, is opened as a file that
/// nobody changes: SQLite could make no log for it.
fn read_only(path: &Path) -> Result<Connection, BackupError> {
    let opened = open_with(path, "").and_then(|connection| {
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    });
    let opened = match opened {
        Err(error) if cannot_open(&error) && path.is_file() => {
            if beside(path, "-wal").metadata().is_ok_and(|log| log.len() > 0) {
                return Err(BackupError::ReadOnlyFolder(path.to_owned()));
            }
            open_with(path, "?immutable=1")
        }
        other => other,
    };
    opened.map_err(sqlite_at(path, "open"))
}

fn cannot_open(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

fn open_with(path: &Path, options: &str) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    // What has a meaning in a URI is written in its other form.
    let name: String = std::path::absolute(path)
        .unwrap_or_else(|_| path.to_owned())
        .to_string_lossy()
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    let connection = Connection::open_with_flags(format!("file:{name}{options}"), flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

/// Copies one moment of a database.
pub(super) fn copy(from: &Path, to: &Path, called_off: &AtomicBool) -> Result<(), BackupError> {
    let source = read_only(from)?;
    let copied = || {
        let mut target = Connection::open(to)?;
        // One moment for all steps: else every write of the service would begin the copy anew.
        let _moment = source.unchecked_transaction()?;
        source.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        let copying = Backup::new(&source, &mut target)?;
        loop {
            if called_off.load(Ordering::Acquire) {
                return Ok(false);
            }
            match copying.step(PAGES)? {
                StepResult::Done => break,
                StepResult::More => {}
                _ => {
                    return Err(rusqlite::Error::SqliteFailure(
                        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
                        None,
                    ));
                }
            }
        }
        drop(copying);
        // One file: with a log of its own, each look at it would leave others beside it.
        target.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(true))
    };
    match copied() {
        Ok(true) => Ok(()),
        Ok(false) => Err(BackupError::CalledOff(to.to_owned())),
        Err(source) => Err(BackupError::Sqlite { path: from.to_owned(), doing: "copy", source }),
    }
}

/// Reads all of a file, so that damage is found now and not when it is needed.
pub(super) fn check(path: &Path, called_off: &Arc<AtomicBool>) -> Result<(), BackupError> {
    let damaged = |reason: String| BackupError::Damaged { path: path.to_owned(), reason };
    let mut connection = read_only(path)?;
    let called_off = Arc::clone(called_off);
    connection
        .progress_handler(INSTRUCTIONS, Some(move || called_off.load(Ordering::Acquire)))
        .map_err(sqlite_at(path, "check"))?;
    let checked = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    match checked {
        Ok(word) if word == "ok" => Ok(()),
        Ok(reason) => Err(damaged(reason)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            Err(BackupError::CalledOff(path.to_owned()))
        }
        Err(error)
            if matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) =>
        {
            Err(damaged(error.to_string()))
        }
        Err(error) => Err(sqlite_at(path, "check")(error)),
    }
}
