//! What the handle may read without asking an actor: live counts, and whether commands are taken.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::handle::LiveJob;
use crate::model::JobId;

/// Whether commands are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Unfinished jobs are being taken up.
    Recovering,
    Ready,
    /// The service ends.
    Draining,
    /// Nothing can go on in this process, for this reason.
    Broken(String),
}

/// Shared by the Supervisor, which writes, and every handle.
#[derive(Debug)]
pub(crate) struct Board {
    readiness: watch::Sender<Readiness>,
    live: Mutex<BTreeMap<JobId, Arc<Mutex<LiveJob>>>>,
}

impl Default for Board {
    fn default() -> Self {
        Self { readiness: watch::Sender::new(Readiness::Recovering), live: Mutex::default() }
    }
}

impl Board {
    /// Moves on; what is broken stays so, and what is draining never becomes ready.
    pub(super) fn set(&self, next: Readiness) {
        self.readiness.send_if_modified(|present| {
            let refused = match present {
                Readiness::Broken(_) => true,
                Readiness::Draining => next == Readiness::Ready,
                Readiness::Recovering | Readiness::Ready => false,
            };
            if !refused {
                *present = next;
            }
            !refused
        });
    }

    /// `None` when commands are taken; else why not.
    pub(crate) fn trouble(&self) -> Option<String> {
        match &*self.readiness.borrow() {
            Readiness::Ready => None,
            Readiness::Recovering => Some("the service is starting: unfinished jobs are being taken up".into()),
            Readiness::Draining => Some("the service is shutting down".into()),
            Readiness::Broken(reason) => Some(reason.clone()),
        }
    }

    /// Waits until unfinished jobs are taken up, or the service ends.
    pub(crate) async fn recovered(&self) {
        let mut readiness = self.readiness.subscribe();
        // The sender lives as long as the board, so the wait cannot fail.
        let _ = readiness.wait_for(|present| *present != Readiness::Recovering).await;
    }

    pub(super) fn add(&self, job: JobId, live: Arc<Mutex<LiveJob>>) {
        self.live.lock().insert(job, live);
    }

    pub(super) fn remove(&self, job: JobId) {
        self.live.lock().remove(&job);
    }

    /// A live job's committed state.
    pub(crate) fn live(&self, job: JobId) -> Option<LiveJob> {
        let shown = self.live.lock().get(&job).map(Arc::clone)?;
        let live = shown.lock().clone();
        Some(live)
    }
}
