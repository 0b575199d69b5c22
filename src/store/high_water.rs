//! The highest numbers that may ever have been given out, in files beside the database.
//!
//! A restored backup knows older numbers; what it does not know must not be given out a second time. Numbers are reserved
//! in `<database>.numbers` in blocks, synced before the first of a block is committed. `<database>.used` says which were
//! committed: a database that knows less than this was put there behind our back. It is written after each commit and
//! never synced, so it may lag behind the database, but is never ahead of it. When it was written last tells as well: the
//! database itself is only written within a commit.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt as _, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bunraku_actors::model::{EventSeq, JobId};
use serde::{Deserialize, Serialize};

use super::names::{beside, sync_folder};

/// How many numbers are reserved at a time.
const JOBS: u64 = 1_000;
const EVENTS: u64 = 1_000_000;

/// What is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marks {
    pub(super) job: u64,
    pub(super) event: u64,
}

/// The files, and what they say.
#[derive(Debug)]
pub(super) struct HighWater {
    path: PathBuf,
    marks: Marks,
    used: Marks,
    used_file: Option<File>,
}

impl HighWater {
    /// Reads the file of a database; one that is missing or cannot be understood says nothing.
    pub(super) fn open(database: &Path) -> Self {
        let path = numbers_of(database);
        let used = used_of(database);
        let used_file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&used);
        let used_file = used_file.inspect_err(|error| tracing::warn!(%error, path = ?used, "cannot be written")).ok();
        let nothing = Marks { job: 0, event: 0 };
        Self { marks: read(&path).unwrap_or(nothing), path, used: read(&used).unwrap_or(nothing), used_file }
    }

    /// Whether numbers were committed that a database with these last ones does not know.
    pub(super) fn is_beyond(&self, job: u64, event: u64) -> bool {
        self.used.job > job || self.used.event > event
    }

    /// Notes after each commit that numbers up to these are committed. Nothing depends on its success.
    pub(super) fn committed(&mut self, job: JobId, event: EventSeq) {
        let used = Marks { job: job.0, event: event.0 };
        let Some(file) = &self.used_file else { return };
        // Of one length, so that it is overwritten whole.
        let text = format!("{:<80}\n", serde_json::json!(used).to_string());
        if file.write_all_at(text.as_bytes(), 0).is_ok() {
            self.used = used;
        }
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

/// Whether the database was changed after the last commit of the service, while a log of it is left. The log belongs to the
/// file that was there before: laid over another one it makes a mixture that SQLite takes for whole. The end of a process
/// within a commit, or of the machine, may look the same.
pub(super) fn changed_behind_its_log(database: &Path) -> bool {
    let log = fs::metadata(beside(database, "-wal")).is_ok_and(|log| log.len() > 0);
    // The time of the change of an inode cannot be set by anybody, unlike that of a file's content.
    let changed = |path: &Path| fs::metadata(path).map(|found| (found.ctime(), found.ctime_nsec()));
    match (log, changed(database), changed(&used_of(database))) {
        (true, Ok(database), Ok(used)) => database > used,
        (log, database, _) => log && database.is_ok(),
    }
}

/// Where restored numbers go on: behind everything that may have been given out. Without a file a block is skipped.
pub(super) fn after_restore(database: &Path, job: u64, event: u64) -> Marks {
    let known = read(&numbers_of(database)).unwrap_or(Marks { job: job + JOBS, event: event + EVENTS });
    Marks { job: known.job.max(job), event: known.event.max(event) }
}

fn numbers_of(database: &Path) -> PathBuf {
    beside(database, ".numbers")
}

fn used_of(database: &Path) -> PathBuf {
    beside(database, ".used")
}

fn read(path: &Path) -> Option<Marks> {
    let text = fs::read(path).ok().filter(|text| !text.is_empty())?;
    serde_json::from_slice(&text).inspect_err(|error| tracing::warn!(%error, ?path, "cannot be understood")).ok()
}

fn write(path: &Path, marks: Marks) -> io::Result<()> {
    let fresh = beside(path, ".new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(&serde_json::to_vec(&marks)?)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    sync_folder(path)
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
        fs::write(numbers_of(&database), "{").unwrap();
        assert_eq!(after_restore(&database, 3, 4).job, 3 + JOBS, "what cannot be read is as good as missing");
    }

    #[test]
    fn what_was_committed_tells_an_older_database() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        let mut marks = HighWater::open(&database);
        assert!(!marks.is_beyond(0, 0), "nothing is known yet");
        marks.committed(JobId(1_234_567), EventSeq(7_654_321));
        marks.committed(JobId(12), EventSeq(340));
        let again = HighWater::open(&database);
        assert!(!again.is_beyond(12, 340) && again.is_beyond(11, 340) && again.is_beyond(12, 339));
        fs::write(used_of(&database), "{").unwrap();
        assert!(!HighWater::open(&database).is_beyond(0, 0), "what cannot be read says nothing");
    }
}
