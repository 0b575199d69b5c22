//! What is decided and what is committed: the queue of writes between the two.
//!
//! One append is in flight at a time; everything that waits goes into the next group, up to [`GROUP`] writes. A batch is
//! never split. The queue is bounded by the job itself: each open run adds a handful of writes to it, and no run is
//! started before an earlier one's end is committed once the job's slots are used up.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::inbox::Outlet;
use crate::model::{JobState, NodeCounts, NodeIndex, NodeState};
use crate::ports::{JobStore, StoreError, StoredNode, Write};

use super::actor::StoreReply;
use super::messages::StopTicket;

/// The most writes of one group: at some four rows each they stay below what one transaction of the store may hold. No
/// batch of a step is larger.
pub(crate) const GROUP: usize = 400;
/// How long to wait before another try of an append that the store could not take: doubled each time, up to the last.
pub(super) const FIRST_RETRY: Duration = Duration::from_millis(100);
pub(super) const LAST_RETRY: Duration = Duration::from_secs(5);

/// Writes that are committed together, and who is to be told then.
#[derive(Debug, Default)]
struct Batch {
    writes: Vec<Write>,
    told: Option<StopTicket>,
}

/// The queue, and the job as it is committed.
#[derive(Debug)]
pub(super) struct Ledger {
    queued: VecDeque<Batch>,
    in_flight: Vec<Batch>,
    state: JobState,
    nodes: Vec<NodeState>,
    counts: NodeCounts,
}

/// What became true with a commit.
#[derive(Debug, Default)]
pub(super) struct Committed {
    pub(super) writes: Vec<Write>,
    pub(super) told: Vec<StopTicket>,
}

impl Ledger {
    pub(super) fn new(state: JobState, stored: &[StoredNode]) -> Self {
        let nodes: Vec<NodeState> = stored.iter().map(|node| node.state).collect();
        let mut counts = NodeCounts::default();
        nodes.iter().for_each(|state| counts.add(*state, 1));
        Self { queued: VecDeque::new(), in_flight: Vec::new(), state, nodes, counts }
    }

    /// Queues writes that belong together.
    pub(super) fn submit(&mut self, writes: Vec<Write>) {
        if !writes.is_empty() {
            self.queued.push_back(Batch { writes, told: None });
        }
    }

    /// As [`Ledger::submit`]; `ticket` is told when these and all earlier ones are committed.
    pub(super) fn submit_and_tell(&mut self, writes: Vec<Write>, ticket: StopTicket) {
        self.queued.push_back(Batch { writes, told: Some(ticket) });
    }

    /// The committed counts.
    pub(super) fn counts(&self) -> NodeCounts {
        self.counts
    }

    /// The committed state of a node.
    pub(super) fn node(&self, node: NodeIndex) -> NodeState {
        self.nodes[node.at()]
    }

    /// The committed state.
    pub(super) fn state(&self) -> JobState {
        self.state
    }

    /// True when everything decided is committed.
    pub(super) fn is_idle(&self) -> bool {
        self.queued.is_empty() && self.in_flight.is_empty()
    }

    /// The next group to append; `None` while one is in flight or nothing waits. May be empty of writes, which needs no
    /// append.
    pub(super) fn next_group(&mut self) -> Option<Vec<Write>> {
        if !self.in_flight.is_empty() || self.queued.is_empty() {
            return None;
        }
        let mut size = 0;
        while let Some(batch) = self.queued.front() {
            size += batch.writes.len();
            if size > GROUP && !self.in_flight.is_empty() {
                break;
            }
            self.in_flight.extend(self.queued.pop_front());
        }
        self.leave_out_acceptances();
        Some(self.in_flight())
    }

    /// That an agent accepted a run says nothing any more beside how the run ended: one write less of each short run.
    fn leave_out_acceptances(&mut self) {
        let writes = || self.in_flight.iter().flat_map(|batch| &batch.writes);
        let ended: BTreeSet<NodeIndex> = writes()
            .filter_map(|write| match write {
                Write::NodeEnded { node, .. } => Some(*node),
                _ => None,
            })
            .collect();
        if ended.is_empty() {
            return;
        }
        let is_needed = |write: &Write| !matches!(write, Write::NodeAccepted { node, .. } if ended.contains(node));
        for batch in &mut self.in_flight {
            batch.writes.retain(is_needed);
        }
    }

    /// The group in flight. It is also kept here: for another try, and because what a commit means is read from it.
    pub(super) fn in_flight(&self) -> Vec<Write> {
        self.in_flight.iter().flat_map(|batch| &batch.writes).cloned().collect()
    }

