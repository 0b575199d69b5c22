//! The promises, checked at every step: what the store was told beside what the agents really did.
//!
//! It keeps its own account of both and knows nothing of how the engine works.

mod limits;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bunraku_actors::handle::Limits;
use bunraku_actors::model::{
    Attempt, Cause, CertName, JobId, JobKind, JobSpec, JobState, NodeEnd, NodeIndex, NodeState, StopMode, TransactionId,
};
use bunraku_actors::ports::{NewJob, RunRequest, Write};
use chrono::{DateTime, Utc};

use crate::agent::{End, Kind};
use crate::ground::Moment;
use crate::tally::Tally;

/// A node of a job, as committed.
#[derive(Debug, Clone)]
pub(crate) struct NodeView {
    pub(crate) state: NodeState,
    pub(crate) cause: Option<Cause>,
    /// The agent's acknowledgement is committed.
    accepted: bool,
    /// How often a new deadline was committed to send the frame again.
    resends: u32,
    /// How often a frame was written to a socket.
    written: u32,
    /// Its end left a hold.
    held: bool,
}

/// A job, as committed.
#[derive(Debug, Clone)]
pub(crate) struct JobView {
    pub(crate) spec: Arc<JobSpec>,
    /// For each node those that must finish first.
    before: Vec<Vec<NodeIndex>>,
    pub(crate) nodes: Vec<NodeView>,
    pub(crate) state: JobState,
    pub(crate) stop: Option<StopMode>,
    pub(crate) restored: bool,
    /// It was restored once: starts that are found are in no order.
    was_restored: bool,
}

impl JobView {
    fn count(&self, state: NodeState) -> usize {
        self.nodes.iter().filter(|node| node.state == state).count()
    }
}

/// A hold, as committed.
#[derive(Debug, Clone)]
struct HoldView {
    job: JobId,
    node: CertName,
    kind: JobKind,
    until: DateTime<Utc>,
}

/// A run that really took place.
#[derive(Debug, Clone)]
pub(crate) struct Execution {
    pub(crate) job: JobId,
    pub(crate) node: CertName,
    pub(crate) kind: JobKind,
    agent: Kind,
    catalog_at: Moment,
    pub(crate) end: Option<End>,
}

impl Execution {
    pub(crate) fn new(run: &RunRequest, agent: Kind, catalog_at: Moment) -> Self {
        let (job, node, kind) = (run.job, run.node.clone(), run.action.kind());
        Self { job, node, kind, agent, catalog_at, end: None }
    }
}

/// What the store held at some moment.
#[derive(Debug, Clone)]
pub(crate) struct Copy {
    jobs: BTreeMap<JobId, JobView>,
    holds: BTreeMap<TransactionId, HoldView>,
}

/// The account.
#[derive(Debug)]
pub(crate) struct Book {
    limits: Arc<Limits>,
    pub(crate) jobs: BTreeMap<JobId, JobView>,
    holds: BTreeMap<TransactionId, HoldView>,
    pub(crate) executions: BTreeMap<TransactionId, Execution>,
    /// Those that go on.
    going: BTreeSet<TransactionId>,
    /// Those that need not be counted any more: their hold ran out, or a restored store cannot know of them.
    excused: BTreeSet<TransactionId>,
    /// The store was put back once: what ran since the copy cannot have been counted.
    restored: bool,
    /// The wall clock jumped: what is decided by it cannot be judged by the true time.
    jumped: bool,
    pub(crate) told_jobs: BTreeSet<JobId>,
    pub(crate) told_stops: BTreeSet<JobId>,
    pub(crate) violations: Vec<String>,
    pub(crate) tally: Tally,
}

