//! Somebody who looks at lists and status all the time: nothing that the service does meanwhile may fail him.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::client::Client;
use super::figures::spread;

const PATHS: [&str; 2] = ["/orchestrator/v1/jobs?limit=20", "/status/v1/simple"];
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// A running probe.
pub(crate) struct Probe {
    stop: Arc<Notify>,
    task: JoinHandle<Probed>,
}

/// What it came to.
#[derive(Debug, Default)]
pub(crate) struct Probed {
    pub(crate) times: Vec<Duration>,
    pub(crate) failures: Vec<String>,
}

impl Probe {
    pub(crate) fn start(client: &Client) -> Self {
        let stop = Arc::new(Notify::new());
        let (client, stopped) = (client.clone(), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            let mut probed = Probed::default();
            loop {
                for path in PATHS {
                    let begun = Instant::now();
                    match client.try_get(path).await {
                        Ok(_) => probed.times.push(begun.elapsed()),
                        Err(error) => probed.failures.push(format!("{path}: {error:?}")),
                    }
                }
                tokio::select! {
                    () = stopped.notified() => return probed,
                    () = sleep(PAUSE) => {}
                }
            }
        });
        Self { stop, task }
    }

    /// Ends it. Nothing may have failed; the spread of its times.
    pub(crate) async fn end(self) -> String {
        self.stop.notify_one();
        let probed = self.task.await.unwrap();
        assert_eq!(probed.failures, Vec::<String>::new(), "of {} requests", probed.times.len());
        spread(&probed.times)
    }
}