    /// The group in flight is committed.
    pub(super) fn commit(&mut self) -> Committed {
        let mut committed = Committed::default();
        for batch in std::mem::take(&mut self.in_flight) {
            batch.writes.iter().for_each(|write| self.apply(write));
            committed.writes.extend(batch.writes);
            committed.told.extend(batch.told);
        }
        committed
    }

    fn apply(&mut self, write: &Write) {
        match write {
            Write::NodesReady { nodes, .. } => nodes.iter().for_each(|node| self.shift(*node, NodeState::Ready)),
            Write::NodeStarted { node, .. } => self.shift(*node, NodeState::Running),
            Write::NodeEnded { node, end, .. } | Write::NodeUnstarted { node, end, .. } => self.shift(*node, end.state),
            Write::NodesSkipped { nodes, .. } => nodes.iter().for_each(|node| self.shift(*node, NodeState::Skipped)),
            Write::JobState { state, .. } | Write::JobEnded { state, .. } | Write::JobAborted { state, .. } => {
                self.state = *state;
            }
            Write::StopAccepted { .. } => self.state = JobState::Stopping,
            Write::NodeResent { .. }
            | Write::NodeAccepted { .. }
            | Write::JobResumed { .. }
            | Write::HoldEnded { .. } => {}
        }
    }

    fn shift(&mut self, node: NodeIndex, to: NodeState) {
        let from = std::mem::replace(&mut self.nodes[node.at()], to);
        self.counts.shift(from, to, 1);
    }
}

/// The states that a job passes before its first start, with those that are committed left out.
pub(super) fn states_before_running(present: JobState) -> &'static [JobState] {
    match present {
        JobState::New => &[JobState::Ready, JobState::Running],
        JobState::Ready => &[JobState::Running],
        JobState::Running | JobState::Stopping | JobState::Stopped | JobState::Finished | JobState::Failed => &[],
    }
}

/// An answer that is owed to the actor: dropped without having been given, as by a panic, it says that the store failed.
pub(super) struct Answer {
    replies: Outlet<StoreReply>,
    kind: fn(Result<(), StoreError>) -> StoreReply,
    given: bool,
}

impl Answer {
    pub(super) fn new(replies: Outlet<StoreReply>, kind: fn(Result<(), StoreError>) -> StoreReply) -> Self {
        Self { replies, kind, given: false }
    }

    pub(super) fn give(mut self, result: Result<(), StoreError>) {
        self.given = true;
        self.replies.send((self.kind)(result));
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.given {
            self.replies.send((self.kind)(Err(StoreError::Failed("it gave no answer".into()))));
        }
    }
}

/// Appends until the store takes it; gives up only when the store is broken.
pub(crate) async fn append_until_done(store: &Arc<dyn JobStore>, writes: Vec<Write>) -> Result<(), StoreError> {
    let mut delay = FIRST_RETRY;
    loop {
        match store.append(writes.clone()).await {
            Err(StoreError::Unavailable(reason)) => {
                tracing::warn!(%reason, writes = writes.len(), retry_ms = delay.as_millis(), "append refused");
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(LAST_RETRY);
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::model::{JobId, NodeEnd};

    fn accepted(node: u32) -> Write {
        Write::NodeAccepted { job: JobId(1), node: NodeIndex(node) }
    }

    fn ended(node: u32) -> Write {
        let end = NodeEnd {
            state: NodeState::Finished,
            cause: None,
            message: String::new(),
            result: serde_json::Value::Null,
            details: serde_json::Value::Null,
            transaction_uuid: None,
            resource_events: Vec::new(),
        };
        Write::NodeEnded {
            job: JobId(1),
            node: NodeIndex(node),
            at: DateTime::UNIX_EPOCH,
            end: Arc::new(end),
            hold: None,
        }
    }

    #[test]
    fn an_acceptance_beside_the_end_of_its_run_is_not_written() {
        let mut ledger = Ledger::new(JobState::Running, &[]);
        for batch in [vec![accepted(0)], vec![accepted(1)], vec![ended(0)]] {
            ledger.submit(batch);
        }
        for writes in [ledger.next_group().unwrap(), ledger.in_flight()] {
            let [Write::NodeAccepted { node: NodeIndex(1), .. }, Write::NodeEnded { node: NodeIndex(0), .. }] =
                &writes[..]
            else {
                panic!("{writes:?}")
            };
        }
    }
}
