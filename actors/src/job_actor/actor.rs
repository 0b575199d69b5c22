//! The job's actor: what comes in, the one round after it, and how the actor begins and ends.
//!
//! Every handler takes its batch and then calls [`JobActor::round`]: start what may start, commit what is decided, set
//! the timer. Starts are in `starts`, runs and commits in `runs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::{Actor, ActorContext, AsyncContext, Context, SpawnHandle, StreamHandler};
use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use crate::handle::{Binding, Limits, LiveJob, Ports};
use crate::inbox::{Inbox, Outlet};
use crate::limits::{Pool, PoolSignal};
use crate::machine::{Decision, Job, JobInput, JobRefusal, Rules};
use crate::model::{JobId, JobKind, JobSpec, NodeIndex, NodeState, TransactionId};
use crate::node_runner::Report;
use crate::ports::{Restoration, RunSignal, SignalOutlet, StoreError, UnfinishedJob, Write};

use super::ledger::{FIRST_RETRY, Ledger, states_before_running};
use super::messages::{Control, Note};
use super::runs::Run;
use super::seed::{Guard, JobSeed};
use super::window::Window;

/// Where a job's actor is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Going,
    /// All nodes are over and committed; the store finishes its chunks.
    Settling,
    /// The last event is decided.
    Ending,
    /// It is committed; only stops are answered.
    Over,
    /// The service ends.
    Leaving,
    /// The store refused what was decided: another actor begins again from what is committed.
    Broken,
}

/// What the store answered.
#[derive(Debug)]
pub(super) enum StoreReply {
    Appended(Result<(), StoreError>),
    Settled(Result<(), StoreError>),
}

/// The inboxes, until the actor reads them.
struct Mail {
    control: Inbox<Control>,
    signals: Inbox<(u64, RunSignal)>,
    pool: Inbox<PoolSignal>,
    reports: Inbox<(NodeIndex, Report)>,
    store: Inbox<StoreReply>,
}

/// The actor.
pub(super) struct JobActor {
    pub(super) id: JobId,
    pub(super) kind: JobKind,
    pub(super) spec: Arc<JobSpec>,
    pub(super) rules: Arc<Rules>,
    pub(super) limits: Arc<Limits>,
    /// Nodes that have not started by then are skipped.
    pub(super) start_deadline: DateTime<Utc>,
    pub(super) ports: Ports,
    pub(super) pool: Pool,
    pub(super) phase: Phase,
    /// Nothing is started until told otherwise.
    pub(super) draining: bool,
    pub(super) restoration: Restoration,
    /// Nodes without a start whose agents are asked about one.
    pub(super) probes: BTreeSet<NodeIndex>,
    beat: Arc<AtomicU64>,
    /// Decided. Taken out only within a step.
    job: Option<Job>,
    pub(super) ledger: Ledger,
    pub(super) window: Window,
    /// Reserved slots not used yet.
    pub(super) granted: u32,
    /// Decided starts without a committed end.
    pub(super) runs: BTreeMap<NodeIndex, Run>,
    pub(super) holds: Vec<TransactionId>,
    /// The number of this actor's watches, and the nodes that it watches.
    pub(super) watcher: u64,
    pub(super) watched: BTreeSet<NodeIndex>,
    pub(super) retry: Duration,
    pub(super) appending: Arc<tokio::sync::Mutex<()>>,
    pub(super) signals: Outlet<(u64, RunSignal)>,
    pub(super) reports: Outlet<(NodeIndex, Report)>,
    pub(super) store_replies: Outlet<StoreReply>,
    /// A pass over the window was cut short and goes on by itself.
    pub(super) passing: bool,
    live: Arc<Mutex<LiveJob>>,
    mail: Option<(Mail, UnfinishedJob)>,
    timer: Option<(DateTime<Utc>, SpawnHandle)>,
    pub(super) guard: Guard,
}

