//! The content store: copies of task files, named by their hash, which no change of a module can touch.
//!
//! A copy is written beside its final place, synced, and renamed: a name that exists always has its whole content.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::NamedTempFile;
use tokio::time::Instant;

use super::hash::{self, CopyError, Fingerprint};

/// How unfinished copies are named; what a crash leaves of them is removed at the start.
const UNFINISHED: &str = ".unfinished-";
/// Hex digits of a SHA-256.
const DIGITS: usize = 64;

/// Why a file was not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum ContentError {
    /// The file does not have the expected content any more.
    #[error("its content changed meanwhile")]
    Changed,
    #[error("cannot be read: {0}")]
    Source(io::Error),
    #[error("cannot keep task files in {}: {source}", directory.display())]
    Store { directory: PathBuf, source: io::Error },
}

/// A file that was asked to be kept so recently may belong to a job that is just being created.
const IN_CREATION: Duration = Duration::from_secs(600);

/// A directory of files that are named by their hash.
#[derive(Debug)]
pub(super) struct ContentStore {
    directory: PathBuf,
    /// When each was last asked to be kept. Locked while a file is removed, so that none is between look and removal.
    asked: Mutex<BTreeMap<String, Instant>>,
    /// Why the last attempt to keep a file failed.
    trouble: Mutex<Option<String>>,
}

impl ContentStore {
    /// Opens the store, creates its directory, and removes what a crash left unfinished.
    pub(super) fn open(directory: &Path) -> Result<Self, ContentError> {
        let store = Self { directory: directory.to_owned(), asked: Mutex::default(), trouble: Mutex::default() };
        store.prepare().map_err(|source| store.broken(source))?;
        Ok(store)
    }

    fn prepare(&self) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Keeps a copy of `source`, which must have this hash and size. Returns after the copy is synced to disk.
    pub(super) fn keep(&self, source: &Path, expected: &Fingerprint) -> Result<(), ContentError> {
        if self.has(expected) {
            return Ok(());
        }
        let mut file = File::open(source).map_err(ContentError::Source)?;
        let mut copy = self.unfinished()?;
        let copied = hash::copy_hashing(&mut file, &mut copy).map_err(|error| match error {
            CopyError::Read(error) => ContentError::Source(error),
            CopyError::Write(error) => self.broken(error),
        })?;
        if copied != *expected {
            return Err(ContentError::Changed);
        }
        self.finish(copy, expected)
    }

    /// Whether the copy is there. It stays for a while from now on, whether a job names it or not.
    pub(super) fn has(&self, expected: &Fingerprint) -> bool {
        self.asked.lock().insert(expected.sha256.clone(), Instant::now());
        let place = self.directory.join(&expected.sha256);
        fs::metadata(place).is_ok_and(|there| there.is_file() && there.len() == expected.size)
    }