impl Book {
    pub(crate) fn new(limits: Arc<Limits>) -> Self {
        Self {
            limits,
            jobs: BTreeMap::new(),
            holds: BTreeMap::new(),
            executions: BTreeMap::new(),
            going: BTreeSet::new(),
            excused: BTreeSet::new(),
            restored: false,
            jumped: false,
            told_jobs: BTreeSet::new(),
            told_stops: BTreeSet::new(),
            violations: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// A promise is broken.
    pub(crate) fn broken(&mut self, how: String) {
        if self.violations.len() < 5 {
            self.violations.push(how);
        }
    }

    pub(crate) fn clock_jumped(&mut self) {
        self.jumped = true;
    }

    pub(crate) fn all_over(&self) -> bool {
        self.holds.is_empty() && self.jobs.values().all(|job| job.state.is_terminal())
    }

    pub(crate) fn copy(&self) -> Copy {
        Copy { jobs: self.jobs.clone(), holds: self.holds.clone() }
    }

    pub(crate) fn put_back(&mut self, Copy { jobs, holds }: Copy) {
        self.restored = true;
        self.told_jobs.retain(|job| jobs.contains_key(job));
        self.told_stops.retain(|job| jobs.get(job).is_some_and(|job| job.stop.is_some()));
        (self.jobs, self.holds) = (jobs, holds);
        for job in self.jobs.values_mut().filter(|job| !job.state.is_terminal()) {
            job.restored = true;
            job.was_restored = true;
        }
        let lost = self.executions.iter().filter(|(_, run)| !self.jobs.contains_key(&run.job));
        self.excused.extend(lost.map(|(transaction, _)| *transaction));
    }

    // What clients are told.

    pub(crate) fn job_told(&mut self, job: JobId) {
        if !self.jobs.contains_key(&job) {
            self.broken(format!("accepted is durable: job {job} was acknowledged and is not stored"));
        }
        self.told_jobs.insert(job);
    }

    pub(crate) fn stop_told(&mut self, job: JobId) {
        match self.jobs.get(&job) {
            // There was nothing to stop any more.
            Some(view) if view.nodes.iter().all(|node| node.state.is_terminal()) => {}
            Some(view) if view.stop.is_some() => drop(self.told_stops.insert(job)),
            _ => self.broken(format!("accepted is durable: a stop of job {job} was acknowledged and is not stored")),
        }
    }

    // What the engine sends.

    pub(crate) fn frame_queued(&mut self, job: JobId, node: &CertName, transaction: TransactionId) {
        let known = self.place(job, node);
        let started = known.is_some_and(|(view, at)| {
            view.nodes[at.at()].state == NodeState::Running && view.spec.transaction(at, Attempt::FIRST) == transaction
        });
        if !started {
            self.broken(format!("a start is committed before its frame is queued: {node} of job {job}"));
        }
    }

    pub(crate) fn frame_written(&mut self, job: JobId, node: &CertName) {
        let Some((view, at)) = self.place(job, node) else { return };
        let (restored, stop) = (view.restored, view.stop);
        let Some(seen) = self.jobs.get_mut(&job).map(|view| &mut view.nodes[at.at()]) else { return };
        seen.written += 1;
        let (written, resends) = (seen.written, seen.resends);
        if written > 1 {
            self.tally.count("resend");
        }
        if written > 1 + resends {
            self.broken(format!("a frame is sent again only by a committed decision: {node} of job {job}"));
        }
        if restored && stop.is_none() {
            self.broken(format!("nothing of a restored job is sent unasked: {node} of job {job}"));
        }
    }

    // What agents do.

    pub(crate) fn began(&mut self, transaction: TransactionId, run: Execution) {
        let (job, node) = (run.job, run.node.clone());
        let twin = self.executions.values().any(|other| other.job == job && other.node == node);
        if twin {
            self.broken(format!("never twice: {node} of job {job} ran twice"));
        }
        match self.place(job, &node) {
            None => drop(self.excused.insert(transaction)),
            Some((view, at)) => {
                let seen = &view.nodes[at.at()];
                if seen.state != NodeState::Running && !seen.held {
                    let told = format!("{} {:?}", seen.state.name(), seen.cause.map(Cause::name));
                    self.broken(format!("never a lie: {node} of job {job} begins and was told to be {told}"));
                }
            }
        }
        self.executions.insert(transaction, run);
        self.going.insert(transaction);
        if !self.excused.contains(&transaction) && !self.restored {
            self.check_what_runs(transaction);
        }
    }

    pub(crate) fn ended(&mut self, transaction: TransactionId, end: End) {
        self.going.remove(&transaction);
        if let Some(run) = self.executions.get_mut(&transaction) {
            run.end = Some(end);
        }
    }

    // What is committed.

    pub(crate) fn created(&mut self, id: JobId, job: &NewJob) {
        if self.jobs.contains_key(&id) {
            self.broken(format!("job number {id} was given twice"));
        }
        let node = |ready: &bool| NodeView {
            state: if *ready { NodeState::Ready } else { NodeState::New },
            cause: None,
            accepted: false,
            resends: 0,
            written: 0,
            held: false,
        };
        let spec = Arc::clone(&job.spec);
        let before = befores(&spec);
        let nodes = job.ready.iter().map(node).collect();
        self.jobs.insert(
            id,
            JobView { spec, before, nodes, state: job.first_state, stop: None, restored: false, was_restored: false },
        );
    }

    pub(crate) fn committed(&mut self, write: &Write, wall: DateTime<Utc>) {
        match write {
            Write::JobState { job, state, .. } => self.change(*job, |view| view.state = *state),
            Write::NodesReady { job, nodes } => self.change(*job, |view| {
                nodes.iter().for_each(|node| view.nodes[node.at()].state = NodeState::Ready);
            }),
            Write::NodeStarted { job, node, transaction, .. } => self.started(*job, *node, *transaction),
            Write::NodeResent { job, node, .. } => {
                let stopped = self.jobs.get(job).is_some_and(|view| view.stop.is_some() || view.restored);
                if stopped {
                    self.broken(format!("nothing is sent again after a stop or unasked: {node:?} of job {job}"));
                }
                let known = self.jobs.get(job).is_some_and(|view| view.nodes[node.at()].accepted);
                if known {
                    self.broken(format!("what was acknowledged is not sent again: {node:?} of job {job}"));
                }
                self.change(*job, |view| view.nodes[node.at()].resends += 1);
            }
            Write::NodeAccepted { job, node } => self.change(*job, |view| view.nodes[node.at()].accepted = true),
            Write::NodeEnded { job, node, end, hold, .. } => self.node_ended(*job, *node, end, *hold),
            Write::NodeUnstarted { job, node, end, .. } => {
                self.check_never_ran(*job, *node, end.cause);
                self.change(*job, |view| view.end(*node, end.state, end.cause));
            }
            Write::NodesSkipped { job, nodes, cause, .. } => {
                // Before any of them counts as skipped.
                nodes.iter().for_each(|node| self.check_not_forgotten(*job, *node, *cause));
                for node in nodes {
                    self.check_never_ran(*job, *node, Some(*cause));
                    self.change(*job, |view| view.end(*node, NodeState::Skipped, Some(*cause)));
                }
            }
            Write::StopAccepted { job, mode, .. } => self.change(*job, |view| {
                view.state = JobState::Stopping;
                view.stop = view.stop.max(Some(*mode));
            }),
            Write::JobEnded { job, state, .. } => self.job_ended(*job, *state, false),
            Write::JobAborted { job, state, .. } => self.job_ended(*job, *state, true),
            Write::JobResumed { job } => self.change(*job, |view| view.restored = false),
            Write::HoldEnded { transaction, late } => {
                let late = late.as_ref().map(|late| (late.state, late.cause));
                self.hold_ended(*transaction, late, wall);
            }
        }
    }

    fn change(&mut self, job: JobId, change: impl FnOnce(&mut JobView)) {
        if let Some(view) = self.jobs.get_mut(&job) {
            change(view);
        }
    }

    fn place(&self, job: JobId, node: &CertName) -> Option<(&JobView, NodeIndex)> {
        let view = self.jobs.get(&job)?;
        Some((view, view.spec.index_of(node)?))
    }

    fn started(&mut self, job: JobId, node: NodeIndex, transaction: TransactionId) {
        self.change(job, |view| view.nodes[node.at()].state = NodeState::Running);
        let Some(view) = self.jobs.get(&job) else { return };
        let name = view.spec.node(node).clone();
        let mut wrong = Vec::new();
        if view.spec.transaction(node, Attempt::FIRST) != transaction {
            wrong.push("under another id than its own".to_owned());
        }
        let waits = |before: &&NodeIndex| view.nodes[before.at()].state != NodeState::Finished;
        let first = view.before[node.at()].iter().find(waits);
        if let Some(before) = first.filter(|_| !view.was_restored) {
            wrong.push(format!("before {} has finished", view.spec.node(*before)));
        }
        if !self.restored {
            wrong.extend(self.crowds(job, &name));
        }
        wrong.into_iter().for_each(|how| self.broken(format!("{name} of job {job} starts {how}")));
    }

    fn node_ended(&mut self, job: JobId, node: NodeIndex, end: &NodeEnd, hold: Option<DateTime<Utc>>) {
        self.change(job, |view| {
            view.end(node, end.state, end.cause);
            view.nodes[node.at()].held |= hold.is_some();
        });
        let Some(view) = self.jobs.get(&job) else { return };
        let transaction = view.spec.transaction(node, Attempt::FIRST);
        let (name, kind) = (view.spec.node(node).clone(), view.spec.kind());
        let really = self.executions.get(&transaction).map(|run| run.end);
        let fits = match (end.state, end.cause) {
            (NodeState::Finished, None) => really == Some(Some(End::Succeeded)),
            (NodeState::Failed, Some(Cause::RunFailed)) => really == Some(Some(End::Failed)),
            (NodeState::Errored, Some(Cause::Undeliverable | Cause::NotConnected)) => really.is_none(),
            (NodeState::Errored, Some(Cause::TimedOut | Cause::StoppedByForce)) if hold.is_none() => {
                really.is_none_or(|end| end == Some(End::Canceled))
            }
            (NodeState::Errored, Some(cause)) => cause.leaves_hold(),
            _ => false,
        };
        if !fits {
            let told = (end.state.name(), end.cause.map(Cause::name));
            self.broken(format!("never a lie: {name} of job {job} is told to be {told:?}, and really {really:?}"));
        }
        match hold {
            None if really == Some(None) => {
                self.broken(format!("what may still run is held: {name} of job {job} goes on without a hold"));
            }
            None => {}
            Some(until) => {
                self.tally.count("hold");
                self.holds.insert(transaction, HoldView { job, node: name, kind, until });
            }
        }
    }

    fn hold_ended(
        &mut self,
        transaction: TransactionId,
        late: Option<(NodeState, Option<Cause>)>,
        wall: DateTime<Utc>,
    ) {
        let Some(hold) = self.holds.remove(&transaction) else { return };
        let really = self.executions.get(&transaction).map(|run| run.end);
        let HoldView { job, node, until, .. } = hold;
        if let Some((state, cause)) = late {
            self.tally.count("late answer");
            let fits = match state {
                NodeState::Finished => really == Some(Some(End::Succeeded)),
                NodeState::Failed => really == Some(Some(End::Failed)),
                NodeState::Errored => really != Some(None),
                _ => false,
            };
            if !fits {
                let told = (state.name(), cause.map(Cause::name));
                self.broken(format!(
                    "never a lie: {node} of job {job} is told late to be {told:?}, and really {really:?}"
                ));
            }
            return;
        }
        self.tally.count("hold ran out");
        if until > wall && !self.jumped {
            self.broken(format!("a hold of {node} of job {job} ended before its time and without a word"));
        }
        self.excused.insert(transaction);
    }

    fn check_never_ran(&mut self, job: JobId, node: NodeIndex, cause: Option<Cause>) {
        let Some(view) = self.jobs.get(&job) else { return };
        let transaction = view.spec.transaction(node, Attempt::FIRST);
        if self.executions.contains_key(&transaction) {
            let (name, cause) = (view.spec.node(node).clone(), cause.map(Cause::name));
            self.broken(format!("never a lie: {name} of job {job} ran and is told not to have started: {cause:?}"));
        }
    }

    /// A node whose dependency did not finish is skipped with it, and not left for something else to end.
    fn check_not_forgotten(&mut self, job: JobId, node: NodeIndex, cause: Cause) {
        let Some(view) = self.jobs.get(&job) else { return };
        let failed = |before: &&NodeIndex| {
            let state = view.nodes[before.at()].state;
            state.is_terminal() && state != NodeState::Finished
        };
        let late = matches!(cause, Cause::JobStopped | Cause::JobTimedOut);
        let before = view.before[node.at()].iter().find(failed).filter(|_| late);
        if let Some(before) = before {
            let (name, before) = (view.spec.node(node).clone(), view.spec.node(*before).clone());
            self.broken(format!("{name} of job {job} waited on although {before} did not finish: {}", cause.name()));
        }
    }

    fn job_ended(&mut self, job: JobId, state: JobState, aborted: bool) {
        let Some(view) = self.jobs.get_mut(&job) else { return };
        view.state = state;
        let all_finished = view.count(NodeState::Finished) == view.nodes.len();
        let due = match view.stop {
            Some(_) => JobState::Stopped,
            None if all_finished && !aborted => JobState::Finished,
            None => JobState::Failed,
        };
        let open = view.nodes.iter().any(|node| !node.state.is_terminal());
        self.tally.count(&format!("job {}", state.name()));
        if aborted {
            self.tally.count("job aborted");
        }
        if state != due || open {
            self.broken(format!("job {job} ends {} where {} is due, open nodes: {open}", state.name(), due.name()));
        }
    }
}

impl JobView {
    fn end(&mut self, node: NodeIndex, state: NodeState, cause: Option<Cause>) {
        let seen = &mut self.nodes[node.at()];
        (seen.state, seen.cause) = (state, cause);
    }
}

/// For each node those that must finish first, junctions looked through.
fn befores(spec: &JobSpec) -> Vec<Vec<NodeIndex>> {
    let count = spec.nodes.len();
    let direct = |of: NodeIndex| spec.edges.iter().filter(move |(_, to)| *to == of).map(|(from, _)| *from);
    (0..count)
        .map(|at| {
            let mut open: Vec<NodeIndex> = direct(NodeIndex(u32::try_from(at).unwrap())).collect();
            let mut found = Vec::new();
            while let Some(before) = open.pop() {
                if before.at() < count {
                    found.push(before);
                } else {
                    open.extend(direct(before));
                }
            }
            found
        })
        .collect()
}
