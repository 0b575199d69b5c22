//! The job's runs: signals to their runners, reports from them, and what a commit sets going.

use std::sync::Arc;

use actix::{AsyncContext, Context};
use chrono::{DateTime, TimeDelta, Utc};

use crate::inbox::{Inbox, Outlet};
use crate::machine::{Contact, Facts, JobInput, NodeInput, judge};
use crate::model::{Attempt, Cause, CertName, NodeEnd, NodeIndex, NodeState, RunOutcome, StopMode, TransactionId};
use crate::node_runner::{Begin, NodeRunner, Report, RunnerSeed};
use crate::ports::{Connection, Held, Restoration, RunRequest, RunSignal, StoreError, UnfinishedJob, Write};

use super::actor::{JobActor, Phase, StoreReply};
use super::ledger::{Answer, FIRST_RETRY, LAST_RETRY};
use super::messages::Note;

/// How often the runner of one run may break down before the run is given up.
const RUNNER_CRASHES: u32 = 3;

/// A start that is decided and has no committed end.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) transaction: TransactionId,
    pub(super) outlet: Outlet<NodeInput>,
    /// Until the runner has it. Signals are kept here while the start is being committed.
    pub(super) inputs: Option<Inbox<NodeInput>>,
    pub(super) started_at: DateTime<Utc>,
    pub(super) deadline: DateTime<Utc>,
    pub(super) spool: Option<String>,
    /// The session at the start.
    pub(super) link: Option<Connection>,
    pub(super) accepted: bool,
    /// It has its compile slot.
    pub(super) compiling: bool,
    /// The store learned of it from the agent: nothing is sent for it.
    pub(super) found: bool,
    /// How many of its runners broke down.
    pub(super) crashes: u32,
    /// At the last beat nobody read its inputs, and no end was reported.
    pub(super) unread: bool,
}

/// Where a run that needs a runner comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Its start was committed just now.
    Fresh,
    /// An earlier runner had it: what became of it is asked for.
    Recovered,
}

impl JobActor {
    /// The deadline of a run that starts at this time.
    pub(super) fn deadline_after(&self, start: DateTime<Utc>) -> DateTime<Utc> {
        start.checked_add_signed(self.rules.run_timeout).unwrap_or(start + TimeDelta::days(1))
    }

    /// Takes up the runs that were started before this actor was: their outcome is asked for.
    pub(super) fn adopt_runs(&mut self, stored: &UnfinishedJob) {
        for (at, node) in (0..).zip(&stored.nodes) {
            let index = NodeIndex(at);
            if node.state != NodeState::Running {
                continue;
            }
            let attempt = node.attempt.unwrap_or(Attempt::FIRST);
            let now = self.ports.clock.now();
            let inputs = Inbox::default();
            self.watched.insert(index);
            let link = self.ports.transport.watch(self.spec.node(index), self.watcher, self.outlet_of(index));
            let run = Run {
                transaction: self.spec.transaction(index, attempt),
                outlet: inputs.outlet(),
                inputs: Some(inputs),
                started_at: node.started_at.unwrap_or(now),
                // One that was set under a clock that was ahead must not lie further off for it.
                deadline: node.deadline.unwrap_or(now).min(self.deadline_after(now)),
                spool: node.spool.clone(),
                link,
                accepted: node.accepted,
                compiling: true,
                found: true,
                crashes: 0,
                unread: false,
            };
            self.runs.insert(index, run);
            self.spawn_runner(index, Origin::Recovered);
        }
        if let Some(mode) = self.job().stop() {
            self.tell_of_stop(mode);
        }
    }

