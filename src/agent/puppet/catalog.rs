//! Notices the moment at which a run has its catalog: from then on the compile slot of the server is free.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Puppet says so at level info, which `--verbose` shows.
const MARK: &str = "Applying configuration version";
/// The line comes after facts and plug-ins; who has said this much without it will not be watched on.
const GIVE_UP: u64 = 4 << 20;
/// Read at once.
const CHUNK: u64 = 64 << 10;

/// Watches the standard output of one run.
#[derive(Debug)]
pub(super) struct Watch {
    output: PathBuf,
    position: u64,
    /// The end of what was read, in case the mark lies across two reads.
    tail: Vec<u8>,
    done: bool,
}

impl Watch {
    /// A watch on the run in `directory`.
    pub(super) fn new(directory: &Path) -> Self {
        Self { output: directory.join("stdout"), position: 0, tail: Vec::new(), done: false }
    }

    /// Whether the catalog came since the last look; `true` once.
    pub(super) fn is_ready(&mut self) -> bool {
        if self.done || self.position >= GIVE_UP {
            return false;
        }
        // A file that is not there yet, or cannot be read, says nothing.
        let Some(fresh) = self.read() else { return false };
        self.position += fresh.len() as u64;
        self.tail.extend(fresh);
        self.done = self.tail.windows(MARK.len()).any(|window| window == MARK.as_bytes());
        let keep = self.tail.len().min(MARK.len() - 1);
        self.tail.drain(..self.tail.len() - keep);
        self.done
    }

    fn read(&self) -> Option<Vec<u8>> {
        let mut file = File::open(&self.output).ok()?;
        file.seek(SeekFrom::Start(self.position)).ok()?;
        let mut fresh = Vec::new();
        file.take(CHUNK).read_to_end(&mut fresh).ok()?;
        Some(fresh)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::*;

    #[test]
    fn the_mark_is_seen_once_even_across_two_reads() {
        let directory = tempfile::tempdir().unwrap();
        let mut watch = Watch::new(directory.path());
        assert!(!watch.is_ready());
        let path = directory.path().join("stdout");
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(b"Info: Loading facts\nInfo: Applying config").unwrap();
        assert!(!watch.is_ready());
        file.write_all(b"uration version '1'\n").unwrap();
        assert!(watch.is_ready());
        assert!(!watch.is_ready());
    }
}
