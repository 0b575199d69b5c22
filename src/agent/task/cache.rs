//! Task files on this node, by content: `<cache>/<sha256>/<name>`. What is found there is checked at every use.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::agent::files::{make_directory, write_atomic};
use crate::wire::pxp::FileSpec;

/// Mode of cached files: they are executed where they lie.
const MODE: u32 = 0o750;

/// Where a file lies, or would lie.
pub(super) fn path(cache: &Path, file: &FileSpec) -> PathBuf {
    let name = Path::new(&file.filename).file_name().unwrap_or(file.filename.as_ref());
    cache.join(&file.sha256).join(name)
}

/// The path of a cached file whose content is right, now marked as used.
pub(super) fn look_up(cache: &Path, file: &FileSpec) -> io::Result<Option<PathBuf>> {
    let path = path(cache, file);
    let content = match fs::read(&path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if digest(&content) != file.sha256 {
        return Ok(None);
    }
    // The age of the directory is what the purge looks at.
    if let Some(directory) = path.parent() {
        let now = chrono::Utc::now();
        fs::File::open(directory)?.set_modified(now.into())?;
    }
    Ok(Some(path))
}

/// Stores a file whose content was checked.
pub(super) fn store(cache: &Path, file: &FileSpec, content: &[u8]) -> io::Result<PathBuf> {
    let path = path(cache, file);
    path.parent().map_or(Ok(()), make_directory)?;
    write_atomic(&path, content, MODE)?;
    Ok(path)
}

/// SHA-256 in lower-case hex.
pub(super) fn digest(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}
