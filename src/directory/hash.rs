//! SHA-256 of files, remembered for as long as a file looks the same.
//!
//! What a file looks like is its device, inode, length, time of change and of modification. That can miss a change
//! within one tick of the file system's clock; who must be certain hashes what it copies, as `content` does.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

/// The most files that are remembered. When it is full, all is forgotten and learned again.
const REMEMBERED: usize = 20_000;
/// How often a file that changes while it is read is read again.
const ATTEMPTS: usize = 5;
/// How much is read at once.
const BUFFER: usize = 64 * 1024;

/// Hash and size of a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint {
    /// Lower-case hex.
    pub(super) sha256: String,
    pub(super) size: u64,
}

/// What a file looks like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Look {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Remembers hashes by path.
#[derive(Debug, Default)]
pub(super) struct HashCache {
    known: Mutex<BTreeMap<PathBuf, (Look, String)>>,
}

impl HashCache {
    /// Hash and size of a regular file. Fails when it keeps changing while it is read.
    pub(super) fn fingerprint(&self, path: &Path) -> io::Result<Fingerprint> {
        for _ in 0..ATTEMPTS {
            let mut file = File::open(path)?;
            let before = Look::of(&file.metadata()?);
            if let Some(sha256) = self.remembered(path, before) {
                return Ok(Fingerprint { sha256, size: before.length });
            }
            let read = copy_hashing(&mut file, &mut io::sink())?;
            if Look::of(&file.metadata()?) == before && read.size == before.length {
                self.remember(path, before, &read.sha256);
                return Ok(read);
            }
        }
        Err(io::Error::other("it changes while it is read"))
    }

    /// Forgets a file whose remembered hash proved wrong.
    pub(super) fn forget(&self, path: &Path) {
        self.known.lock().remove(path);
    }

    fn remembered(&self, path: &Path, look: Look) -> Option<String> {
        self.known.lock().get(path).filter(|(known, _)| *known == look).map(|(_, sha256)| sha256.clone())
    }

    fn remember(&self, path: &Path, look: Look, sha256: &str) {
        let mut known = self.known.lock();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(path.to_owned(), (look, sha256.to_owned()));
    }
}

/// Which side of a copy failed.
#[derive(Debug)]
pub(super) enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

impl From<CopyError> for io::Error {
    fn from(error: CopyError) -> Self {
        let (CopyError::Read(error) | CopyError::Write(error)) = error;
        error
    }
}

/// Copies everything and returns hash and size of what was copied.
pub(super) fn copy_hashing(from: &mut impl Read, to: &mut impl Write) -> Result<Fingerprint, CopyError> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    let mut size = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(Fingerprint { sha256: hex::encode(hash.finalize()), size }),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CopyError::Read(error)),
        };
        hash.update(&buffer[..read]);
        to.write_all(&buffer[..read]).map_err(CopyError::Write)?;
        size += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_hash_is_that_of_the_content_and_follows_it() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("file");
        let cache = HashCache::default();
        fs::write(&path, "abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for _ in 0..2 {
            assert_eq!(cache.fingerprint(&path).unwrap(), Fingerprint { sha256: abc.to_owned(), size: 3 });
        }
        // As editors save: a new file takes the old one's place, same length, perhaps the same time.
        let next = directory.path().join("next");
        fs::write(&next, "abd").unwrap();
        fs::rename(&next, &path).unwrap();
        assert_ne!(cache.fingerprint(&path).unwrap().sha256, abc);
        assert!(cache.fingerprint(&directory.path().join("missing")).is_err());
    }

    /// Takes and gives nothing.
    struct Full;

    impl Read for Full {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::InvalidData.into())
        }
    }

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_copy_tells_which_side_failed() {
        let full = copy_hashing(&mut &b"content"[..], &mut Full);
        assert!(matches!(full, Err(CopyError::Write(error)) if error.kind() == io::ErrorKind::StorageFull));
        assert!(matches!(copy_hashing(&mut Full, &mut io::sink()), Err(CopyError::Read(_))));
    }
}