    /// Gives a run its runner.
    fn spawn_runner(&mut self, node: NodeIndex, origin: Origin) {
        let name = self.spec.node(node).clone();
        let signals = self.outlet_of(node);
        let now = self.ports.clock.now();
        let stopping = self.job().stop().is_some();
        let Some(run) = self.runs.get_mut(&node) else { return };
        let Some(inputs) = run.inputs.take() else { return };
        // Whether the catalog of a recovered run was there before is not known. Our own agent tells when it is asked; for
        // others the hold begins with what is known of their request, which is now or still to come.
        let hold = origin == Origin::Recovered && run.accepted && run.spool.is_none();
        let facts = Facts {
            node: name.clone(),
            started_at: run.started_at,
            deadline: run.deadline,
            spool: run.spool.clone(),
            accepted: run.accepted,
            compiling: run.compiling.then(|| hold.then(|| now + self.rules.compile_hold)),
            stopping,
            restored: self.restoration == Restoration::Waiting,
            handed_over: 0,
            contact: Contact::new(run.link.take(), now),
        };
        let begin = match origin {
            Origin::Fresh => Begin::Start(facts),
            Origin::Recovered => Begin::Recover(facts),
        };
        NodeRunner::spawn(RunnerSeed {
            index: node,
            begin,
            rules: Arc::clone(&self.rules),
            request: RunRequest {
                job: self.id,
                node: name,
                transaction: run.transaction,
                action: Arc::clone(&self.spec.action),
                spool: run.spool.clone(),
            },
            transport: Arc::clone(&self.ports.transport),
            clock: Arc::clone(&self.ports.clock),
            signals,
            inputs,
            reports: self.reports.clone(),
        });
    }

    /// A signal of a run, or of a node that is waited for.
    pub(super) fn signal(&mut self, key: u64, signal: RunSignal) {
        let Ok(node) = u32::try_from(key).map(NodeIndex) else { return };
        match (self.runs.get(&node), signal) {
            (Some(run), signal) => run.outlet.send(NodeInput::Signal(signal)),
            (None, signal) if self.probes.contains(&node) => self.probed(node, signal),
            (None, RunSignal::Connected(_)) => self.window.connected(node),
            (None, signal) => {
                let node = self.spec.nodes.get(node.at()).map_or("", CertName::as_str);
                tracing::debug!(job = %self.id, node, signal = signal.name(), "signal for a node without a run");
            }
        }
    }

    /// What a runner tells.
    pub(super) fn report(&mut self, node: NodeIndex, report: Report) {
        match report {
            Report::Accepted => drop(self.decide(JobInput::Accepted { node })),
            Report::Resend(deadline) => {
                if !self.decide(JobInput::Resend { node, deadline }) {
                    self.tell_run(node, NodeInput::ResendRefused);
                }
            }
            Report::CatalogReady => {
                let Some(run) = self.runs.get_mut(&node) else { return };
                if std::mem::replace(&mut run.compiling, false) {
                    self.pool.catalog_ready(self.id, self.kind);
                }
            }
            Report::Ended { end, hold } => self.end_run(node, end, hold),
            Report::Crashed => self.replace_runner(node),
        }
    }

    /// A runner broke down: another one asks for the outcome, as after a restart of the service.
    fn replace_runner(&mut self, node: NodeIndex) {
        if self.job().node(node) != NodeState::Running {
            // Its end is decided.
            return;
        }
        let name = self.spec.node(node).clone();
        let Some(run) = self.runs.get_mut(&node) else { return };
        run.crashes += 1;
        tracing::error!(job = %self.id, node = %name, crashes = run.crashes, "a node's runner broke down");
        if run.crashes > RUNNER_CRASHES {
            let outcome = RunOutcome::Unreadable { description: "the run could not be followed any more".into() };
            let end = judge(&name, &self.spec.action, outcome, Cause::OutcomeUnknown);
            return self.end_run(node, Arc::new(end), true);
        }
        let inputs = Inbox::default();
        run.outlet = inputs.outlet();
        run.inputs = Some(inputs);
        run.unread = false;
        run.link = self.ports.transport.connection(&name);
        self.spawn_runner(node, Origin::Recovered);
        if let Some(mode) = self.job().stop() {
            self.tell_run(node, NodeInput::of_stop(mode));
        }
    }

    /// Finds runs that nobody follows, and has the others look at the clock: a timer that was lost is made up for.
    pub(super) fn look_after_runs(&mut self) {
        let mut lost = Vec::new();
        for (node, run) in &mut self.runs {
            let unread = run.inputs.is_none() && !run.outlet.is_read();
            // Twice: what the runner said last may still be on its way here.
            if std::mem::replace(&mut run.unread, unread) && unread {
                lost.push(*node);
            }
            run.outlet.send(NodeInput::Tick);
        }
        lost.into_iter().for_each(|node| self.replace_runner(node));
    }

