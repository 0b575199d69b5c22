//! An agent on a node: its spool, what it runs, what it answers. It knows nothing of sessions and of the service.
//!
//! Two kinds: ours, and a pxp-agent, which has no `cancel`, names no spool, tells of no catalog, and never repeats a final
//! answer (`docs/pcp.md`).

use std::collections::{BTreeMap, BTreeSet};

use bunraku_actors::model::{JobKind, RunOutcome, TaskOutcome, TransactionId};
use bunraku_actors::ports::{RunRequest, RunSignal, StatusAnswer};
use bunraku_actors::testing::Script;
use serde_json::Value;

use crate::ground::Moment;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Pxp,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Succeeded,
    Failed,
    /// Ended by our cancel.
    Canceled,
    /// The machine went down in the middle of it.
    Lost,
}

/// A run that an agent began.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) kind: JobKind,
    pub(crate) catalog_at: Moment,
    /// The agent's process that began it: only that one tells its end by itself.
    process: u32,
    will_fail: bool,
    pub(crate) end: Option<End>,
}

impl Run {
    fn outcome(&self, end: End) -> RunOutcome {
        match (end, self.kind) {
            (End::Canceled | End::Lost, _) => canceled(),
            (_, JobKind::Deploy) => Script::puppet(if end == End::Failed { "failed" } else { "changed" }),
            (_, JobKind::Task) => {
                RunOutcome::Task(TaskOutcome { exitcode: i64::from(end == End::Failed), ..TaskOutcome::default() })
            }
        }
    }
}

fn canceled() -> RunOutcome {
    RunOutcome::Canceled { results: Value::Null }
}

/// What comes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A run began.
    Began,
    /// It is known already.
    Known,
    /// It was canceled before it came, and never begins.
    Canceled,
}

/// What comes of a cancel.
#[derive(Debug, PartialEq)]
pub(crate) enum CancelAnswer {
    /// A run that goes on is being ended.
    Ending,
    /// The request never begins.
    Never,
    /// The run was over before.
    Over,
}

/// The agent.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) kind: Kind,
    spool_id: u32,
    process: u32,
    spool: BTreeMap<TransactionId, Run>,
    tombstones: BTreeSet<TransactionId>,
    /// Ends that could not be told.
    untold: Vec<TransactionId>,
}

impl Agent {
    pub(crate) fn new(kind: Kind, spool_id: u32) -> Self {
        Self { kind, spool_id, process: 0, spool: BTreeMap::new(), tombstones: BTreeSet::new(), untold: Vec::new() }
    }

    /// The spool's name, as the agent tells it when it connects.
    pub(crate) fn spool_name(&self) -> Option<String> {
        (self.kind == Kind::Ours).then(|| format!("spool-{}", self.spool_id))
    }

    pub(crate) fn run(&self, transaction: TransactionId) -> Option<&Run> {
        self.spool.get(&transaction)
    }

    pub(crate) fn receive(&mut self, request: &RunRequest, catalog_at: Moment, will_fail: bool) -> Received {
        if self.tombstones.contains(&request.transaction) {
            return Received::Canceled;
        }
        if self.spool.contains_key(&request.transaction) {
            return Received::Known;
        }
        let run = Run { kind: request.action.kind(), catalog_at, process: self.process, will_fail, end: None };
        self.spool.insert(request.transaction, run);
        Received::Began
    }

    /// The run's work is done, unless it was over before. Returns how it ended.
    pub(crate) fn complete(&mut self, transaction: TransactionId) -> Option<End> {
        let run = self.spool.get_mut(&transaction).filter(|run| run.end.is_none())?;
        let end = if run.will_fail { End::Failed } else { End::Succeeded };
        run.end = Some(end);
        Some(end)
    }

    /// The run is killed for a cancel, unless it was over before.
    pub(crate) fn kill(&mut self, transaction: TransactionId) -> bool {
        let run = self.spool.get_mut(&transaction).filter(|run| run.end.is_none());
        run.map(|run| run.end = Some(End::Canceled)).is_some()
    }

    /// The final answer, if the present process owes it.
    pub(crate) fn last_word(&self, transaction: TransactionId) -> Option<RunSignal> {
        let run = self.spool.get(&transaction).filter(|run| run.process == self.process)?;
        Some(RunSignal::Ended(run.outcome(run.end?)))
    }

    /// The final answer could not be told. Ours tells it at the next connect; a pxp-agent never does.
    pub(crate) fn keep_untold(&mut self, transaction: TransactionId) {
        if self.kind == Kind::Ours {
            self.untold.push(transaction);
        }
    }

    pub(crate) fn take_untold(&mut self) -> Vec<TransactionId> {
        std::mem::take(&mut self.untold)
    }

    pub(crate) fn cancel(&mut self, transaction: TransactionId) -> CancelAnswer {
        match self.spool.get(&transaction) {
            Some(run) if run.end.is_none() => CancelAnswer::Ending,
            Some(_) => CancelAnswer::Over,
            None => {
                self.tombstones.insert(transaction);
                CancelAnswer::Never
            }
        }
    }

    pub(crate) fn status(&self, transaction: TransactionId) -> StatusAnswer {
        if self.tombstones.contains(&transaction) {
            return StatusAnswer::Over(canceled());
        }
        match self.spool.get(&transaction) {
            None => StatusAnswer::NeverArrived,
            Some(Run { end: None, .. }) => StatusAnswer::Running,
            Some(Run { end: Some(End::Lost), .. }) => StatusAnswer::Unknown("the process is gone".into()),
            Some(run) => StatusAnswer::Over(run.outcome(run.end.unwrap_or(End::Lost))),
        }
    }

    /// The agent's process ends and another one starts; what runs goes on.
    pub(crate) fn restart(&mut self) {
        self.process += 1;
        self.untold.clear();
    }

    /// The machine goes down: what runs is lost. Returns what that was.
    pub(crate) fn reboot(&mut self) -> Vec<TransactionId> {
        self.restart();
        let running = self.spool.iter_mut().filter(|(_, run)| run.end.is_none());
        running
            .map(|(transaction, run)| {
                run.end = Some(End::Lost);
                *transaction
            })
            .collect()
    }

    /// The machine is made anew: what runs and everything that is known is lost.
    pub(crate) fn wipe(&mut self, spool_id: u32) -> Vec<TransactionId> {
        let lost = self.reboot();
        self.spool.clear();
        self.tombstones.clear();
        self.spool_id = spool_id;
        lost
    }
}
