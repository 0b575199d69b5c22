//! A job that is not over, as the writer remembers it: enough to judge every write without reading rows.

use std::sync::Arc;

use bunraku_actors::model::{Cause, CauseCounts, JobId, JobSpec, JobState, NodeCounts, NodeIndex, NodeState, StopMode};
use rusqlite::Connection;

use crate::store::decision::Pending;
use crate::store::fault::Fault;
use crate::store::rows;
use crate::store::specs::Specs;

/// Mirrors the transaction in progress; dropped when a group or transaction that touched it fails.
#[derive(Debug)]
pub(super) struct LiveJob {
    pub(super) spec: Arc<JobSpec>,
    pub(super) state: JobState,
    pub(super) stop: Option<StopMode>,
    pub(super) counts: NodeCounts,
    pub(super) causes: CauseCounts,
    /// The state of each node, decisions applied.
    pub(super) nodes: Vec<NodeState>,
    /// The number of entries of the state history.
    pub(super) spans: u32,
    /// Whether the counts have to be written at the end of the group.
    pub(super) counts_changed: bool,
}

impl LiveJob {
    /// Reads a job; `None` when there is none.
    pub(super) fn load(connection: &Connection, specs: &Specs, job: JobId) -> Result<Option<Self>, Fault> {
        let Some(whole) = rows::whole_job(connection, specs, job)? else { return Ok(None) };
        Ok(Some(Self {
            spec: whole.spec,
            state: whole.record.state,
            stop: whole.record.stop,
            counts: whole.record.counts,
            causes: whole.record.causes,
            nodes: whole.nodes.into_iter().map(|node| node.state).collect(),
            spans: u32::try_from(whole.record.history.len()).expect("a job enters few states"),
            counts_changed: false,
        }))
    }

    /// Moves a node to another state.
    pub(super) fn shift(&mut self, node: NodeIndex, to: NodeState) {
        let from = std::mem::replace(&mut self.nodes[node.at()], to);
        self.counts.shift(from, to, 1);
        self.counts_changed = true;
    }

    /// Moves a node to its end.
    pub(super) fn end(&mut self, node: NodeIndex, to: NodeState, cause: Option<Cause>) {
        self.shift(node, to);
        self.causes.add(cause, 1);
    }

    /// True while chunks of a decision are missing.
    pub(super) fn is_unsettled(connection: &Connection, job: JobId) -> Result<bool, Fault> {
        Ok(!Pending::load(connection, job)?.is_empty())
    }
}
