//! The nodes of a job that may start but have not: which to look at next, and what the others wait for.
//!
//! Nothing in here holds a slot or a turn.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, Utc};

use crate::model::NodeIndex;

/// Where a waiting node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is looked at as soon as there is a slot.
    Ready,
    /// It waits for the end of another run on the same node.
    Turn,
    /// It is not connected, and given up then.
    Away(DateTime<Utc>),
}

/// The waiting nodes, each in one of the three places.
#[derive(Debug, Default)]
pub(super) struct Window {
    ready: BTreeSet<NodeIndex>,
    /// Waits for the end of another run on the same node.
    turns: BTreeSet<NodeIndex>,
    /// Not connected, until then.
    away: BTreeMap<NodeIndex, DateTime<Utc>>,
    /// The same, in the order of time; entries that `away` does not confirm are stale.
    clocks: VecDeque<(DateTime<Utc>, NodeIndex)>,
}

impl Window {
    /// These may start, as far as dependencies go.
    pub(super) fn add(&mut self, nodes: impl IntoIterator<Item = NodeIndex>) {
        self.ready.extend(nodes);
    }

    /// The next node to look at.
    pub(super) fn next(&mut self) -> Option<NodeIndex> {
        self.ready.pop_first()
    }

    /// Where the node is, if it waits.
    pub(super) fn place(&self, node: NodeIndex) -> Option<Place> {
        if self.ready.contains(&node) {
            return Some(Place::Ready);
        }
        if self.turns.contains(&node) {
            return Some(Place::Turn);
        }
        self.away.get(&node).map(|until| Place::Away(*until))
    }

    /// How many could be looked at.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.ready.len()).unwrap_or(u32::MAX)
    }

    /// The node would start but for its connection.
    pub(super) fn wait_for_connection(&mut self, node: NodeIndex, until: DateTime<Utc>) {
        self.away.insert(node, until);
        self.clocks.push_back((until, node));
    }

    /// The node would start but for another run on it.
    pub(super) fn wait_for_turn(&mut self, node: NodeIndex) {
        self.turns.insert(node);
    }

    /// The node has a session.
    pub(super) fn connected(&mut self, node: NodeIndex) {
        if self.away.remove(&node).is_some() {
            self.ready.insert(node);
        }
    }

    /// The node's turn may be free.
    pub(super) fn turn_free(&mut self, node: NodeIndex) {
        if self.turns.remove(&node) {
            self.ready.insert(node);
        }
    }

    /// When the next node has been away for too long.
    pub(super) fn next_expiry(&mut self) -> Option<DateTime<Utc>> {
        while let Some((until, node)) = self.clocks.front() {
            if self.away.get(node) == Some(until) {
                return Some(*until);
            }
            self.clocks.pop_front();
        }
        None
    }

    /// When the last node of those that are away now will have been so for too long.
    pub(super) fn last_expiry(&self) -> Option<DateTime<Utc>> {
        let confirmed = |(until, node): &&(DateTime<Utc>, NodeIndex)| self.away.get(node) == Some(until);
        self.clocks.iter().rev().find(confirmed).map(|(until, _)| *until)
    }

    /// The next node that has been away for too long.
    pub(super) fn expired(&mut self, now: DateTime<Utc>) -> Option<NodeIndex> {
        if self.next_expiry()? > now {
            return None;
        }
        let (_, node) = self.clocks.pop_front()?;
        self.away.remove(&node);
        Some(node)
    }

    /// The node waits for nothing any more.
    pub(super) fn remove(&mut self, node: NodeIndex) {
        self.ready.remove(&node);
        self.turns.remove(&node);
        self.away.remove(&node);
    }

    /// Nodes that wait for a connection are to be looked at again.
    pub(super) fn recall(&mut self) {
        self.ready.extend(std::mem::take(&mut self.away).into_keys());
        self.clocks.clear();
    }

    /// Nothing of this will start.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn has_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    pub(super) fn has_away(&self) -> bool {
        !self.away.is_empty()
    }
}
