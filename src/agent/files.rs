//! Small file work that must hold across a power loss: whole files replaced at once, directories synced.
//!
//! Everything blocks; callers on the runtime go through `spawn_blocking`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Mode of files that only the agent's user may read.
pub(super) const PRIVATE: u32 = 0o600;
/// Mode of the spool's ordinary files.
pub(super) const SHARED: u32 = 0o640;

/// Replaces a file: written beside it, synced, renamed, the directory synced.
pub(super) fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidInput)?;
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let temporary = directory.join(format!(".{name}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_directory(directory)
}

/// Makes renames and new names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Creates a directory and its parents, entered by owner and group only.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o750).create(path)
}

/// Creates a file that nobody created before, content and all at once; `false` when it exists. Durable on return.
pub(super) fn claim(path: &Path, content: &str) -> io::Result<bool> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidInput)?;
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let own = directory.join(format!(".{name}.{}", uuid::Uuid::new_v4()));
    write_atomic(&own, content.as_bytes(), SHARED)?;
    // Unlike a rename, a link never replaces.
    let linked = fs::hard_link(&own, path);
    fs::remove_file(&own)?;
    match linked {
        Ok(()) => sync_directory(directory).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Runs blocking work off the runtime's threads.
pub(super) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_given_once_and_a_file_is_replaced_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("claim");
        assert!(claim(&path, "run").unwrap());
        assert!(!claim(&path, "void").unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "run");
        write_atomic(&path, b"other", SHARED).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "other");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
