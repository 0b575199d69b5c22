//! Node counts of a job: by state, and by the cause of those that did not finish.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Cause, NodeState};

/// How many nodes of a job are in each state. The sum is always the job's `node_count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeCounts([u32; NodeState::ALL.len()]);

impl NodeCounts {
    /// The count of one state.
    #[must_use]
    pub fn get(&self, state: NodeState) -> u32 {
        self.0[state as usize]
    }

    /// Sets the count of one state.
    pub fn set(&mut self, state: NodeState, count: u32) {
        self.0[state as usize] = count;
    }

    /// Adds `n` nodes in `state`.
    pub fn add(&mut self, state: NodeState, n: u32) {
        self.0[state as usize] += n;
    }

    /// Moves `n` nodes from one state to another.
    ///
    /// # Panics
    /// When fewer than `n` nodes are in `from`: the caller's book-keeping is broken.
    pub fn shift(&mut self, from: NodeState, to: NodeState, n: u32) {
        let left = self.0[from as usize].checked_sub(n);
        self.0[from as usize] = left.expect("counts only move nodes that are there");
        self.0[to as usize] += n;
    }

    /// All nodes of the job.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.0.iter().sum()
    }

    /// Every state with its count, in the order of [`NodeState::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (NodeState, u32)> + '_ {
        NodeState::ALL.into_iter().map(|state| (state, self.get(state)))
    }

    /// True when no node can change its state any more.
    #[must_use]
    pub fn all_over(&self) -> bool {
        self.iter().all(|(state, count)| state.is_terminal() || count == 0)
    }
}

/// How many nodes of a job ended for each cause. The sum is the number of nodes that are over and did not finish.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CauseCounts(BTreeMap<Cause, u32>);

impl CauseCounts {
    /// The count of one cause.
    #[must_use]
    pub fn get(&self, cause: Cause) -> u32 {
        self.0.get(&cause).copied().unwrap_or_default()
    }

    /// Adds `n` nodes that ended for this cause; nodes that finished have none.
    pub fn add(&mut self, cause: Option<Cause>, n: u32) {
        if let Some(cause) = cause.filter(|_| n > 0) {
            *self.0.entry(cause).or_default() += n;
        }
    }

    /// The causes that occur with their counts, in the order of [`Cause::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Cause, u32)> + '_ {
        self.0.iter().map(|(cause, count)| (*cause, *count))
    }
}
