//! Node counts of a job, by state.

use serde::{Deserialize, Serialize};

use super::NodeState;

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
