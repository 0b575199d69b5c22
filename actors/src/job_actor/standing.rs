//! Why a node of the job is where it is: what is committed of it, and what keeps it from going on.

use crate::handle::{NodeStanding, Standing};
use crate::model::{CertName, NodeIndex, NodeState};
use crate::plan::waits_for;
use crate::ports::Restoration;

use super::actor::JobActor;
use super::window::Place;

/// The most nodes that are named of those for which one waits.
const NAMED: usize = 10;

impl JobActor {
    /// Where the node of this name stands; `None` when the job has none.
    pub(super) fn standing(&self, name: &CertName) -> Option<NodeStanding> {
        let node = self.spec.index_of(name)?;
        let state = self.ledger.node(node);
        let standing = match state {
            NodeState::New | NodeState::Ready => self.waiting(node, name),
            NodeState::Running => self.running(node, name),
            NodeState::Finished | NodeState::Failed | NodeState::Errored | NodeState::Skipped => Standing::Over,
        };
        Some(NodeStanding { job: self.id, kind: self.kind, state, standing })
    }

    fn running(&self, node: NodeIndex, name: &CertName) -> Standing {
        match self.runs.get(&node) {
            Some(run) => Standing::Runs {
                since: run.started_at,
                until: run.deadline,
                away: self.ports.transport.connection(name).is_none(),
            },
            // Its end is decided and about to be committed.
            None => Standing::Over,
        }
    }

    fn waiting(&self, node: NodeIndex, name: &CertName) -> Standing {
        if !self.job().is_open() {
            return Standing::Stopping;
        }
        if self.restoration == Restoration::Waiting {
            return Standing::Restored;
        }
        if self.draining {
            return Standing::Draining;
        }
        match self.window.place(node) {
            Some(Place::Away(until)) => Standing::Away { until },
            Some(Place::Turn) => Standing::Turn { job: self.pool.turn_of(self.kind, name) },
            Some(Place::Ready) => self.waits_for_slot(),
            None if self.job().node(node) == NodeState::New => self.depends(node),
            // Its start is decided and about to be committed.
            None => Standing::Next,
        }
    }

    fn waits_for_slot(&self) -> Standing {
        if let Some(limit) = self.spec.concurrency.filter(|_| self.room() == 0) {
            return Standing::Concurrency { limit: limit.get() };
        }
        let binding = self.pool.bottleneck(self.kind);
        let usage = binding.and_then(|binding| self.pool.usage().into_iter().find(|usage| usage.is_of(binding)));
        usage.map_or(Standing::Next, Standing::Slot)
    }

    fn depends(&self, node: NodeIndex) -> Standing {
        let before = waits_for(&self.spec, node, |other| self.job().node(other) == NodeState::Finished);
        let named = before.iter().take(NAMED).map(|other| self.spec.node(*other).clone()).collect();
        Standing::Depends { count: u32::try_from(before.len()).unwrap_or(u32::MAX), on: named }
    }
}
