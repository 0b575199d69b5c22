//! What can go wrong inside the store, and what callers are told about it.

use std::path::{Path, PathBuf};

use bunraku_actors::model::JobId;
use bunraku_actors::ports::{Refusal, StoreError};
use rusqlite::ErrorCode;

/// Why a database was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Written by a later release.
    #[error(
        "{path} has schema {found}, but this release knows schemas up to {known}: install the release that wrote it, \
         or restore the copy which was made before the upgrade"
    )]
    Newer { path: PathBuf, found: i64, known: i64 },
    /// Some other program's file.
    #[error("{path} is not a bunraku database: choose another path")]
    NotOurs { path: PathBuf },
    /// The file could not be made, read or copied.
    #[error("cannot {doing} {path}: {source}")]
    Io { path: PathBuf, doing: &'static str, source: std::io::Error },
    /// SQLite refused.
    #[error("cannot {doing} {path}: {source}")]
    Sqlite { path: PathBuf, doing: &'static str, source: rusqlite::Error },
    /// What the file holds cannot be understood.
    #[error("{path} cannot be read: {reason}")]
    Unreadable { path: PathBuf, reason: String },
}

impl OpenError {
    /// The same, said of the file that this one was made from.
    pub(super) fn about(self, original: &Path) -> Self {
        let path = original.to_owned();
        match self {
            Self::Newer { found, known, .. } => Self::Newer { path, found, known },
            Self::NotOurs { .. } => Self::NotOurs { path },
            Self::Io { doing, source, .. } => Self::Io { path, doing, source },
            Self::Sqlite { doing, source, .. } => Self::Sqlite { path, doing, source },
            Self::Unreadable { reason, .. } => Self::Unreadable { path, reason },
        }
    }
}

/// Why one group or one read failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The write is impossible in the state that is committed; only its own group fails.
    #[error("{0}")]
    Refused(String),
    /// The state that is committed does not let it happen, as the caller may well expect.
    #[error(transparent)]
    Denied(#[from] Refusal),
    /// The database contradicts itself.
    #[error("the database is inconsistent: {0}")]
    Inconsistent(String),
    /// The numbers that are to be given out cannot be reserved.
    #[error("the file of reserved numbers beside the database cannot be written: {0}")]
    Numbers(#[from] std::io::Error),
    /// What was written is in files that nobody will find again.
    #[error("the files of the database were removed or replaced while the service was running")]
    Misplaced,
    /// SQLite's word.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

impl Fault {
    /// `Some(advice)` when the file system or a lock is to blame: the same may succeed later.
    pub(super) fn advice(&self) -> Option<&'static str> {
        let error = match self {
            Self::Sqlite(error) => error,
            Self::Misplaced => {
                return Some("stop the service, put the files back or restore a backup, and start it again");
            }
            Self::Numbers(_) => return Some("free space, or check owner and mode of the database's directory"),
            Self::Refused(_) | Self::Denied(_) | Self::Inconsistent(_) => return None,
        };
        Some(match error.sqlite_error_code()? {
            ErrorCode::DiskFull => "the disk is full: free space on the file system of the database",
            ErrorCode::SystemIoFailure => "reading or writing the database failed: check the disk and the kernel's log",
            ErrorCode::ReadOnly => "the database is read-only: check mount options, owner and mode of its directory",
            ErrorCode::PermissionDenied | ErrorCode::CannotOpen => {
                "the database cannot be opened: check owner and mode of the file and of its directory"
            }
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
                "another process has locked the database: end whatever else has it open"
            }
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                "the database is damaged: stop the service, restore a backup, and keep the damaged file"
            }
            ErrorCode::OutOfMemory => "the process is out of memory",
            _ => return None,
        })
    }
}

impl Fault {
    /// True when the file itself is damaged or gone: no retry helps, and nothing that it says can be relied on.
    pub(super) fn is_damage(&self) -> bool {
        if matches!(self, Self::Misplaced) {
            return true;
        }
        let Self::Sqlite(error) = self else { return false };
        matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    }

    /// True when single rows are damaged: what they hold does not fit, or they contradict each other.
    fn is_of_rows(&self) -> bool {
        let Self::Sqlite(error) = self else { return matches!(self, Self::Inconsistent(_)) };
        matches!(
            error,
            rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::Utf8Error(..)
        )
    }

    /// What is wrong and what to do about it, for people.
    pub(super) fn trouble(&self) -> String {
        match self.advice() {
            Some(advice) => format!("{advice} ({self})"),
            None => format!("{self}: stop the service and check the database"),
        }
    }
}

/// Judges why a job cannot be read. When it is the job's own rows, it is told in the log and left out: the others must
/// go on. The next start ends it. A file system that does not work is everybody's trouble.
pub(super) fn leave_out(job: JobId, fault: Fault) -> Result<(), Fault> {
    if fault.advice().is_some() {
        return Err(fault);
    }
    metrics::counter!("bunraku_store_unreadable_jobs_total").increment(1);
    tracing::error!(%job, error = %fault, "a job cannot be read and is not taken up");
    Ok(())
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        if let Fault::Denied(refusal) = fault {
            return Self::Refused(refusal);
        }
        match fault.advice() {
            Some(advice) => Self::Unavailable(format!("{advice} ({fault})")),
            None if fault.is_of_rows() => Self::Unreadable(fault.to_string()),
            None => Self::Failed(fault.to_string()),
        }
    }
}
