//! What the parts of a running agent share, and the register of the runs that go on.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::config::AgentConfig;
use super::outbox::Outbox;
use super::puppet::PuppetHost;
use super::spool::{Ledger, Spool};
use super::task::Downloader;
use crate::wire::pcp::{Message, Uri};

/// A running agent.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) config: AgentConfig,
    /// The agent's own address.
    pub(super) uri: Uri,
    pub(super) spool: Spool,
    pub(super) ledger: Ledger,
    pub(super) outbox: Outbox,
    pub(super) puppet: PuppetHost,
    pub(super) downloads: Downloader,
    runs: Mutex<Runs>,
    spool_lost: Notify,
}

/// The runs that go on, each with a task of its own. Their number is the orchestrator's affair: it holds the limits.
#[derive(Debug, Default)]
struct Runs {
    active: BTreeMap<Uuid, Active>,
    tasks: JoinSet<()>,
    stopping: bool,
}

/// A run that goes on.
#[derive(Debug)]
struct Active {
    cancel: watch::Sender<bool>,
    catalog_ready: bool,
}

impl Agent {
    /// An agent that is not connected yet.
    pub(super) fn new(config: AgentConfig, uri: Uri, spool: Spool, ledger: Ledger) -> Self {
        Self {
            puppet: PuppetHost::new(config.puppet.clone()),
            downloads: Downloader::new(&config),
            config,
            uri,
            spool,
            ledger,
            outbox: Outbox::default(),
            runs: Mutex::default(),
            spool_lost: Notify::new(),
        }
    }

    /// Whether the spool can be relied on: asked before anything follows from what is not in it. If not, the agent ends,
    /// and the next one begins with what is there, under the name of that.
    pub(super) fn has_its_spool(&self) -> bool {
        let in_place = self.spool.is_in_place();
        if !in_place {
            self.spool_lost.notify_one();
        }
        in_place
    }

    /// Returns once the spool was found to be lost.
    pub(super) async fn until_spool_is_lost(&self) {
        self.spool_lost.notified().await;
    }

    /// Queues an answer for the present connection.
    pub(super) fn answer(&self, message: &Message) {
        self.outbox.answer(message.encode());
    }

    /// Runs `work` as a task of its own. It is given the signal that turns true when the run is canceled, and counts as
    /// going on until it ends, however it ends.
    pub(super) fn spawn<F>(
        self: &std::sync::Arc<Self>,
        transaction: Uuid,
        work: impl FnOnce(watch::Receiver<bool>) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (cancel, canceled) = watch::channel(false);
        let guard = ActiveRun { agent: std::sync::Arc::clone(self), transaction };
        let work = work(canceled);
        let mut runs = self.runs.lock();
        // Collects the tasks that ended; a panic in one of them was logged by its thread.
        while runs.tasks.try_join_next().is_some() {}
        if runs.stopping {
            drop(runs);
            return;
        }
        runs.active.insert(transaction, Active { cancel, catalog_ready: false });
        runs.tasks.spawn(async move {
            let _guard = guard;
            work.await;
        });
    }

    /// Whether a run goes on.
    pub(super) fn is_active(&self, transaction: Uuid) -> bool {
        self.runs.lock().active.contains_key(&transaction)
    }

    /// Whether a run that goes on has its catalog; `None` when it does not go on.
    pub(super) fn active(&self, transaction: Uuid) -> Option<bool> {
        self.runs.lock().active.get(&transaction).map(|run| run.catalog_ready)
    }

    /// The catalog of a run is there: whoever asks about it is told.
    pub(super) fn catalog_ready(&self, transaction: Uuid) {
        if let Some(run) = self.runs.lock().active.get_mut(&transaction) {
            run.catalog_ready = true;
        }
    }

    /// Tells a run to end; `false` when it does not go on.
    pub(super) fn cancel(&self, transaction: Uuid) -> bool {
        let runs = self.runs.lock();
        runs.active.get(&transaction).is_some_and(|run| {
            run.cancel.send_replace(true);
            true
        })
    }

    /// Tells all runs to end.
    pub(super) fn cancel_all(&self) {
        for run in self.runs.lock().active.values() {
            run.cancel.send_replace(true);
        }
    }

    /// Whether any run goes on.
    pub(super) fn has_active(&self) -> bool {
        !self.runs.lock().active.is_empty()
    }

    /// Stops the agent's part in its runs. The processes go on; the next agent takes them over.
    pub(super) fn let_go(&self) {
        let mut runs = self.runs.lock();
        runs.stopping = true;
        runs.tasks.abort_all();
    }
}

/// Takes a run out of the register when its task ends.
struct ActiveRun {
    agent: std::sync::Arc<Agent>,
    transaction: Uuid,
}

impl Drop for ActiveRun {
    fn drop(&mut self) {
        self.agent.runs.lock().active.remove(&self.transaction);
    }
}
