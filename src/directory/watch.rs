//! When to read the environments directory again: after a change in it, and every minute in any case.
//!
//! Events of the file system are a hint, never a record: mounts without them and lost ones are covered by the minute.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, warn};

/// How often the directory is read without any event.
const RESCAN: Duration = Duration::from_secs(60);
/// A burst of events is over when none came for so long.
const QUIET: Duration = Duration::from_millis(150);
/// The longest that a burst may put off reading.
const PATIENCE: Duration = Duration::from_secs(2);

/// Watches one directory.
pub(super) struct DirectoryWatch {
    directory: PathBuf,
    /// Events are not queued: any number of them is one wake-up.
    changed: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
    /// Device and inode of the watched directory; another one of that name needs a new watch.
    watched: Option<(u64, u64)>,
    complained: bool,
}

impl DirectoryWatch {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            changed: Arc::default(),
            watcher: None,
            watched: None,
            complained: false,
        }
    }

    /// Sees to it that the present directory of that name is watched. To be called before each reading, so that no
    /// change falls between the two. Blocks on the file system.
    pub(super) fn arm(&mut self) {
        let present = fs::metadata(&self.directory).ok().map(|there| (there.dev(), there.ino()));
        if present.is_some() && present == self.watched {
            return;
        }
        self.watched = None;
        self.watcher = None;
        if present.is_none() {
            return;
        }
        match self.start() {
            Ok(watcher) => {
                self.watcher = Some(watcher);
                self.watched = present;
                self.complained = false;
            }
            Err(error) => {
                let first = !std::mem::replace(&mut self.complained, true);
                if first {
                    let directory = self.directory.display();
                    warn!(%directory, %error, "changes are only seen by reading every minute");
                }
            }
        }
    }

    fn start(&self) -> notify::Result<RecommendedWatcher> {
        let changed = Arc::clone(&self.changed);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Our own reading shows as access; taking it for a change would never end.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                changed.notify_one();
            }
        })?;
        watcher.watch(&self.directory, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    }

    /// Waits until it is time to read again.
    pub(super) async fn due(&self) {
        tokio::select! {
            () = self.changed.notified() => self.settle().await,
            () = sleep(RESCAN) => {}
        }
    }

    /// Waits for the end of a burst: an editor's save is several events.
    async fn settle(&self) {
        let latest = Instant::now() + PATIENCE;
        loop {
            let quiet = (Instant::now() + QUIET).min(latest);
            if timeout_at(quiet, self.changed.notified()).await.is_err() {
                debug!(directory = %self.directory.display(), "the environments changed on disk");
                return;
            }
            if Instant::now() >= latest {
                return;
            }
        }
    }
}
