//! Puts a copy in the place of the database of a service that does not run.
//!
//! Several files change places, and whoever does it may be killed between two of them. So the copy is finished first, and
//! gets the name `<database>.restoring-<time>`: from that moment on the restore is decided, and whoever opens the database
//! next brings it to its end, the same way. Until then nothing has changed.
//!
//! A database that was put there by hand is found by what it does not know, and treated as if it had come this way.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bunraku_actors::ports::Restoration;
use chrono::{NaiveDateTime, Utc};
use rusqlite::{Connection, params};

use super::backup::{BUSY_TIMEOUT, BackupError, at, check, copy, create_private, remove_unfinished, sqlite_at};
use super::columns::Db;
use super::fault::OpenError;
use super::high_water::{self, HighWater};
use super::names::{beside, folder_of, settle, sync_folder};
use super::schema;

/// What a decided restore is called, with its time behind it.
const DECIDED: &str = ".restoring-";
/// What the database of before is called afterwards, with the same time.
const KEPT: &str = ".before-restore-";
const TIME: &str = "%Y%m%dT%H%M%S%.3fZ";

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

/// Puts a copy in the place of the database of a service that does not run; what was there is kept beside it. Jobs that
/// were not over are held until they are resumed, unless `resume`; new numbers go on behind all that may have been given
/// out since.
///
/// # Errors
/// See [`BackupError`].
pub fn restore(copy_of: &Path, database: &Path, resume: bool) -> Result<Restored, BackupError> {
    let wanted = Arc::default();
    check(copy_of, &wanted)?;
    finish(database)?;
    let fresh = beside(database, ".restore.part");
    remove_unfinished(&fresh);
    let prepared = create_private(&fresh)
        .and_then(|()| copy(copy_of, &fresh, &wanted))
        .and_then(|()| prepare(&fresh, copy_of, database, resume));
    let (unfinished, job) = prepared.inspect_err(|_| remove_unfinished(&fresh))?;
    let time = Utc::now().format(TIME).to_string();
    let decided = beside(database, &format!("{DECIDED}{time}"));
    settle(&fresh, &decided).map_err(at(&decided, "write"))?;
    finish(database)?;
    let kept = beside(database, &format!("{KEPT}{time}"));
    Ok(Restored { kept: kept.exists().then_some(kept), unfinished, job })
}

/// Makes a database of ours out of the copy: marks and jumps in one transaction, and no log beside it.
fn prepare(fresh: &Path, copy_of: &Path, database: &Path, resume: bool) -> Result<(u64, u64), BackupError> {
    schema::check_file(fresh).map_err(|error| error.about(copy_of))?;
    let connection = schema::open_writer(fresh, BUSY_TIMEOUT)?;
    let marked = mark(&connection, database, resume).map_err(sqlite_at(fresh, "prepare"))?;
    connection
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE")
        .map_err(sqlite_at(fresh, "close"))?;
    Ok(marked)
}

/// Whether a restore of this database was decided and not brought to its end.
///
/// # Errors
/// When its folder cannot be read.
pub(super) fn is_pending(database: &Path) -> Result<bool, BackupError> {
    Ok(decided(database).map_err(at(folder_of(database), "read"))?.is_some())
}

/// Brings a restore that was decided to its end, if there is one.
///
/// # Errors
/// The file system's: nothing is lost, and the next call goes on.
pub(super) fn finish(database: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Io { path: database.to_owned(), doing: "finish the restore of", source };
    while let Some((copy, time)) = decided(database).map_err(failed)? {
        put_in_place(database, &copy, &beside(database, &format!("{KEPT}{time}"))).map_err(failed)?;
    }
    Ok(())
}

/// The log goes first: beside another database it would be taken for its own.
fn put_in_place(database: &Path, copy: &Path, kept: &Path) -> io::Result<()> {
    for ending in ["-wal", "-shm", "-journal", ""] {
        match fs::rename(beside(database, ending), beside(kept, ending)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    sync_folder(database)?;
    fs::rename(copy, database)?;
    sync_folder(database)
}

/// A decided restore: its copy, and its time.
fn decided(database: &Path) -> io::Result<Option<(PathBuf, String)>> {
    let prefix = beside(Path::new(database.file_name().unwrap_or_default()), DECIDED);
    let prefix = prefix.to_string_lossy();
    let entries = match fs::read_dir(folder_of(database)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let Some(time) = name.strip_prefix(&*prefix) else { continue };
        if NaiveDateTime::parse_from_str(time, TIME).is_ok() {
            return Ok(Some((entry.path(), time.to_owned())));
        }
    }
    Ok(None)
}

/// Refuses a database that somebody put beside the log of another one. All of it is read, but only where that may be so.
///
/// # Errors
/// See [`OpenError`].
pub(super) fn refuse_mixture(database: &Path) -> Result<(), OpenError> {
    if !high_water::changed_behind_its_log(database) {
        return Ok(());
    }
    tracing::warn!(?database, "the database was changed after the last commit: all of it is checked");
    check(database, &Arc::default()).map_err(|error| OpenError::Unreadable {
        path: database.to_owned(),
        reason: format!(
            "it does not fit the log beside it, as if it had been copied there by hand ({error}): put back what was there, or \
             take a backup with `bunraku restore`, which keeps it"
        ),
    })
}

/// Treats a database that knows less than was committed as a restored one: somebody put a copy there by hand, or an empty
/// one was made where another had been.
///
/// # Errors
/// SQLite's.
pub(super) fn notice_older(connection: &Connection, database: &Path, high_water: &HighWater) -> rusqlite::Result<()> {
    let (job, event) = (counter(connection, "job")?, counter(connection, "event")?);
    if !high_water.is_beyond(job, event) {
        return Ok(());
    }
    let (unfinished, next) = mark(connection, database, false)?;
    tracing::warn!(
        last_job = job,
        skipped_to = next,
        unfinished,
        "the database is older than what this service has written, as if a copy had been put there by hand: it is taken as \
         restored, so numbers jump and jobs that were not over start nothing more until they are resumed"
    );
    Ok(())
}

fn counter(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    let read = "SELECT value FROM counters WHERE name = ?1";
    connection.query_row(read, [name], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
}

/// Marks the unfinished jobs and lets the numbers jump; returns how many jobs, and the last number that is skipped.
fn mark(connection: &Connection, database: &Path, resume: bool) -> rusqlite::Result<(u64, u64)> {
    let transaction = connection.unchecked_transaction()?;
    let held = "UPDATE jobs SET restored = ?1 WHERE finished_at IS NULL";
    let unfinished =
        transaction.execute(held, [Db(if resume { Restoration::Resumed } else { Restoration::Waiting })])?;
    let (job, event) = (counter(&transaction, "job")?, counter(&transaction, "event")?);
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
