//! The demo's throw-away directory: made, locked, and removed, by the next demo where this one could not.
//!
//! Its lock is the kernel's and ends with the process that holds it, also when that is killed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

const PREFIX: &str = "bunraku-demo-";
const LOCK: &str = "demo.lock";

/// A directory of this process; removed when dropped.
pub(super) struct Place {
    directory: TempDir,
    _lock: File,
}

impl Place {
    /// Makes one.
    ///
    /// # Errors
    /// When there is no room for it.
    pub(super) fn make() -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
        let mut lock = OpenOptions::new().create_new(true).write(true).open(directory.path().join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        // Only now: a lock file without a word in it may be about to be locked.
        writeln!(lock, "{}", std::process::id())?;
        Ok(Self { directory, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Removes what demos left behind that were killed; returns how many directories.
pub(super) fn clean_up() -> usize {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return 0 };
    let ours = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    ours.filter(|entry| remove_abandoned(&entry.path()).unwrap_or(false)).count()
}

/// `true` when the directory was nobody's any more and is gone.
fn remove_abandoned(directory: &Path) -> io::Result<bool> {
    let metadata = fs::symlink_metadata(directory)?;
    if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Ok(false);
    }
    let lock = File::open(directory.join(LOCK))?;
    if lock.metadata()?.len() == 0 || flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(false);
    }
    // The lock last: cut off in between, the next demo goes on.
    for entry in fs::read_dir(directory)?.flatten().filter(|entry| entry.file_name() != LOCK) {
        if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
    }
    fs::remove_dir_all(directory)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_holds_is_removed() {
        let place = Place::make().unwrap();
        fs::create_dir(place.path().join("site")).unwrap();
        fs::write(place.path().join("site/file"), "x").unwrap();
        assert!(!remove_abandoned(place.path()).unwrap(), "its demo lives");
        let Place { directory, _lock } = place;
        drop(_lock);
        assert!(remove_abandoned(directory.path()).unwrap());
        assert!(!directory.path().exists());
        let fresh = tempfile::tempdir().unwrap();
        assert!(remove_abandoned(fresh.path()).is_err(), "without a lock file it is none of ours");
        File::create(fresh.path().join(LOCK)).unwrap();
        assert!(!remove_abandoned(fresh.path()).unwrap(), "its demo is just beginning");
    }
}
