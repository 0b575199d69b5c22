//! Starting nodes: candidate, slot, turn, connection, decision.
//!
//! A node that waits holds nothing. A slot is asked for as long as some node could use it; what no node can use goes
//! back. A long pass is cut into pieces, so that other actors of the thread get their turn.

use crate::inbox::Inbox;
use crate::machine::JobInput;
use crate::model::{Attempt, NodeIndex};
use crate::ports::Connection;
use actix::{AsyncContext, Context, WrapFuture, fut::ActorFutureExt};

use super::actor::{JobActor, Phase};
use super::runs::Run;

/// How many nodes are looked at before others get their turn.
const PASS: u32 = 64;

/// What came of looking at a node.
enum Look {
    Started,
    Waits,
}

impl JobActor {
    /// How many more of the job's nodes may run by its own concurrency. Its holds count as running.
    pub(super) fn room(&self) -> u32 {
        let running = u32::try_from(self.runs.len() + self.holds.len()).unwrap_or(u32::MAX);
        self.spec.concurrency.map_or(u32::MAX, |limit| limit.get().saturating_sub(running))
    }

    /// Uses the granted slots, and asks for as many as could be used.
    pub(super) fn start_nodes(&mut self, ctx: &mut Context<Self>) {
        // Between the job's deadline and the end of settle time nodes are kept, but none starts.
        if self.phase != Phase::Going || self.start_deadline <= self.ports.clock.now() {
            self.start_nothing();
            return;
        }
        let mut looks = PASS;
        while self.granted > 0 && self.room() > 0 && looks > 0 {
            let Some(node) = self.window.next() else { break };
            looks -= 1;
            match self.look_at(node) {
                Look::Started => self.granted -= 1,
                Look::Waits => {}
            }
        }
        let more = self.granted > 0 && self.room() > 0 && self.window.has_ready();
        if more {
            self.pass_again(ctx);
        } else {
            self.return_grants();
        }
        self.pool.want(self.id, self.kind, self.window.len().min(self.room()));
    }

    /// No node starts any more.
    pub(super) fn start_nothing(&mut self) {
        self.return_grants();
        self.pool.want(self.id, self.kind, 0);
    }

    fn return_grants(&mut self) {
        let unused = std::mem::take(&mut self.granted);
        if unused > 0 {
            self.pool.give_back(self.id, self.kind, unused);
        }
    }

    fn pass_again(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.passing, true) {
            ctx.spawn(tokio::task::yield_now().into_actor(self).map(|(), actor, ctx| actor.go_on(ctx)));
        }
    }

    fn look_at(&mut self, node: NodeIndex) -> Look {
        match self.session_of(node) {
            Some(connection) => self.start_node(node, connection),
            None => {
                let name = self.spec.node(node);
                if self.pool.turn_is_free(self.id, self.kind, name, node) {
                    let since = self.ports.clock.now().max(self.rules.settled_at);
                    self.window.wait_for_connection(node, since + self.rules.connect_timeout);
                } else {
                    self.window.wait_for_turn(node);
                }
                Look::Waits
            }
        }
    }

    /// The node's session; from now on the job is told when it comes and goes.
    fn session_of(&mut self, node: NodeIndex) -> Option<Connection> {
        let name = self.spec.node(node);
        if self.watched.insert(node) {
            self.ports.transport.watch(name, self.watcher, self.outlet_of(node))
        } else {
            self.ports.transport.connection(name)
        }
    }

    fn start_node(&mut self, node: NodeIndex, connection: Connection) -> Look {
        let name = self.spec.node(node);
        if !self.pool.start(self.id, self.kind, name, node) {
            self.window.wait_for_turn(node);
            return Look::Waits;
        }
        // From here on its runner asks.
        self.probes.remove(&node);
        let started_at = self.ports.clock.now();
        let deadline = self.deadline_after(started_at);
        let inputs = Inbox::default();
        let run = Run {
            transaction: self.spec.transaction(node, Attempt::FIRST),
            outlet: inputs.outlet(),
            inputs: Some(inputs),
            started_at,
            deadline,
            spool: connection.spool.clone(),
            link: Some(connection),
            accepted: false,
            compiling: true,
            found: false,
            crashes: 0,
            unread: false,
        };
        let input = JobInput::Start { node, deadline, spool: run.spool.clone() };
        self.runs.insert(node, run);
        if !self.decide(input) {
            // Not reached: only open jobs come here, with nodes that are ready. The slot must not leak all the same.
            self.runs.remove(&node);
            self.pool.end(self.id, self.kind, self.spec.node(node), true);
        }
        Look::Started
    }

    /// Ends the watch of a node.
    pub(super) fn unwatch(&mut self, node: NodeIndex) {
        if self.watched.remove(&node) {
            self.ports.transport.unwatch(self.spec.node(node), self.watcher);
        }
    }

    /// Ends all watches.
    pub(super) fn unwatch_all(&mut self) {
        for node in std::mem::take(&mut self.watched) {
            self.ports.transport.unwatch(self.spec.node(node), self.watcher);
        }
    }
}
