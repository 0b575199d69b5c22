//! Files beside a database: their names, and making sure that they keep them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The path with this behind its name.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the names in the folder of this file durable.
///
/// # Errors
/// The file system's.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// Gives a finished file its name, and makes sure that it keeps it, with what is in it.
///
/// # Errors
/// The file system's.
pub(super) fn settle(fresh: &Path, to: &Path) -> io::Result<()> {
    File::open(fresh)?.sync_all()?;
    fs::rename(fresh, to)?;
    sync_folder(to)
}