/// Makes the numbers of watches unique within the process.
pub(crate) fn next_watcher() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Drop for JobActor {
    /// However the actor ends, its watches do too. Its runners end by themselves, with their last sender.
    fn drop(&mut self) {
        self.unwatch_all();
    }
}

impl JobActor {
    pub(super) fn new(seed: JobSeed) -> Self {
        let record = &seed.job.record;
        let (id, spec) = (record.id, Arc::clone(&seed.job.spec));
        // No further off than at the creation, whatever the clock showed then.
        let time_for_starts = spec.start_deadline - spec.created_at;
        let start_deadline = spec.start_deadline.min(seed.ports.clock.now() + time_for_starts);
        let rules = Arc::new(rules_of(&spec, &seed.limits, seed.settled_at));
        let mail = Mail {
            control: seed.control,
            signals: Inbox::default(),
            pool: Inbox::default(),
            reports: Inbox::default(),
            store: Inbox::default(),
        };
        let mut actor = Self {
            id,
            kind: spec.kind(),
            rules,
            limits: seed.limits,
            start_deadline,
            ports: seed.ports,
            pool: seed.pool,
            phase: Phase::Going,
            draining: seed.draining,
            restoration: seed.job.restoration,
            probes: BTreeSet::new(),
            beat: seed.beat,
            job: None,
            ledger: Ledger::new(record.state, &seed.job.nodes),
            window: Window::default(),
            granted: 0,
            runs: BTreeMap::new(),
            holds: seed.holds,
            watcher: next_watcher(),
            watched: BTreeSet::new(),
            retry: FIRST_RETRY,
            appending: seed.appending,
            signals: mail.signals.outlet(),
            reports: mail.reports.outlet(),
            store_replies: mail.store.outlet(),
            passing: false,
            live: seed.live,
            mail: None,
            timer: None,
            guard: seed.guard,
            spec,
        };
        actor.restore(&seed.job);
        actor.mail = Some((mail, seed.job));
        actor
    }

    fn restore(&mut self, stored: &UnfinishedJob) {
        let record = &stored.record;
        let (job, decision) = Job::restore(self.id, Arc::clone(&self.spec), record.state, record.stop, &stored.nodes);
        if job.is_open() {
            let at = self.ports.clock.now();
            let states = states_before_running(record.state).iter();
            let writes = states.map(|state| Write::JobState { job: self.id, state: *state, at });
            self.ledger.submit(writes.collect());
        }
        self.job = Some(job);
        self.take_decision(decision);
    }

    /// The job as decided.
    pub(super) fn job(&self) -> &Job {
        self.job.as_ref().expect("the machine is only taken out within a step")
    }

    /// Takes a step and queues what it decides; `false` when the input is refused.
    pub(super) fn decide(&mut self, input: JobInput) -> bool {
        match self.step(input) {
            Some(decision) => {
                self.take_decision(decision);
                true
            }
            None => false,
        }
    }

    pub(super) fn step(&mut self, input: JobInput) -> Option<Decision> {
        let at = self.ports.clock.now();
        let job = self.job.take().expect("the machine is only taken out within a step");
        let (job, stepped) = job.step(input, at);
        self.job = Some(job);
        match stepped {
            Ok(decision) => Some(decision),
            Err(JobRefusal::ResendsNothing) => None,
            Err(refusal) => {
                let node = refusal.node().map(|node| tracing::field::display(self.spec.node(node)));
                tracing::error!(job = %self.id, node, %refusal, "input refused");
                None
            }
        }
    }

    fn take_decision(&mut self, decision: Decision) {
        self.ledger.submit(decision.writes);
        self.window.add(decision.startable);
    }

    /// A node's key for signals.
    pub(super) fn outlet_of(&self, node: NodeIndex) -> SignalOutlet {
        SignalOutlet::new(self.signals.clone(), u64::from(node.0))
    }