    pub(super) fn end_run(&mut self, node: NodeIndex, end: Arc<NodeEnd>, hold: bool) {
        self.unwatch(node);
        let until =
            self.ports.clock.now() + TimeDelta::from_std(self.limits.abandoned_hold).unwrap_or(TimeDelta::MAX / 4);
        let finished = end.state == NodeState::Finished;
        let unanswered = if finished { Vec::new() } else { self.take_unanswered_behind(node) };
        self.decide(JobInput::End { node, end, hold: hold.then_some(until) });
        self.end_unanswered(unanswered);
    }

    /// Appends the next group, if none is in flight.
    pub(super) fn commit_decided(&mut self) {
        while self.phase != Phase::Broken {
            let Some(writes) = self.ledger.next_group() else { return };
            if !writes.is_empty() {
                self.append(writes);
                return;
            }
            self.committed();
        }
    }

    fn append(&self, writes: Vec<Write>) {
        let store = Arc::clone(&self.ports.store);
        let replies = self.store_replies.clone();
        // Free by now: it is only taken here, for the one append in flight, or when this actor is gone.
        let guard = Arc::clone(&self.appending).try_lock_owned();
        // Not the actor's own future: were the actor to break down, the append would still be known to be in flight.
        actix::spawn(async move {
            let answer = Answer::new(replies, StoreReply::Appended);
            let reply = store.append(writes).await;
            drop(guard);
            answer.give(reply);
        });
    }

    /// The store answered.
    pub(super) fn store_replied(&mut self, reply: StoreReply, ctx: &mut Context<Self>) {
        match reply {
            StoreReply::Appended(Ok(())) => {
                self.retry = FIRST_RETRY;
                self.committed();
            }
            StoreReply::Settled(Ok(())) => {
                if self.phase == Phase::Settling && self.decide(JobInput::Settled) {
                    self.phase = Phase::Ending;
                }
            }
            StoreReply::Appended(Err(StoreError::Unavailable(reason))) => {
                tracing::warn!(job = %self.id, %reason, retry_ms = self.retry.as_millis(), "append refused");
                ctx.run_later(self.retry, |actor, _| actor.append(actor.ledger.in_flight()));
                self.retry = (self.retry * 2).min(LAST_RETRY);
            }
            StoreReply::Settled(Err(StoreError::Unavailable(reason))) => {
                tracing::warn!(job = %self.id, %reason, "the store does not settle");
                ctx.run_later(LAST_RETRY, |actor, _| actor.settle());
            }
            StoreReply::Appended(Err(error)) | StoreReply::Settled(Err(error)) => {
                tracing::error!(job = %self.id, %error, "the store refused what was decided");
                self.break_down(ctx);
            }
        }
    }

    /// When every node's end is committed, waits for the store's chunks; the job's end comes after them.
    pub(super) fn settle_when_all_over(&mut self) {
        if self.phase == Phase::Going && self.job().all_over() && self.ledger.is_idle() {
            self.phase = Phase::Settling;
            self.settle();
        }
    }

    fn settle(&self) {
        let store = Arc::clone(&self.ports.store);
        let replies = self.store_replies.clone();
        let job = self.id;
        actix::spawn(async move {
            let answer = Answer::new(replies, StoreReply::Settled);
            answer.give(store.settled(job).await);
        });
    }

    /// The group in flight is committed: what it decided takes effect.
    fn committed(&mut self) {
        let committed = self.ledger.commit();
        for write in committed.writes {
            self.take_effect(write);
        }
        let counts = self.ledger.counts();
        for ticket in committed.told {
            self.guard.notes.send(Note::Stopped { ticket, counts });
        }
    }

