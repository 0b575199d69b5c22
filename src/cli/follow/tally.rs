//! Counts a job's nodes by state from its events alone, so that a progress view needs no second source.

use std::collections::BTreeSet;

use bunraku_actors::model::{EventKind, NodeState};

use crate::cli::answers::Event;

/// How many nodes are where. What has not been heard of waits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    total: u64,
    running: BTreeSet<String>,
    finished: u64,
    failed: u64,
    errored: u64,
    skipped: u64,
}

impl Tally {
    /// A job of so many nodes, none of which was heard of yet.
    pub(crate) fn new(total: u64) -> Self {
        Self { total, ..Self::default() }
    }

    /// Counts one event; those about the job itself change nothing.
    pub(crate) fn apply(&mut self, event: &Event) {
        let Some(node) = event.node() else { return };
        let ended = match EventKind::from_name(&event.kind) {
            Some(EventKind::NodeRunning) => {
                self.running.insert(node.to_owned());
                return;
            }
            Some(EventKind::NodeFinished) => &mut self.finished,
            Some(EventKind::NodeFailed) => &mut self.failed,
            Some(EventKind::NodeErrored) => &mut self.errored,
            Some(EventKind::NodeSkipped) => &mut self.skipped,
            Some(EventKind::JobStopping | EventKind::JobFinished | EventKind::JobAborted) | None => return,
        };
        *ended += 1;
        self.running.remove(node);
    }

    /// All nodes of the job.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The nodes in one state; `New` stands for all that wait.
    pub(crate) fn count(&self, state: NodeState) -> u64 {
        let running = self.running.len() as u64;
        match state {
            NodeState::Running => running,
            NodeState::Finished => self.finished,
            NodeState::Failed => self.failed,
            NodeState::Errored => self.errored,
            NodeState::Skipped => self.skipped,
            NodeState::New => {
                self.total.saturating_sub(running + self.finished + self.failed + self.errored + self.skipped)
            }
            NodeState::Ready => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn event(kind: &str, node: &str) -> Event {
        Event { kind: kind.to_owned(), details: json!({ "node": node }), ..Event::default() }
    }

    #[test]
    fn nodes_move_from_waiting_to_their_end() {
        let mut tally = Tally::new(4);
        for (kind, node) in [
            ("node_running", "a"),
            ("node_running", "b"),
            ("node_finished", "a"),
            ("node_errored", "c"),
            ("job_stopping", "a"),
            ("node_invented", "a"),
        ] {
            tally.apply(&event(kind, node));
        }
        let counts = NodeState::ALL.map(|state| tally.count(state));
        // new, ready, running, finished, failed, errored, skipped
        assert_eq!(counts, [1, 0, 1, 1, 0, 1, 0]);
    }

    proptest! {
        #[test]
        fn the_sum_is_always_the_job(ends in prop::collection::vec((0u8..5, any::<bool>()), 0..40)) {
            let mut tally = Tally::new(ends.len() as u64);
            for (index, (end, runs_first)) in ends.iter().enumerate() {
                let node = format!("n{index}");
                if *runs_first {
                    tally.apply(&event("node_running", &node));
                }
                let kinds = ["node_finished", "node_failed", "node_errored", "node_skipped"];
                if let Some(kind) = kinds.get(usize::from(*end)) {
                    tally.apply(&event(kind, &node));
                }
                let sum: u64 = NodeState::ALL.into_iter().map(|state| tally.count(state)).sum();
                prop_assert_eq!(sum, tally.total());
            }
        }
    }
}
