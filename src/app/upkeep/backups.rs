//! Scheduled backups: copies in a directory, named by their time, the newest few of them kept.
//!
//! When the next one is due follows from the newest file, so that it survives restarts; and from the time that passed since
//! the last one of this process, so that a clock which jumps brings neither a storm of copies nor none for years.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use tokio::time::Instant;

use crate::config;
use crate::store;

/// Names are sorted as their times are.
const NAME: &str = "bunraku-%Y%m%dT%H%M%SZ.db";
/// How long after a copy that failed another one is tried.
const RETRY: Duration = Duration::from_secs(600);
/// A copy that was begun so long ago and is not finished never will be.
const ABANDONED: TimeDelta = TimeDelta::days(1);
/// A file that is so far in the future was made under a wrong clock, or the clock is wrong now.
const SLACK: TimeDelta = TimeDelta::minutes(10);

/// The schedule.
#[derive(Debug)]
pub(super) struct Backups {
    directory: PathBuf,
    database: PathBuf,
    every: Duration,
    keep: usize,
    /// Not before then, whatever the wall clock says.
    not_before: Option<Instant>,
    /// Nobody waits for a copy in progress any more.
    called_off: Arc<AtomicBool>,
}

impl Drop for Backups {
    /// The service ends, and is not held up by a copy of gigabytes.
    fn drop(&mut self) {
        self.called_off.store(true, Ordering::Release);
    }
}

impl Backups {
    /// `None` without a directory to copy to.
    pub(super) fn new(options: &config::Backup, database: PathBuf) -> Option<Self> {
        publish(None);
        let directory = options.dir.clone()?;
        Some(Self {
            directory,
            database,
            every: options.every,
            keep: options.keep,
            not_before: None,
            called_off: Arc::default(),
        })
    }

    /// Makes a copy if one is due.
    pub(super) async fn look(&mut self, now: DateTime<Utc>) {
        if self.not_before.is_some_and(|then| Instant::now() < then) {
            return;
        }
        let newest = match copies(&self.directory) {
            Ok(copies) => copies.iter().map(|(at, _)| *at).rfind(|at| !is_ahead(*at, now)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return self.failed(&error.to_string()),
        };
        publish(newest);
        if !is_due(newest, now, self.every) {
            return;
        }
        match self.make(now).await {
            Ok(copy) => {
                tracing::info!(file = %copy.display(), "backup made");
                publish(Some(now));
                self.not_before = Some(Instant::now() + self.every);
                self.remove_old(now);
            }
            Err(reason) => self.failed(&reason),
        }
    }

    async fn make(&self, now: DateTime<Utc>) -> Result<PathBuf, String> {
        fs::create_dir_all(&self.directory).map_err(|error| error.to_string())?;
        self.remove_unfinished(now);
        let copy = self.directory.join(now.format(NAME).to_string());
        let (database, to, called_off) = (self.database.clone(), copy.clone(), Arc::clone(&self.called_off));
        let made = tokio::task::spawn_blocking(move || store::backup_unless(&database, &to, &called_off)).await;
        match made {
            Ok(Ok(())) => Ok(copy),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn failed(&mut self, reason: &str) {
        metrics::counter!("bunraku_backup_failures_total").increment(1);
        tracing::error!(directory = %self.directory.display(), reason, "the scheduled backup failed and is tried again");
        self.not_before = Some(Instant::now() + RETRY.min(self.every));
    }

    /// Removes all but the newest. What was made under a clock that was ahead is counted apart: it takes no place of the
    /// others, nor they of it.
    fn remove_old(&self, now: DateTime<Utc>) {
        let Ok(copies) = copies(&self.directory) else { return };
        let (ahead, past): (Vec<_>, Vec<_>) = copies.into_iter().partition(|(at, _)| is_ahead(*at, now));
        for copies in [ahead, past] {
            let extra = copies.len().saturating_sub(self.keep);
            copies.into_iter().take(extra).for_each(|(_, path)| remove(&path));
        }
    }

    /// Removes what copies that were cut off have left. A younger one may still be at work.
    fn remove_unfinished(&self, now: DateTime<Utc>) {
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let begun = name.split_once(store::UNFINISHED).and_then(|(name, _)| time_of(name));
            if begun.is_some_and(|begun| now - begun > ABANDONED) {
                remove(&path);
            }
        }
    }
}

fn publish(newest: Option<DateTime<Utc>>) {
    let at = newest.map_or(0, |at| at.timestamp());
    metrics::gauge!("bunraku_backup_last_success_timestamp_seconds").set(at as f64);
}

fn is_ahead(at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    at - now > SLACK
}

fn is_due(newest: Option<DateTime<Utc>>, now: DateTime<Utc>, every: Duration) -> bool {
    let every = TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX);
    newest.is_none_or(|newest| now - newest >= every)
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(file = %path.display(), %error, "an old backup was not removed");
    }
}