    fn take_effect(&mut self, write: Write) {
        match write {
            Write::NodeStarted { node, transaction, .. } => {
                tracing::debug!(job = %self.id, node = %self.spec.node(node), %transaction, "node started");
                let found = self.runs.get(&node).is_some_and(|run| run.found);
                // One that was found and given up has its end decided already.
                if self.job().node(node) == NodeState::Running {
                    self.spawn_runner(node, if found { Origin::Recovered } else { Origin::Fresh });
                }
            }
            Write::JobResumed { .. } => self.resumed(),
            Write::NodeAccepted { node, .. } => {
                if let Some(run) = self.runs.get_mut(&node) {
                    run.accepted = true;
                }
            }
            Write::NodeResent { node, deadline, .. } => {
                if let Some(run) = self.runs.get_mut(&node) {
                    run.deadline = deadline;
                }
                // A stop that was decided since then counts already.
                let stopping = self.job().stop().is_some();
                self.tell_run(node, if stopping { NodeInput::ResendRefused } else { NodeInput::ResendCommitted });
            }
            Write::NodeEnded { node, end, hold, .. } => {
                self.log_end(node, &end);
                self.run_over(node, end.cause, hold);
            }
            Write::NodeUnstarted { node, end, .. } => self.log_end(node, &end),
            Write::StopAccepted { mode, .. } => {
                tracing::info!(job = %self.id, ?mode, "stop accepted");
                self.window.clear();
                self.tell_of_stop(mode);
                self.unwatch_waiting();
            }
            Write::NodesSkipped { nodes, cause, .. } => {
                tracing::info!(job = %self.id, nodes = nodes.len(), cause = cause.name(), "nodes skipped");
                // Nodes that wait for others are not watched yet.
                if cause == Cause::JobTimedOut {
                    self.unwatch_waiting();
                }
            }
            Write::JobEnded { state, .. } | Write::JobAborted { state, .. } => {
                tracing::info!(job = %self.id, state = state.name(), "job over");
                self.over();
            }
            Write::JobState { .. } | Write::NodesReady { .. } | Write::HoldEnded { .. } => {}
        }
    }

    /// Failures are told with the job; what went well is told by its events. Never what a run printed: that may hold
    /// secrets.
    fn log_end(&self, node: NodeIndex, end: &NodeEnd) {
        let node = self.spec.node(node);
        match end.cause {
            Some(cause) => {
                let (state, cause) = (end.state.name(), cause.name());
                tracing::info!(job = %self.id, %node, state, cause, "node did not finish");
            }
            None => tracing::debug!(job = %self.id, %node, "node finished"),
        }
    }

    fn tell_run(&self, node: NodeIndex, input: NodeInput) {
        if let Some(run) = self.runs.get(&node) {
            run.outlet.send(input);
        }
    }

    fn tell_of_stop(&self, mode: StopMode) {
        for run in self.runs.values() {
            run.outlet.send(NodeInput::of_stop(mode));
        }
    }

    /// Ends the watches of nodes that will not start.
    fn unwatch_waiting(&mut self) {
        let gone = |node: &NodeIndex| !self.runs.contains_key(node) && self.job().node(*node).is_terminal();
        let over: Vec<NodeIndex> = self.watched.iter().filter(|node| gone(node)).copied().collect();
        for node in over {
            self.unwatch(node);
        }
    }

    /// The end of a run is committed: its slot and turn are free, or pass to its hold.
    fn run_over(&mut self, node: NodeIndex, cause: Option<Cause>, hold: Option<DateTime<Utc>>) {
        let Some(run) = self.runs.remove(&node) else { return };
        let name = self.spec.node(node);
        let Some(until) = hold else {
            self.pool.end(self.id, self.kind, name, run.compiling);
            return;
        };
        self.pool.keep_as_hold(self.id, self.kind, name, run.compiling);
        self.holds.push(run.transaction);
        self.guard.notes.send(Note::HoldLeft(Held {
            transaction: run.transaction,
            job: self.id,
            node: name.clone(),
            action: Arc::clone(&self.spec.action),
            spool: run.spool,
            accepted: run.accepted,
            cause,
            until,
        }));
    }

    fn over(&mut self) {
        self.phase = Phase::Over;
        self.unwatch_all();
        self.pool.leave(self.id, self.kind);
        self.guard.notes.send(Note::Over(self.id));
    }
}
