//! Copies of the database: made from a running service, and put back into one that does not run.
//!
//! A copy is one consistent moment, checked before it gets its name. Keys, certificates and configuration are not in it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bunraku_actors::ports::Restoration;
use chrono::Utc;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags, params};

use super::columns::Db;
use super::fault::OpenError;
use super::high_water;
use super::schema;

/// How long a lock of the running service is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// What the name of a copy ends with until it is whole; files with more after it belong to it.
const UNFINISHED: &str = ".part";
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
    #[error("copying to {0} was called off")]
    CalledOff(PathBuf),
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Where the database of before is now; `None` when there was none.
    pub kept: Option<PathBuf>,
    /// Jobs that were not over in the backup.
    pub unfinished: u64,
    /// The last number that new jobs skip.
    pub job: u64,
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
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let fresh = beside(to, UNFINISHED);
    let _ = fs::remove_file(&fresh);
    create_private(&fresh)?;
    let done =
        copy(database, &fresh, called_off).and_then(|()| check(&fresh, called_off)).and_then(|()| settle(&fresh, to));
    if done.is_err() {
        for ending in ["", "-journal", "-wal", "-shm"] {
            let _ = fs::remove_file(beside(&fresh, ending));
        }
    }
    done
}

/// Puts a copy in the place of the database of a service that does not run; what was there is kept beside it. Jobs that
/// were not over are held until they are resumed, unless `resume`; new numbers go on behind all that may have been given
/// out since.
///
/// # Errors
/// See [`BackupError`].
pub fn restore(copy_of: &Path, database: &Path, resume: bool) -> Result<Restored, BackupError> {
    let wanted = Arc::default();
    check(copy_of, &wanted)?;
    schema::check_file(copy_of)?;
    let fresh = beside(database, ".restoring");
    let _ = fs::remove_file(&fresh);
    create_private(&fresh)?;
    copy(copy_of, &fresh, &wanted)?;
    let connection = schema::open_writer(&fresh, BUSY_TIMEOUT)?;
    let (unfinished, job) = mark(&connection, database, resume).map_err(|source| BackupError::Sqlite {
        path: fresh.clone(),
        doing: "prepare",
        source,
    })?;
    connection
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE")
        .map_err(|source| BackupError::Sqlite { path: fresh.clone(), doing: "close", source })?;
    drop(connection);
    let kept = set_aside(database)?;
    settle(&fresh, database)?;
    Ok(Restored { kept, unfinished, job })
}

/// Marks the unfinished jobs and lets the numbers jump; returns how many jobs, and the last number that is skipped.
fn mark(connection: &Connection, database: &Path, resume: bool) -> rusqlite::Result<(u64, u64)> {
    let transaction = connection.unchecked_transaction()?;
    let held = "UPDATE jobs SET restored = ?1 WHERE finished_at IS NULL";
    let unfinished =
        transaction.execute(held, [Db(if resume { Restoration::Resumed } else { Restoration::Waiting })])?;
    let counter = |name: &str| {
        let read = "SELECT value FROM counters WHERE name = ?1";
        transaction.query_row(read, [name], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
    };
    let (job, event) = (counter("job")?, counter("event")?);
    let marks = high_water::after_restore(database, job, event);
    for (name, after, until) in [("job", job, marks.job), ("event", event, marks.event)] {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        transaction.execute("UPDATE counters SET value = ?2 WHERE name = ?1", params![name, number(until)])?;
        transaction.execute(
            "INSERT INTO number_jumps (at, name, after, until) VALUES (?1, ?2, ?3, ?4)",
            params![Db(Utc::now()), name, number(after), number(until)],
        )?;
    }
    transaction.commit()?;
    Ok((unfinished as u64, marks.job))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn create_private(path: &Path) -> Result<(), BackupError> {
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    created.map(drop).map_err(|source| BackupError::Io { path: path.to_owned(), doing: "create", source })
}

fn read_only(path: &Path) -> Result<Connection, BackupError> {
    let at = |source| BackupError::Sqlite { path: path.to_owned(), doing: "open", source };
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(at)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(at)?;
    Ok(connection)
}

fn copy(from: &Path, to: &Path, called_off: &AtomicBool) -> Result<(), BackupError> {
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
fn check(path: &Path, called_off: &Arc<AtomicBool>) -> Result<(), BackupError> {
    let damaged = |reason: String| BackupError::Damaged { path: path.to_owned(), reason };
    let mut connection = read_only(path)?;
    let called_off = Arc::clone(called_off);
    connection
        .progress_handler(INSTRUCTIONS, Some(move || called_off.load(Ordering::Acquire)))
        .map_err(|source| BackupError::Sqlite { path: path.to_owned(), doing: "check", source })?;
    let checked = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    match checked {
        Ok(word) if word == "ok" => Ok(()),
        Ok(reason) => Err(damaged(reason)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            Err(BackupError::CalledOff(path.to_owned()))
        }
        Err(error) => Err(damaged(error.to_string())),
    }
}

/// Gives a finished file its name, and makes sure that it keeps it.
fn settle(fresh: &Path, to: &Path) -> Result<(), BackupError> {
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let settled = || {
        File::open(fresh)?.sync_all()?;
        fs::rename(fresh, to)?;
        File::open(folder)?.sync_all()
    };
    settled().map_err(|source| BackupError::Io { path: to.to_owned(), doing: "write", source })
}

/// Moves the present database away, with what its log may still hold.
fn set_aside(database: &Path) -> Result<Option<PathBuf>, BackupError> {
    if !database.exists() {
        return Ok(None);
    }
    let kept = beside(database, &format!(".before-restore-{}", Utc::now().format("%Y%m%dT%H%M%S%.3fZ")));
    for ending in ["-wal", "-shm", ""] {
        let from = beside(database, ending);
        if from.exists() {
            let to = beside(&kept, ending);
            fs::rename(&from, &to).map_err(|source| BackupError::Io { path: from, doing: "set aside", source })?;
        }
    }
    Ok(Some(kept))
}