/// When the copy of this name was begun; `None` for the names of others.
fn time_of(name: &str) -> Option<DateTime<Utc>> {
    NaiveDateTime::parse_from_str(name, NAME).ok().map(|at| at.and_utc())
}

/// Our copies in a directory, oldest first; other files are none of ours.
fn copies(directory: &Path) -> io::Result<Vec<(DateTime<Utc>, PathBuf)>> {
    let mut copies = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(at) = time_of(&name) {
            copies.push((at, path));
        }
    }
    copies.sort();
    Ok(copies)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::store::{Options, Store};

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap() + TimeDelta::hours(hours)
    }

    struct Setting {
        folder: TempDir,
        _store: Store,
        backups: Backups,
    }

    fn setting(keep: usize) -> Setting {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("bunraku.db");
        let store = Store::open(&database, Options::default()).unwrap();
        let options =
            config::Backup { dir: Some(folder.path().join("copies")), every: Duration::from_secs(86_400), keep };
        let backups = Backups::new(&options, database).unwrap();
        Setting { folder, _store: store, backups }
    }

    impl Setting {
        /// Looks at this time, in a process of its own.
        async fn look(&mut self, hours: i64) -> Vec<String> {
            self.backups.not_before = None;
            self.look_on(hours).await
        }

        async fn look_on(&mut self, hours: i64) -> Vec<String> {
            self.backups.look(at(hours)).await;
            let copies = copies(&self.folder.path().join("copies")).unwrap_or_default();
            copies.iter().map(|(at, _)| at.to_rfc3339()).collect()
        }
    }

    #[tokio::test]
    async fn copies_are_made_when_due_and_the_newest_are_kept() {
        let mut setting = setting(2);
        assert_eq!(setting.look(0).await, [at(0).to_rfc3339()]);
        assert_eq!(setting.look(23).await.len(), 1, "not yet, also after a restart");
        assert_eq!(setting.look(24).await.len(), 2);
        let stranger = setting.folder.path().join("copies/notes.txt");
        std::fs::write(&stranger, "x").unwrap();
        assert_eq!(setting.look(48).await, [at(24), at(48)].map(|at| at.to_rfc3339()));
        assert!(stranger.exists(), "what is not ours is left alone");
        let copy = copies(&setting.folder.path().join("copies")).unwrap().pop().unwrap().1;
        let database = setting.folder.path().join("other.db");
        store::restore(&copy, &database, false).unwrap();
    }

    #[tokio::test]
    async fn a_clock_that_jumps_brings_neither_a_storm_nor_an_end() {
        let mut setting = setting(3);
        setting.look(0).await;
        for hours in [100, 200, 300] {
            assert_eq!(setting.look_on(hours).await.len(), 1, "a day of true time has not passed");
        }
        assert_eq!(setting.look(87_600).await.len(), 2, "ten years ahead");
        let put_right = setting.look(30).await;
        assert_eq!(put_right, [at(0), at(30), at(87_600)].map(|at| at.to_rfc3339()), "and back");
    }

    #[tokio::test]
    async fn a_file_from_the_future_brings_no_copy_at_each_start_and_takes_no_place() {
        let mut setting = setting(2);
        setting.look(0).await;
        let copies_dir = setting.folder.path().join("copies");
        let future = copies_dir.join(at(87_600).format(NAME).to_string());
        std::fs::copy(copies_dir.join(at(0).format(NAME).to_string()), &future).unwrap();
        assert_eq!(setting.look(1).await.len(), 2, "nothing new at a start");
        assert_eq!(setting.look(24).await.len(), 3);
        let kept = setting.look(48).await;
        assert_eq!(kept, [at(24), at(48), at(87_600)].map(|at| at.to_rfc3339()), "two of its own time");
    }

    #[tokio::test]
    async fn what_a_copy_that_was_cut_off_has_left_is_removed_a_day_later() {
        let mut setting = setting(2);
        let copies_dir = setting.folder.path().join("copies");
        std::fs::create_dir(&copies_dir).unwrap();
        let (old, young) = (at(-30).format(NAME).to_string(), at(-1).format(NAME).to_string());
        for name in [format!("{old}.part"), format!("{old}.part-journal"), format!("{young}.part")] {
            std::fs::write(copies_dir.join(name), "x").unwrap();
        }
        setting.look(0).await;
        let mut names: Vec<_> = fs::read_dir(&copies_dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [format!("{young}.part").as_str(), &at(0).format(NAME).to_string()]);
    }

    #[tokio::test]
    async fn a_copy_that_fails_leaves_nothing_and_is_tried_again_later() {
        let mut setting = setting(3);
        let away = setting.folder.path().join("away.db");
        let database = std::mem::replace(&mut setting.backups.database, away);
        assert!(setting.look(0).await.is_empty());
        let left = fs::read_dir(setting.folder.path().join("copies")).unwrap().count();
        assert_eq!(left, 0, "nothing half made");
        setting.backups.database = database;
        assert!(setting.look_on(0).await.is_empty(), "not at once");
        assert_eq!(setting.look(0).await.len(), 1);
    }
}
