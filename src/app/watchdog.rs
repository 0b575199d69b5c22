//! A thread of its own that looks whether the engine is alive, and ends the process when it stays hung.
//!
//! A thread that is stuck cannot be helped from within its process. So: as long as all is well the service manager is
//! told so; from the first sight of a hang on it is not, and `/livez` says why; and when the hang lasts, the process ends,
//! for whoever runs it to start it again. What was committed goes on then.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::time::Instant;

use super::notify::{Notifier, watchdog_time};

/// How often is looked.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// The exit code of a process that ended itself: an internal fault, as `sysexits.h` calls it.
const HUNG: u8 = 70;

/// What the thread needs; tests put in their own.
pub(super) struct Watch<Hang, Status, End> {
    /// What hangs, if something does.
    pub(super) hang: Hang,
    /// One line for the service manager.
    pub(super) status: Status,
    /// Ends the process.
    pub(super) end: End,
    /// How long a hang may last before that.
    pub(super) patience: Duration,
    pub(super) interval: Duration,
}

/// A running watchdog; it ends when it is dropped.
pub(super) struct Watchdog {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub(super) fn start<Hang, Status>(
        notifier: Arc<Notifier>,
        patience: Duration,
        hang: Hang,
        status: Status,
    ) -> std::io::Result<Self>
    where
        Hang: Fn() -> Option<String> + Send + 'static,
        Status: Fn() -> String + Send + 'static,
    {
        // Twice as often as the service manager wants it.
        let interval = watchdog_time().map_or(LOOK_INTERVAL, |time| (time / 2).min(LOOK_INTERVAL));
        let end = || std::process::exit(i32::from(HUNG));
        Self::spawn(notifier, Watch { hang, status, end, patience, interval })
    }

    fn spawn<Hang, Status, End>(notifier: Arc<Notifier>, watch: Watch<Hang, Status, End>) -> std::io::Result<Self>
    where
        Hang: Fn() -> Option<String> + Send + 'static,
        Status: Fn() -> String + Send + 'static,
        End: Fn() + Send + 'static,
    {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new().name("watchdog".to_owned());
        let thread = thread.spawn(move || watch.run(&notifier, &stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the watchdog did not end well");
        }
    }
}

impl<Hang, Status, End> Watch<Hang, Status, End>
where
    Hang: Fn() -> Option<String>,
    Status: Fn() -> String,
    End: Fn(),
{
    fn run(&self, notifier: &Notifier, stopped: &mpsc::Receiver<()>) {
        let mut since: Option<Instant> = None;
        loop {
            match (self.hang)() {
                None => {
                    if since.take().is_some() {
                        tracing::warn!("the engine shows signs of life again");
                    }
                    notifier.tell(&format!("WATCHDOG=1\nSTATUS={}", (self.status)()));
                }
                Some(what) => {
                    let begun = *since.get_or_insert_with(|| {
                        tracing::error!(%what, "the service hangs");
                        notifier.tell(&format!("STATUS=hangs: {what}"));
                        Instant::now()
                    });
                    if begun.elapsed() >= self.patience {
                        tracing::error!(%what, "the service stays hung and ends: start it again");
                        (self.end)();
                        return;
                    }
                }
            }
            if stopped.recv_timeout(self.interval) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn the_manager_hears_of_life_only_and_a_lasting_hang_ends_the_process() {
        let hangs = Arc::new(AtomicBool::new(false));
        let (ended, end) = mpsc::channel();
        let seen = Arc::clone(&hangs);
        let watch = Watch {
            hang: move || seen.load(Ordering::Acquire).then(|| "the actor of job 7 hangs".to_owned()),
            status: || "3 nodes run".to_owned(),
            end: move || ended.send(()).unwrap(),
            patience: Duration::from_millis(40),
            interval: Duration::from_millis(5),
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Arc::new(Notifier::to(path.as_os_str()));
        let watchdog = Watchdog::spawn(notifier, watch).unwrap();
        let hear = || {
            let mut told = [0; 200];
            let length = manager.recv(&mut told).unwrap();
            String::from_utf8_lossy(&told[..length]).into_owned()
        };
        assert_eq!(hear(), "WATCHDOG=1\nSTATUS=3 nodes run");
        hangs.store(true, Ordering::Release);
        while !hear().contains("hangs: the actor of job 7 hangs") {}
        end.recv().unwrap();
        manager.set_nonblocking(true).unwrap();
        let mut more = [0; 10];
        assert!(manager.recv(&mut more).is_err(), "a service that hangs gives no sign of life");
        drop(watchdog);
    }
}
