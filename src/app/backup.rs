//! `bunraku backup` and `bunraku restore`: copies of the database of a configuration.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::fs::{FlockOperation, flock};

use crate::config::{Config, ConfigError};
use crate::store::{self, BackupError, Restored};

/// The name of the database in the data directory.
pub(super) const DATABASE: &str = "bunraku.db";
/// Locked by a running service: the lock is the kernel's, and ends with the process however it ends.
const LOCK: &str = "serve.lock";

/// Why a database was neither copied nor replaced.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error("copying was called off")]
    CalledOff,
    #[error("a service runs on {0}: stop it first")]
    Running(PathBuf),
    #[error("cannot lock {path}: {source}")]
    Lock { path: PathBuf, source: io::Error },
    #[error("cannot make {path}: {source}")]
    DataDir { path: PathBuf, source: io::Error },
}

/// Held by whoever has a data directory for itself.
#[derive(Debug)]
pub(super) struct DataLock {
    _file: File,
}

impl DataLock {
    /// Takes the lock of a data directory.
    ///
    /// # Errors
    /// [`DatabaseError::Running`] when somebody has it.
    pub(super) fn take(data_dir: &Path) -> Result<Self, DatabaseError> {
        let path = data_dir.join(LOCK);
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(|source| DatabaseError::Lock { path: path.clone(), source })?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(DatabaseError::Running(data_dir.to_owned())),
            Err(error) => Err(DatabaseError::Lock { path, source: error.into() }),
        }
    }
}

/// Copies the database of a configuration, also while its service runs, until it is called off.
///
/// # Errors
/// See [`DatabaseError`].
pub fn backup(config: &Path, to: &Path, called_off: &Arc<AtomicBool>) -> Result<(), DatabaseError> {
    let config = Config::load(config)?;
    match store::backup_unless(&config.data_dir.join(DATABASE), to, called_off) {
        Err(BackupError::CalledOff(_)) => Err(DatabaseError::CalledOff),
        other => Ok(other?),
    }
}

/// Puts a copy in the place of the database of a configuration whose service does not run.
///
/// # Errors
/// See [`DatabaseError`].
pub fn restore(config: &Path, from: &Path, resume: bool) -> Result<Restored, DatabaseError> {
    let config = Config::load(config)?;
    let data = &config.data_dir;
    // On a new machine there may be nothing yet.
    std::fs::create_dir_all(data).map_err(|source| DatabaseError::DataDir { path: data.clone(), source })?;
    let _lock = DataLock::take(data)?;
    Ok(store::restore(from, &config.data_dir.join(DATABASE), resume)?)
}
