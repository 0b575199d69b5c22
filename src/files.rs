//! Files and directories with the modes that secrets need, set when they are created and never afterwards.
//!
//! Nothing here replaces an existing file: what is there already belongs to somebody.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Why a file or directory could not be created. Names it.
#[derive(Debug, thiserror::Error)]
#[error("cannot create {path}: {source}")]
pub struct CreateError {
    pub path: PathBuf,
    pub source: io::Error,
}

fn create(path: &Path, mode: u32, content: &[u8]) -> Result<(), CreateError> {
    let written = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    written.map_err(|source| CreateError { path: path.to_owned(), source })
}

/// Writes a new file that only its owner may read or write.
///
/// # Errors
/// When it exists already or cannot be written.
pub fn create_private(path: &Path, content: impl AsRef<[u8]>) -> Result<(), CreateError> {
    create(path, 0o600, content.as_ref())
}

/// As [`create_private`], and a crash leaves no part of it: it is there as a whole, also after a power cut, or not at all.
///
/// # Errors
/// When it exists already or cannot be written.
pub fn create_private_whole(path: &Path, content: impl AsRef<[u8]>) -> Result<(), CreateError> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = || {
        // Made for its owner alone.
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(content.as_ref())?;
        file.as_file().sync_all()?;
        file.persist_noclobber(path).map_err(|error| error.error)?;
        File::open(directory)?.sync_all()
    };
    written().map_err(|source| CreateError { path: path.to_owned(), source })
}

/// Writes a new file that everybody may read.
///
/// # Errors
/// When it exists already or cannot be written.
pub fn create_public(path: &Path, content: impl AsRef<[u8]>) -> Result<(), CreateError> {
    create(path, 0o644, content.as_ref())
}

/// Writes a new program that everybody may run.
///
/// # Errors
/// When it exists already or cannot be written.
pub fn create_program(path: &Path, content: impl AsRef<[u8]>) -> Result<(), CreateError> {
    create(path, 0o755, content.as_ref())
}

/// Makes a new directory that only its owner may enter.
///
/// # Errors
/// When it exists already or cannot be made.
pub fn create_private_dir(path: &Path) -> Result<(), CreateError> {
    DirBuilder::new().mode(0o700).create(path).map_err(|source| CreateError { path: path.to_owned(), source })
}

/// Makes a directory and those above it, where they are missing.
///
/// # Errors
/// When one cannot be made.
pub fn create_dirs(path: &Path) -> Result<(), CreateError> {
    std::fs::create_dir_all(path).map_err(|source| CreateError { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn modes_are_set_and_nothing_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let secret = dir.path().join("secret");
        create_private(&secret, "one").unwrap();
        assert_eq!(mode(&secret), 0o600);
        let error = create_private(&secret, "two").unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "one");
        let private = dir.path().join("private");
        create_private_dir(&private).unwrap();
        assert_eq!(mode(&private), 0o700);
    }
}
