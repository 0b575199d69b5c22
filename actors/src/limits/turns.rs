//! The turn of every node: one run per node and kind across all jobs.
//!
//! Jobs that meet a taken turn are told, oldest job first, when it is released; until then they hold nothing, so a
//! turn never waits for a job that itself waits for a slot.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::inbox::Outlet;
use crate::model::{CertName, JobId, JobKind, NodeIndex};

use super::PoolSignal;

#[derive(Debug, Default)]
struct Turn {
    /// Runs and holds on the node; more than one only where recovery found them so.
    taken: u32,
    /// The job whose run has the turn; `None` for a hold.
    job: Option<JobId>,
    /// Restored jobs whose run may be going on there: nobody has asked the agent yet.
    doubts: BTreeSet<JobId>,
    waiting: BTreeMap<JobId, (Outlet<PoolSignal>, NodeIndex)>,
}

impl Turn {
    /// Nothing is known to go on there.
    fn is_only_in_doubt(&self) -> bool {
        self.taken as usize == self.doubts.len()
    }
}

/// All taken turns.
#[derive(Debug, Default)]
pub(super) struct Turns(HashMap<(JobKind, CertName), Turn>);

impl Turns {
    /// Takes the turn, or notes that the job waits for it.
    pub(super) fn take(
        &mut self,
        kind: JobKind,
        node: &CertName,
        job: JobId,
        index: NodeIndex,
        outlet: Outlet<PoolSignal>,
    ) -> bool {
        let turn = self.0.entry((kind, node.clone())).or_default();
        // The run in doubt has the same id as this one: it is the same run.
        if turn.taken > u32::from(turn.doubts.contains(&job)) {
            turn.waiting.insert(job, (outlet, index));
            return false;
        }
        turn.doubts.remove(&job);
        turn.taken = 1;
        turn.job = Some(job);
        turn.waiting.remove(&job);
        true
    }

    /// Whether the turn is free, as far as a node that is away goes; if not, the job waits for it.
    pub(super) fn is_free(
        &mut self,
        kind: JobKind,
        node: &CertName,
        job: JobId,
        index: NodeIndex,
        outlet: Outlet<PoolSignal>,
    ) -> bool {
        let Some(turn) = self.0.get_mut(&(kind, node.clone())) else { return true };
        // For a node that is away, doubts are no obstacle: when it comes, its agent is asked before anything starts there.
        if turn.is_only_in_doubt() {
            return true;
        }
        turn.waiting.insert(job, (outlet, index));
        false
    }

    /// The job whose run has the turn; `None` for a hold, and when it is free.
    pub(super) fn owner(&self, kind: JobKind, node: &CertName) -> Option<JobId> {
        self.0.get(&(kind, node.clone())).and_then(|turn| turn.job)
    }

    /// Takes the turn whatever stands there; `job` is `None` for a hold.
    pub(super) fn adopt(&mut self, kind: JobKind, node: &CertName, job: Option<JobId>) {
        let turn = self.0.entry((kind, node.clone())).or_default();
        turn.taken += 1;
        turn.job = job.or(turn.job);
    }

    /// Takes the turn, whatever stands there, for a run of which nobody knows whether it goes on.
    pub(super) fn doubt(&mut self, kind: JobKind, node: &CertName, job: JobId) {
        let turn = self.0.entry((kind, node.clone())).or_default();
        if turn.doubts.insert(job) {
            turn.taken += 1;
        }
    }

    /// That is known now.
    pub(super) fn doubt_over(&mut self, kind: JobKind, node: &CertName, job: JobId) {
        let turn = self.0.get_mut(&(kind, node.clone()));
        if turn.is_some_and(|turn| turn.doubts.remove(&job)) {
            self.release(kind, node);
        }
    }

    /// The run passes its turn on to its hold.
    pub(super) fn keep(&mut self, kind: JobKind, node: &CertName) {
        if let Some(turn) = self.0.get_mut(&(kind, node.clone())) {
            turn.job = None;
        }
    }

    /// Gives the turn back and tells everyone who waits for it.
    pub(super) fn release(&mut self, kind: JobKind, node: &CertName) {
        let key = (kind, node.clone());
        let Some(turn) = self.0.get_mut(&key) else { return };
        turn.taken = turn.taken.saturating_sub(1);
        if !turn.is_only_in_doubt() {
            return;
        }
        // Some of them may have to wait on; they look and say so.
        let over = turn.taken == 0;
        for (outlet, index) in std::mem::take(&mut turn.waiting).into_values() {
            outlet.send(PoolSignal::TurnFree(index));
        }
        if over {
            self.0.remove(&key);
        }
    }

    /// Gives back what a job that was cut off has, and takes it out of every queue.
    pub(super) fn forget_job(&mut self, job: JobId) {
        let mut freed = Vec::new();
        for (key, turn) in &mut self.0 {
            turn.waiting.remove(&job);
            if turn.doubts.remove(&job) {
                freed.push(key.clone());
            }
            if turn.job == Some(job) {
                freed.push(key.clone());
                turn.job = None;
            }
        }
        freed.sort();
        for (kind, node) in freed {
            self.release(kind, &node);
        }
    }
}
