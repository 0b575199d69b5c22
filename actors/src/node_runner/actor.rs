//! The shell around a node's machine: signals in, effects out, one timer.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, AsyncContext, Context, SpawnHandle, StreamHandler};
use chrono::{DateTime, Utc};

use crate::inbox::{Inbox, Outlet, Senders};
use crate::machine::{Facts, Node, NodeEffect, NodeInput, Rules};
use crate::model::NodeIndex;
use crate::ports::{Clock, RunRequest, SignalOutlet, Transport};

use super::Report;

/// How a runner begins.
#[derive(Debug)]
pub(crate) enum Begin {
    /// The start was committed just now.
    Start(Facts),
    /// The run was started before the service was, or before its job's actor.
    Recover(Facts),
}

/// All that a runner needs.
pub(crate) struct RunnerSeed {
    pub(crate) index: NodeIndex,
    pub(crate) begin: Begin,
    pub(crate) rules: Arc<Rules>,
    pub(crate) request: RunRequest,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Where the transport delivers signals of this run.
    pub(crate) signals: SignalOutlet,
    pub(crate) inputs: Inbox<NodeInput>,
    pub(crate) reports: Outlet<(NodeIndex, Report)>,
}

/// Tells the job when the runner is dropped by a panic.
struct Guard {
    index: NodeIndex,
    reports: Outlet<(NodeIndex, Report)>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.reports.send((self.index, Report::Crashed));
        }
    }
}

/// The actor.
pub(crate) struct NodeRunner {
    node: Node,
    begin: Vec<NodeEffect>,
    rules: Arc<Rules>,
    request: RunRequest,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    signals: SignalOutlet,
    inputs: Option<Inbox<NodeInput>>,
    /// The job's actor. Once it is gone the run is another runner's, and so is its route in the transport.
    job: Senders<NodeInput>,
    timer: Option<(DateTime<Utc>, SpawnHandle)>,
    guard: Guard,
}

impl NodeRunner {
    /// Starts the actor on this thread.
    pub(crate) fn spawn(seed: RunnerSeed) {
        let now = seed.clock.now();
        let (node, begin) = match seed.begin {
            Begin::Start(facts) => Node::start(facts),
            Begin::Recover(facts) => Node::recover(facts, now),
        };
        let runner = Self {
            node,
            begin,
            rules: seed.rules,
            request: seed.request,
            transport: seed.transport,
            clock: seed.clock,
            signals: seed.signals,
            job: seed.inputs.senders(),
            inputs: Some(seed.inputs),
            timer: None,
            guard: Guard { index: seed.index, reports: seed.reports },
        };
        runner.start();
    }

    fn report(&self, report: Report) {
        self.guard.reports.send((self.guard.index, report));
    }

    fn take(&mut self, input: NodeInput, ctx: &mut Context<Self>) {
        if self.job.are_gone() {
            // The stream of inputs ends in a moment, and the actor with it.
            return;
        }
        let now = self.clock.now();
        let node = std::mem::replace(&mut self.node, Node::Over);
        let (node, stepped) = node.step(input, now, &self.rules);
        self.node = node;
        match stepped {
            Ok(effects) => self.perform(effects, ctx),
            Err(refusal) => {
                let RunRequest { job, node, .. } = &self.request;
                tracing::debug!(%job, %node, %refusal, "input refused");
            }
        }
    }

    fn perform(&mut self, effects: Vec<NodeEffect>, ctx: &mut Context<Self>) {
        let RunRequest { job, node, transaction, .. } = &self.request;
        // The transport knows nothing of jobs; what it says meanwhile is about this one.
        let _about = tracing::debug_span!("run", %job, %node).entered();
        for effect in effects {
            match effect {
                NodeEffect::Send => self.transport.send(self.request.clone()),
                NodeEffect::Ask => self.transport.query_status(node, *transaction),
                NodeEffect::Cancel => self.transport.cancel(node, *transaction),
                NodeEffect::RecordAccepted => self.report(Report::Accepted),
                NodeEffect::RecordResend(deadline) => self.report(Report::Resend(deadline)),
                NodeEffect::CatalogReady => self.report(Report::CatalogReady),
                NodeEffect::End { end, hold } => {
                    self.transport.forget(*transaction);
                    self.report(Report::Ended { end, hold });
                    ctx.stop();
                }
            }
        }
    }

    /// Keeps one timer: an earlier wish replaces it, a later one waits until it fires.
    fn arm(&mut self, ctx: &mut Context<Self>) {
        if self.job.are_gone() {
            return;
        }
        let Some(wake) = self.node.wake(&self.rules) else { return };
        if let Some((armed, handle)) = self.timer {
            if armed <= wake {
                return;
            }
            ctx.cancel_future(handle);
        }
        let delay = (wake - self.clock.now()).to_std().unwrap_or(Duration::ZERO);
        let handle = ctx.run_later(delay, |runner, ctx| {
            runner.timer = None;
            runner.take(NodeInput::Tick, ctx);
            runner.arm(ctx);
        });
        self.timer = Some((wake, handle));
    }
}

impl Actor for NodeRunner {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(inputs) = self.inputs.take() else { return };
        ctx.add_stream(inputs.into_batches_while_open());
        if self.job.are_gone() {
            return;
        }
        let kind = self.request.action.kind();
        self.transport.expect(&self.request.node, self.request.transaction, kind, self.signals.clone());
        let effects = std::mem::take(&mut self.begin);
        self.perform(effects, ctx);
        self.arm(ctx);
    }
}

impl StreamHandler<Vec<NodeInput>> for NodeRunner {
    fn handle(&mut self, batch: Vec<NodeInput>, ctx: &mut Self::Context) {
        for input in batch {
            self.take(input, ctx);
        }
        self.arm(ctx);
    }

    /// The job's actor is gone without an end of this run: its successor follows the run from here on.
    fn finished(&mut self, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