    /// What follows every batch of input.
    fn round(&mut self, ctx: &mut Context<Self>) {
        if self.job().is_open() && !self.draining && self.restoration != Restoration::Waiting {
            self.start_nodes(ctx);
        } else {
            self.start_nothing();
        }
        self.commit_decided();
        self.settle_when_all_over();
        self.arm(ctx);
        self.publish();
        if self.phase == Phase::Leaving && self.ledger.is_idle() {
            self.leave(Note::Left(self.id), ctx);
        }
    }

    /// Says goodbye and stops.
    fn leave(&mut self, note: Note, ctx: &mut Context<Self>) {
        self.guard.left = true;
        self.guard.notes.send(note);
        self.unwatch_all();
        ctx.stop();
    }

    /// Stops without a goodbye, as after a panic. A service that ends leaves the job to the next start.
    pub(super) fn break_down(&mut self, ctx: &mut Context<Self>) {
        if self.phase == Phase::Leaving {
            self.leave(Note::Left(self.id), ctx);
        }
        self.phase = Phase::Broken;
        ctx.stop();
    }

    fn control(&mut self, control: Control, ctx: &mut Context<Self>) {
        match control {
            Control::Stop { mode, ticket } => {
                let unanswered = self.take_unanswered();
                // A refusal cannot happen: every state takes a stop. The answer is then what is committed.
                let decision = self.step(JobInput::Stop(mode)).unwrap_or_default();
                self.ledger.submit_and_tell(decision.writes, ticket);
                self.end_unanswered(unanswered);
            }
            Control::HoldOver(transaction) => self.holds.retain(|held| *held != transaction),
            Control::Drain(draining) => {
                self.draining = draining;
                // Their clocks run only while a connection is all that they wait for.
                self.window.recall();
            }
            Control::Leave => self.phase = Phase::Leaving,
            Control::Beat(number) => {
                self.beat.store(number, Ordering::Release);
                self.look_after_runs();
                self.time_passed();
            }
            Control::Resume => self.resume(),
            // Whoever asked may have gone.
            Control::Why(node, reply) => drop(reply.send(self.standing(&node))),
            Control::GiveWay => self.break_down(ctx),
            Control::Retire => {
                self.commit_decided();
                self.guard.left = true;
                ctx.stop();
            }
        }
    }

    /// Tells what keeps the job from starting more, and shows the committed counts.
    pub(super) fn publish(&self) {
        let counts = self.ledger.counts();
        let away_until = self.window.last_expiry();
        *self.live.lock() = LiveJob { state: self.ledger.state(), counts, binding: self.binding(), away_until };
    }

    fn binding(&self) -> Option<Binding> {
        let counts = self.job().counts();
        if counts.get(NodeState::New) + counts.get(NodeState::Ready) == 0 {
            return None;
        }
        if self.restoration == Restoration::Waiting {
            return Some(Binding::Restored);
        }
        if self.draining {
            return Some(Binding::Draining);
        }
        if self.window.has_ready() {
            if self.room() == 0 {
                return Some(Binding::Concurrency);
            }
            return self.pool.bottleneck(self.kind);
        }
        if self.window.has_turns() {
            Some(Binding::NodeTurn)
        } else if self.window.has_away() {
            Some(Binding::Connection)
        } else {
            Some(Binding::Dependencies)
        }
    }

    /// Keeps one timer, for the next node that was away too long and for the end of the time for starts.
    fn arm(&mut self, ctx: &mut Context<Self>) {
        if self.phase != Phase::Going || !self.job().is_open() || self.job().all_over() {
            return;
        }
        let counts = self.job().counts();
        let waits = counts.get(NodeState::New) + counts.get(NodeState::Ready) > 0;
        let expiry = waits.then_some(self.starts_expire_at());
        let Some(wake) = [expiry, self.window.next_expiry()].into_iter().flatten().min() else { return };
        if let Some((armed, handle)) = self.timer {
            if armed <= wake {
                return;
            }
            ctx.cancel_future(handle);
        }
        let delay = (wake - self.ports.clock.now()).to_std().unwrap_or(Duration::ZERO);
        let handle = ctx.run_later(delay, |actor, ctx| {
            actor.timer = None;
            actor.time_passed();
            actor.round(ctx);
        });
        self.timer = Some((wake, handle));
    }

