//! Whether the files that are written are those that the next start will find.
//!
//! A process goes on writing to files that somebody has removed or replaced, and nothing of it outlives the process. So the
//! writer looks after each commit, before anybody is told that it went well.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::fault::Fault;
use super::names::beside;

/// Device and number.
type Inode = (u64, u64);

/// The database and its log, as they were opened.
#[derive(Debug)]
pub(super) struct Place {
    database: PathBuf,
    log: PathBuf,
    opened: Inode,
    /// SQLite makes it with the first write, and keeps it while any connection is open.
    log_opened: Option<Inode>,
}

impl Place {
    /// The files of a database that was just opened.
    ///
    /// # Errors
    /// [`Fault::Misplaced`] when it is gone already.
    pub(super) fn of(database: &Path) -> Result<Self, Fault> {
        let opened = inode(database).ok_or(Fault::Misplaced)?;
        let log = beside(database, "-wal");
        Ok(Self { database: database.to_owned(), log_opened: inode(&log), log, opened })
    }

    /// Makes sure that both are where they were.
    ///
    /// # Errors
    /// [`Fault::Misplaced`].
    pub(super) fn check(&mut self) -> Result<(), Fault> {
        let log = inode(&self.log);
        let log_opened = *self.log_opened.get_or_insert(log.ok_or(Fault::Misplaced)?);
        if inode(&self.database) == Some(self.opened) && log == Some(log_opened) {
            Ok(())
        } else {
            Err(Fault::Misplaced)
        }
    }
}

fn inode(path: &Path) -> Option<Inode> {
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}
