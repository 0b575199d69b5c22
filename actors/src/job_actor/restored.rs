//! A job that was unfinished in a backup which was restored: its agents may know more of it than the store.
//!
//! Until it is resumed it starts nothing, and asks about every node, also those without a start in the backup. A node
//! whose agent knows the run gets its start now, and is followed like any other; one whose agent does not know it waits
//! on. Nobody says of a node whose agent has not answered that it never ran: where it cannot start any more, its outcome
//! is unknown.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::inbox::Inbox;
use crate::limits::Adopted;
use crate::machine::{JobInput, judge};
use crate::model::{Attempt, Cause, NodeIndex, NodeState, RunOutcome};
use crate::ports::{Restoration, RunSignal, StatusAnswer, Write};

use super::actor::JobActor;
use super::runs::Run;

impl JobActor {
    /// Begins to ask about the nodes that have no start.
    pub(super) fn probe_all(&mut self) {
        if self.restoration == Restoration::None || !self.job().is_open() {
            return;
        }
        let count = u32::try_from(self.spec.nodes.len()).unwrap_or(u32::MAX);
        let waits = |node: &NodeIndex| matches!(self.job().node(*node), NodeState::New | NodeState::Ready);
        let waiting: Vec<NodeIndex> = (0..count).map(NodeIndex).filter(waits).collect();
        for node in waiting {
            self.probe(node);
        }
    }

    fn probe(&mut self, node: NodeIndex) {
        let (spec, outlet) = (Arc::clone(&self.spec), self.outlet_of(node));
        let (name, transaction) = (spec.node(node), spec.transaction(node, Attempt::FIRST));
        self.probes.insert(node);
        self.watched.insert(node);
        self.ports.transport.expect(name, transaction, self.kind, outlet.clone());
        if self.ports.transport.watch(name, self.watcher, outlet).is_some() {
            self.ports.transport.query_status(name, transaction);
        }
    }

    /// What the agent of a node without a start says.
    pub(super) fn probed(&mut self, node: NodeIndex, signal: RunSignal) {
        match signal {
            RunSignal::Connected(_) => {
                self.window.connected(node);
                let transaction = self.spec.transaction(node, Attempt::FIRST);
                self.ports.transport.query_status(self.spec.node(node), transaction);
            }
            RunSignal::Status(StatusAnswer::NeverArrived) if self.can_tell(node) => self.end_probe(node),
            RunSignal::Status(StatusAnswer::NeverArrived) => {
                self.found(node);
                self.end_unanswered(vec![node]);
            }
            RunSignal::Accepted
            | RunSignal::CatalogReady
            | RunSignal::Ended(_)
            | RunSignal::Status(StatusAnswer::Running | StatusAnswer::Over(_) | StatusAnswer::Unknown(_)) => {
                self.found(node);
            }
            RunSignal::Unsent
            | RunSignal::Sent
            | RunSignal::CancelAccepted
            | RunSignal::CancelRefused(_)
            | RunSignal::Disconnected => {}
        }
    }

    /// Whether the agent that knows nothing of a run would know of it. Which spool it had after the backup is not known, but
    /// one that is younger than the job is another than that of the time when the job began.
    fn can_tell(&self, node: NodeIndex) -> bool {
        let Some(session) = self.ports.transport.connection(self.spec.node(node)) else { return false };
        let young = session.spool_made().is_some_and(|made| made > self.spec.created_at);
        !session.contended && !young && (session.spool.is_some() || self.rules.resend_to_pxp_agents)
    }

    fn end_probe(&mut self, node: NodeIndex) {
        if self.probes.remove(&node) {
            self.pool.doubt_over(self.id, self.kind, self.spec.node(node));
            self.ports.transport.forget(self.spec.transaction(node, Attempt::FIRST));
            self.unwatch(node);
            // Were it waited for, nobody would tell any more: it is looked at anew, and watched again by that.
            self.window.connected(node);
        }
    }

    /// The node was started after the backup was made.
    fn found(&mut self, node: NodeIndex) {
        self.probes.remove(&node);
        self.window.remove(node);
        let name = self.spec.node(node).clone();
        tracing::info!(job = %self.id, node = %name, "a run that the backup does not know");
        let link = self.ports.transport.connection(&name);
        let started_at = self.ports.clock.now();
        let deadline = self.deadline_after(started_at);
        let inputs = Inbox::default();
        let run = Run {
            transaction: self.spec.transaction(node, Attempt::FIRST),
            outlet: inputs.outlet(),
            inputs: Some(inputs),
            started_at,
            deadline,
            spool: link.as_ref().and_then(|link| link.spool.clone()),
            link,
            accepted: true,
            compiling: true,
            found: true,
            crashes: 0,
            unread: false,
        };
        let input = JobInput::Found { node, deadline, spool: run.spool.clone() };
        // It runs, or may have: it counts, whatever is free.
        self.pool.adopt_run(self.id, self.kind, &Adopted { node: name.clone(), compiling: true });
        self.pool.doubt_over(self.id, self.kind, &name);
        self.runs.insert(node, run);
        self.decide(input);
        self.decide(JobInput::Accepted { node });
    }

    /// The job is stopped, or its time is over: nodes that nobody answered for count as started, so that nobody says that
    /// they never were. To be ended by [`JobActor::end_unanswered`] when that is decided.
    pub(super) fn take_unanswered(&mut self) -> Vec<NodeIndex> {
        let unanswered: Vec<NodeIndex> = self.probes.iter().copied().collect();
        unanswered.iter().for_each(|node| self.found(*node));
        unanswered
    }

    /// As [`JobActor::take_unanswered`], for the nodes that will be skipped when this one does not finish.
    pub(super) fn take_unanswered_behind(&mut self, node: NodeIndex) -> Vec<NodeIndex> {
        if self.probes.is_empty() {
            return Vec::new();
        }
        let mut behind = BTreeSet::new();
        let mut open = vec![node];
        while let Some(before) = open.pop() {
            let after = self.spec.edges.iter().filter(|(from, _)| *from == before).map(|(_, to)| *to);
            open.extend(after.filter(|to| behind.insert(*to)));
        }
        let unanswered: Vec<NodeIndex> = behind.intersection(&self.probes).copied().collect();
        unanswered.iter().for_each(|node| self.found(*node));
        unanswered
    }

    /// The node was away for too long: it never started, unless nobody can tell.
    pub(super) fn not_connected(&mut self, node: NodeIndex) {
        self.unwatch(node);
        let mut unanswered = self.take_unanswered_behind(node);
        if self.probes.contains(&node) {
            self.found(node);
            unanswered.push(node);
        } else {
            self.decide(JobInput::NotConnected { node });
        }
        self.end_unanswered(unanswered);
    }

    /// Nobody can tell how these ended.
    pub(super) fn end_unanswered(&mut self, nodes: Vec<NodeIndex>) {
        for node in nodes {
            let description = "whether the run took place is not known (restored from a backup)".to_owned();
            let outcome = RunOutcome::Unreadable { description };
            let end = judge(self.spec.node(node), &self.spec.action, outcome, Cause::OutcomeUnknown);
            self.end_run(node, Arc::new(end), true);
        }
    }

    /// Someone lets the job go on.
    pub(super) fn resume(&mut self) {
        if self.restoration == Restoration::Waiting {
            self.ledger.submit(vec![Write::JobResumed { job: self.id }]);
        }
    }

    /// That is committed. Nodes that nobody has answered for are asked on, until they start under the id that they may have
    /// run under already: their agents tell.
    pub(super) fn resumed(&mut self) {
        self.restoration = Restoration::Resumed;
    }
}