    /// When the nodes that wait are skipped: a passed deadline ends nothing before settle time is over.
    fn starts_expire_at(&self) -> DateTime<Utc> {
        self.start_deadline.max(self.rules.settled_at)
    }

    fn time_passed(&mut self) {
        let now = self.ports.clock.now();
        if self.phase != Phase::Going || !self.job().is_open() {
            return;
        }
        if self.starts_expire_at() <= now {
            let unanswered = self.take_unanswered();
            self.window.clear();
            self.decide(JobInput::StartsExpired);
            self.end_unanswered(unanswered);
        }
        while let Some(node) = self.window.expired(now) {
            self.not_connected(node);
        }
    }

    /// Goes on with a pass that was cut short.
    pub(super) fn go_on(&mut self, ctx: &mut Context<Self>) {
        self.passing = false;
        self.round(ctx);
    }
}

fn rules_of(spec: &JobSpec, limits: &Limits, settled_at: DateTime<Utc>) -> Rules {
    let delta = |duration: Duration| chrono::TimeDelta::from_std(duration).unwrap_or(chrono::TimeDelta::MAX / 4);
    Rules {
        action: Arc::clone(&spec.action),
        run_timeout: delta(spec.run_timeout),
        connect_timeout: delta(limits.connect_timeout),
        lost_contact: delta(limits.lost_contact),
        cancel_timeout: delta(limits.cancel_timeout),
        resend_window: delta(limits.resend_window),
        resend_to_pxp_agents: limits.resend_to_pxp_agents,
        compile_hold: delta(limits.compile_hold),
        status_timeout: delta(limits.status_timeout),
        status_interval: delta(limits.status_interval),
        settled_at,
    }
}

impl Actor for JobActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some((mail, stored)) = self.mail.take() else { return };
        self.adopt_runs(&stored);
        self.probe_all();
        self.pool.join(self.id, self.kind, mail.pool.outlet());
        ctx.add_stream(mail.control.into_batches());
        ctx.add_stream(mail.signals.into_batches());
        ctx.add_stream(mail.pool.into_batches());
        ctx.add_stream(mail.reports.into_batches());
        ctx.add_stream(mail.store.into_batches());
        self.round(ctx);
    }
}

impl StreamHandler<Vec<Control>> for JobActor {
    fn handle(&mut self, batch: Vec<Control>, ctx: &mut Self::Context) {
        for control in batch {
            self.control(control, ctx);
        }
        if !self.guard.left {
            self.round(ctx);
        }
    }
}

impl StreamHandler<Vec<(u64, RunSignal)>> for JobActor {
    fn handle(&mut self, batch: Vec<(u64, RunSignal)>, ctx: &mut Self::Context) {
        for (key, signal) in batch {
            self.signal(key, signal);
        }
        self.round(ctx);
    }
}

impl StreamHandler<Vec<PoolSignal>> for JobActor {
    fn handle(&mut self, batch: Vec<PoolSignal>, ctx: &mut Self::Context) {
        for signal in batch {
            match signal {
                PoolSignal::Granted(slots) => self.granted += slots,
                PoolSignal::TurnFree(node) => self.window.turn_free(node),
            }
        }
        self.round(ctx);
    }
}

impl StreamHandler<Vec<(NodeIndex, Report)>> for JobActor {
    fn handle(&mut self, batch: Vec<(NodeIndex, Report)>, ctx: &mut Self::Context) {
        for (node, report) in batch {
            self.report(node, report);
        }
        self.round(ctx);
    }
}

impl StreamHandler<Vec<StoreReply>> for JobActor {
    fn handle(&mut self, batch: Vec<StoreReply>, ctx: &mut Self::Context) {
        for reply in batch {
            self.store_replied(reply, ctx);
        }
        self.round(ctx);
    }
}
