//! The service under test: one process after another on the same directory.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::{Instant, sleep};

use super::client::Client;
use super::process::Process;
use super::site::Site;
use super::timeline::{Timeline, now};

/// How long a start, or an end on demand, may take on a busy machine before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The service, running or not.
pub(crate) struct Service {
    site: Arc<Site>,
    timeline: Arc<Timeline>,
    process: Option<Process>,
    starts: u32,
    /// When it last took commands.
    pub(crate) last_ready: DateTime<Utc>,
}

impl Service {
    pub(crate) fn new(site: &Arc<Site>, timeline: &Arc<Timeline>) -> Self {
        Self { site: Arc::clone(site), timeline: Arc::clone(timeline), process: None, starts: 0, last_ready: now() }
    }

    pub(crate) fn start(&mut self) {
        self.starts += 1;
        self.timeline.note(format!("service: start {}", self.starts));
        let log = self.site.dir.join(format!("log/serve-{:03}.log", self.starts));
        let config = self.site.dir.join("server/bunraku.yaml");
        self.process = Some(Process::start(&["serve"], &config, &self.site.variables(), &log));
    }

    /// SIGKILL, at once.
    pub(crate) fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
            self.timeline.note("service: killed");
        }
    }

    /// SIGTERM; the error says how it failed to end well.
    pub(crate) async fn terminate(&mut self) -> Result<(), String> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        self.timeline.note("service: told to end");
        let ended = process.terminate(PATIENCE).await;
        self.timeline.note("service: ended");
        match ended {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(format!("the service ended with {status} after SIGTERM")),
            None => Err(format!("the service did not end within {PATIENCE:?} after SIGTERM")),
        }
    }

    /// Waits until commands are taken; the error says that this never happens.
    pub(crate) async fn ready(&mut self, client: &Client) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        while client.get("/readyz").await.is_err() {
            if let Some(status) = self.process.as_mut().and_then(Process::ended) {
                return Err(format!("the service ended by itself: {status}"));
            }
            if Instant::now() >= until {
                return Err(format!("the service is not ready within {PATIENCE:?}"));
            }
            sleep(LOOK_AGAIN).await;
        }
        self.last_ready = now();
        self.timeline.note("service: ready");
        Ok(())
    }
}