    /// A file to write to what comes from elsewhere, for [`ContentStore::admit`].
    pub(super) fn unfinished(&self) -> Result<NamedTempFile, ContentError> {
        let made = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.directory);
        made.map_err(|source| self.broken(source))
    }

    /// Keeps what was written, which must have this hash and size. Returns after it is synced to disk.
    pub(super) fn admit(&self, copy: NamedTempFile, expected: &Fingerprint) -> Result<(), ContentError> {
        let mut written = copy.reopen().map_err(|source| self.broken(source))?;
        let found = hash::copy_hashing(&mut written, &mut io::sink()).map_err(|error| self.broken(error.into()))?;
        if found != *expected {
            return Err(ContentError::Changed);
        }
        self.finish(copy, expected)
    }

    fn finish(&self, mut copy: NamedTempFile, expected: &Fingerprint) -> Result<(), ContentError> {
        copy.flush().and_then(|()| copy.as_file().sync_all()).map_err(|source| self.broken(source))?;
        copy.persist(self.directory.join(&expected.sha256)).map_err(|error| self.broken(error.error))?;
        // The rename itself must survive a power cut before the job that names the hash is accepted.
        let synced = File::open(&self.directory).and_then(|directory| directory.sync_all());
        synced.map_err(|source| self.broken(source))?;
        *self.trouble.lock() = None;
        Ok(())
    }

    /// Why the last attempt to keep a file failed.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Where the copy with this hash is. Whatever is no lower-case SHA-256 has none.
    pub(super) fn find(&self, sha256: &str) -> Result<Option<PathBuf>, ContentError> {
        if !is_sha256(sha256) {
            return Ok(None);
        }
        let place = self.directory.join(sha256);
        match fs::metadata(&place) {
            Ok(there) => Ok(there.is_file().then_some(place)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.broken(error)),
        }
    }

    /// Removes the copies that are neither in use nor just being asked for; returns how many.
    pub(super) fn sweep(&self, in_use: &BTreeSet<String>) -> Result<usize, ContentError> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.directory).map_err(|source| self.broken(source))? {
            let entry = entry.map_err(|source| self.broken(source))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !is_sha256(&name) || in_use.contains(&name) {
                continue;
            }
            let mut asked = self.asked.lock();
            if asked.get(&name).is_some_and(|at| at.elapsed() < IN_CREATION) {
                continue;
            }
            asked.remove(&name);
            fs::remove_file(entry.path()).map_err(|source| self.broken(source))?;
            removed += 1;
        }
        Ok(removed)
    }

    fn broken(&self, source: io::Error) -> ContentError {
        let error = ContentError::Store { directory: self.directory.clone(), source };
        *self.trouble.lock() = Some(error.to_string());
        error
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::directory::hash::HashCache;

    #[test]
    fn a_copy_outlives_its_source() {
        let directory = TempDir::new().unwrap();
        let source = directory.path().join("source");
        fs::write(&source, "first").unwrap();
        let store = ContentStore::open(&directory.path().join("files")).unwrap();
        let first = HashCache::default().fingerprint(&source).unwrap();
        store.keep(&source, &first).unwrap();
        fs::write(&source, "second").unwrap();
        store.keep(&source, &first).unwrap();
        let kept = store.find(&first.sha256).unwrap().unwrap();
        assert_eq!(fs::read_to_string(kept).unwrap(), "first");
    }

    #[test]
    fn other_content_than_expected_is_not_kept() {
        let directory = TempDir::new().unwrap();
        let source = directory.path().join("source");
        fs::write(&source, "first").unwrap();
        let store = ContentStore::open(&directory.path().join("files")).unwrap();
        let first = HashCache::default().fingerprint(&source).unwrap();
        fs::write(&source, "other").unwrap();
        assert!(matches!(store.keep(&source, &first), Err(ContentError::Changed)));
        assert_eq!(store.find(&first.sha256).unwrap(), None);
        let left: Vec<_> = fs::read_dir(directory.path().join("files")).unwrap().collect();
        assert!(left.is_empty(), "nothing unfinished stays: {left:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_job_needs_is_removed_unless_one_may_be_about_to_need_it() {
        let directory = TempDir::new().unwrap();
        let store = ContentStore::open(&directory.path().join("files")).unwrap();
        let mut hashes = Vec::new();
        for text in ["one", "two"] {
            let source = directory.path().join(text);
            fs::write(&source, text).unwrap();
            let fingerprint = HashCache::default().fingerprint(&source).unwrap();
            store.keep(&source, &fingerprint).unwrap();
            hashes.push((source, fingerprint));
        }
        let in_use = BTreeSet::from([hashes[0].1.sha256.clone()]);
        assert_eq!(store.sweep(&in_use).unwrap(), 0, "a job may be about to be committed");
        tokio::time::advance(IN_CREATION).await;
        store.keep(&hashes[1].0, &hashes[1].1).unwrap();
        assert_eq!(store.sweep(&in_use).unwrap(), 0, "asked for again");
        tokio::time::advance(IN_CREATION).await;
        assert_eq!(store.sweep(&in_use).unwrap(), 1);
        assert!(store.find(&hashes[0].1.sha256).unwrap().is_some());
        assert_eq!(store.find(&hashes[1].1.sha256).unwrap(), None);
    }

    #[test]
    fn a_start_removes_what_a_crash_left() {
        let directory = TempDir::new().unwrap();
        let left = directory.path().join(".unfinished-abc");
        fs::write(&left, "half").unwrap();
        ContentStore::open(directory.path()).unwrap();
        assert!(!left.exists());
    }

    proptest! {
        #[test]
        fn only_hashes_are_looked_up(text in "[a-fA-F0-9./]{0,70}") {
            let directory = TempDir::new().unwrap();
            let store = ContentStore::open(directory.path()).unwrap();
            prop_assert_eq!(store.find(&text).unwrap(), None);
        }
    }

    #[test]
    fn names_that_leave_the_store_are_no_hashes() {
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(is_sha256(hash));
        for bad in [hash.to_uppercase(), format!("../{}", &hash[3..]), hash[1..].to_owned(), format!("{hash}0")] {
            assert!(!is_sha256(&bad), "{bad}");
        }
    }
}
