//! The highest numbers that may ever have been given out, in a file beside the database.
//!
//! A restored backup knows older numbers; what it does not know must not be given out a second time. Numbers are reserved
//! here in blocks, synced before the first of a block is committed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bunraku_actors::model::{EventSeq, JobId};
use serde::{Deserialize, Serialize};

/// How many numbers are reserved at a time.
const JOBS: u64 = 1_000;
const EVENTS: u64 = 1_000_000;

/// What is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marks {
    pub(super) job: u64,
    pub(super) event: u64,
}

/// The file, and what it says.
#[derive(Debug)]
pub(super) struct HighWater {
    path: PathBuf,
    marks: Marks,
}

impl HighWater {
    /// Reads the file of a database; one that is missing or cannot be understood says nothing.
    pub(super) fn open(database: &Path) -> Self {
        let path = path_of(database);
        Self { marks: read(&path).unwrap_or(Marks { job: 0, event: 0 }), path }
    }

    /// Makes sure that numbers up to these may be used. Returns after the file is synced.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn reserve(&mut self, job: JobId, event: EventSeq) -> io::Result<()> {
        if job.0 <= self.marks.job && event.0 <= self.marks.event {
            return Ok(());
        }
        let beyond = |used: u64, mark: u64, block: u64| if used > mark { used.saturating_add(block) } else { mark };
        let marks =
            Marks { job: beyond(job.0, self.marks.job, JOBS), event: beyond(event.0, self.marks.event, EVENTS) };
        write(&self.path, marks)?;
        self.marks = marks;
        Ok(())
    }
}

/// Where restored numbers go on: behind everything that may have been given out. Without a file a block is skipped.
pub(super) fn after_restore(database: &Path, job: u64, event: u64) -> Marks {
    let known = read(&path_of(database)).unwrap_or(Marks { job: job + JOBS, event: event + EVENTS });
    Marks { job: known.job.max(job), event: known.event.max(event) }
}

fn path_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".numbers");
    PathBuf::from(name)
}

fn read(path: &Path) -> Option<Marks> {
    let text = fs::read(path).ok()?;
    serde_json::from_slice(&text).inspect_err(|error| tracing::warn!(%error, ?path, "cannot be understood")).ok()
}

fn write(path: &Path, marks: Marks) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let fresh = PathBuf::from(name);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(&serde_json::to_vec(&marks)?)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_reserved_in_blocks_and_outlive_the_database() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        let mut marks = HighWater::open(&database);
        marks.reserve(JobId(1), EventSeq(0)).unwrap();
        assert_eq!(HighWater::open(&database).marks, Marks { job: 1 + JOBS, event: 0 });
        marks.reserve(JobId(900), EventSeq(5)).unwrap();
        assert_eq!(HighWater::open(&database).marks, Marks { job: 1 + JOBS, event: 5 + EVENTS });
        assert_eq!(after_restore(&database, 3, 4), Marks { job: 1 + JOBS, event: 5 + EVENTS });
        assert_eq!(after_restore(&folder.path().join("b.db"), 3, 4), Marks { job: 3 + JOBS, event: 4 + EVENTS });
        fs::write(path_of(&database), "{").unwrap();
        assert_eq!(after_restore(&database, 3, 4).job, 3 + JOBS, "what cannot be read is as good as missing");
    }
}
