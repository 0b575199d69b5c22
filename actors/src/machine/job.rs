//! A job's decisions: which node may start, what an end means for others, when the job is over.
//!
//! [`Job`] holds what is *decided*; what is committed is kept by the job's actor. Every decision is a list of writes
//! that belong together and must be committed as one group, in order of the decisions.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::words::Words;
use crate::model::{
    Attempt, Cause, CertName, JobId, JobSpec, JobState, NodeCounts, NodeEnd, NodeIndex, NodeState, StopMode,
};
use crate::plan::Schedule;
use crate::ports::{StoredNode, Write};

/// What happens to a job.
#[derive(Debug, Clone)]
pub enum JobInput {
    /// A node takes its slot: its start is decided.
    Start { node: NodeIndex, deadline: DateTime<Utc>, spool: Option<String> },
    /// An agent knows of a run of this node that the store does not: the job was restored from a backup.
    Found { node: NodeIndex, deadline: DateTime<Utc>, spool: Option<String> },
    /// A started node's agent acknowledged the request.
    Accepted { node: NodeIndex },
    /// A started node's frame is sent again.
    Resend { node: NodeIndex, deadline: DateTime<Utc> },
    /// A started node ended; `hold` is when its hold ends by itself.
    End { node: NodeIndex, end: Arc<NodeEnd>, hold: Option<DateTime<Utc>> },
    /// A node had no connection for too long.
    NotConnected { node: NodeIndex },
    /// Someone stops the job.
    Stop(StopMode),
    /// The job's own time for starts is over.
    StartsExpired,
    /// Everything decided is committed and settled.
    Settled,
    /// The job cannot be carried on: all that is not over ends, running nodes with a hold until then.
    Break { held_until: DateTime<Utc> },
    /// After `Break`, when everything is settled: the last event.
    Abort { message: String },
}

/// Why an input is refused; the state is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JobRefusal {
    #[error("the node is {}, which this input is not for", .1.name())]
    NodeState(NodeIndex, NodeState),
    #[error("the job starts nothing any more")]
    StartsNothing,
    #[error("the job is being stopped, so nothing is sent again")]
    ResendsNothing,
    #[error("the job is over")]
    Over,
    #[error("some nodes of the job are not over")]
    NotOver,
}

impl JobRefusal {
    /// The node that the refused input was for, where it was for one.
    #[must_use]
    pub fn node(&self) -> Option<NodeIndex> {
        match self {
            Self::NodeState(node, _) => Some(*node),
            Self::StartsNothing | Self::ResendsNothing | Self::Over | Self::NotOver => None,
        }
    }
}

/// What a step decided.
#[derive(Debug, Clone, Default)]
pub struct Decision {
    /// One atomic group, may be empty.
    pub writes: Vec<Write>,
    /// Nodes that may start from now on.
    pub startable: Vec<NodeIndex>,
}

/// What is known of a job in every state.
#[derive(Debug, Clone)]
pub struct Body {
    id: JobId,
    spec: Arc<JobSpec>,
    schedule: Schedule,
    nodes: Vec<NodeState>,
    counts: NodeCounts,
}

/// A job as decided.
#[derive(Debug, Clone)]
pub enum Job {
    /// Nodes start.
    Open(Body),
    /// A stop was accepted: started nodes go on, none starts.
    Stopping(Body, StopMode),
    /// The last event is decided.
    Over(Body, JobState),
}

type Step = (Job, Result<Decision, JobRefusal>);

impl Job {
    /// A job as it was committed, and the nodes that may start.
    #[must_use]
    pub fn restore(
        id: JobId,
        spec: Arc<JobSpec>,
        state: JobState,
        stop: Option<StopMode>,
        stored: &[StoredNode],
    ) -> (Self, Decision) {
        let schedule = Schedule::new(&spec);
        let nodes: Vec<NodeState> = stored.iter().map(|node| node.state).collect();
        let mut counts = NodeCounts::default();
        nodes.iter().for_each(|state| counts.add(*state, 1));
        let mut body = Body { id, spec, schedule, nodes, counts };
        let startable = body.replay();
        let job = match (state, stop) {
            (JobState::Stopped | JobState::Finished | JobState::Failed, _) => {
                return (Self::Over(body, state), Decision::default());
            }
            (JobState::Stopping, stop) => Self::Stopping(body, stop.unwrap_or(StopMode::Plain)),
            (JobState::New | JobState::Ready | JobState::Running, Some(mode)) => Self::Stopping(body, mode),
            (JobState::New | JobState::Ready | JobState::Running, None) => Self::Open(body),
        };
        (job, startable)
    }

    /// Takes one step. Refused inputs leave the job as it is.
    pub fn step(self, input: JobInput, at: DateTime<Utc>) -> Step {
        match self {
            Self::Open(body) => open(body, input, at),
            Self::Stopping(body, mode) => stopping(body, mode, input, at),
            Self::Over(body, state) => over(body, state, &input),
        }
    }

    /// The decided counts.
    #[must_use]
    pub fn counts(&self) -> NodeCounts {
        self.body().counts
    }

    /// The decided state of a node.
    #[must_use]
    pub fn node(&self, node: NodeIndex) -> NodeState {
        self.body().nodes[node.at()]
    }

    /// True while nodes may start.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// The accepted stop.
    #[must_use]
    pub fn stop(&self) -> Option<StopMode> {
        match self {
            Self::Stopping(_, mode) => Some(*mode),
            Self::Open(_) | Self::Over(..) => None,
        }
    }

    /// True when no node can change any more.
    #[must_use]
    pub fn all_over(&self) -> bool {
        self.body().counts.all_over()
    }

    /// True when the last event is decided.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Over(..))
    }

    fn body(&self) -> &Body {
        match self {
            Self::Open(body) | Self::Stopping(body, _) | Self::Over(body, _) => body,
        }
    }
}

fn open(mut body: Body, input: JobInput, at: DateTime<Utc>) -> Step {
    let decided = match input {
        JobInput::Start { node, deadline, spool } => body.start(node, deadline, spool, at),
        JobInput::Found { node, deadline, spool } => body.found(node, deadline, spool, at),
        JobInput::Stop(mode) if body.counts.all_over() => {
            // A job whose nodes are all over keeps its state (API §11.3), whatever the mode.
            let _ = mode;
            Ok(Decision::default())
        }
        JobInput::Stop(mode) => {
            let stop = Write::StopAccepted { job: body.id, mode, at };
            let mut decision = body.skip_waiting(Cause::JobStopped, "the job was stopped", at);
            decision.writes.insert(0, stop);
            return (Job::Stopping(body, mode), Ok(decision));
        }
        JobInput::NotConnected { node } => body.not_connected(node, at),
        JobInput::StartsExpired => {
            Ok(body.skip_waiting(Cause::JobTimedOut, "the time in which the job may start nodes is over", at))
        }
        JobInput::Settled => {
            let all_finished = body.counts.get(NodeState::Finished) == body.counts.total();
            let state = if all_finished { JobState::Finished } else { JobState::Failed };
            return end(body, state, at, Job::Open);
        }
        JobInput::Abort { message } => return abort(body, JobState::Failed, message, at, Job::Open),
        input @ (JobInput::Accepted { .. }
        | JobInput::Resend { .. }
        | JobInput::End { .. }
        | JobInput::Break { .. }) => body.of_running(input, at),
    };
    (Job::Open(body), decided)
}

fn stopping(mut body: Body, mode: StopMode, input: JobInput, at: DateTime<Utc>) -> Step {
    let decided = match input {
        JobInput::Stop(StopMode::Force) if mode == StopMode::Plain && !body.counts.all_over() => {
            let writes = vec![Write::StopAccepted { job: body.id, mode: StopMode::Force, at }];
            return (Job::Stopping(body, StopMode::Force), Ok(Decision { writes, startable: Vec::new() }));
        }
        JobInput::Stop(_) | JobInput::StartsExpired => Ok(Decision::default()),
        JobInput::Start { .. } | JobInput::Found { .. } | JobInput::NotConnected { .. } => {
            Err(JobRefusal::StartsNothing)
        }
        JobInput::Resend { .. } => Err(JobRefusal::ResendsNothing),
        JobInput::Settled => return end(body, JobState::Stopped, at, |body| Job::Stopping(body, mode)),
        JobInput::Abort { message } => {
            return abort(body, JobState::Stopped, message, at, |body| Job::Stopping(body, mode));
        }
        input @ (JobInput::Accepted { .. } | JobInput::End { .. } | JobInput::Break { .. }) => {
            body.of_running(input, at)
        }
    };
    (Job::Stopping(body, mode), decided)
}

fn over(body: Body, state: JobState, input: &JobInput) -> Step {
    let decided = match input {
        JobInput::Stop(_) => Ok(Decision::default()),
        JobInput::Start { .. }
        | JobInput::Found { .. }
        | JobInput::Accepted { .. }
        | JobInput::Resend { .. }
        | JobInput::End { .. }
        | JobInput::NotConnected { .. }
        | JobInput::StartsExpired
        | JobInput::Settled
        | JobInput::Break { .. }
        | JobInput::Abort { .. } => Err(JobRefusal::Over),
    };
    (Job::Over(body, state), decided)
}

fn end(body: Body, state: JobState, at: DateTime<Utc>, unchanged: impl Fn(Body) -> Job) -> Step {
    if !body.counts.all_over() {
        return (unchanged(body), Err(JobRefusal::NotOver));
    }
    let writes = vec![Write::JobEnded { job: body.id, state, at }];
    (Job::Over(body, state), Ok(Decision { writes, startable: Vec::new() }))
}

fn abort(body: Body, state: JobState, message: String, at: DateTime<Utc>, unchanged: impl Fn(Body) -> Job) -> Step {
    if !body.counts.all_over() {
        return (unchanged(body), Err(JobRefusal::NotOver));
    }
    let writes = vec![Write::JobAborted { job: body.id, state, at, message }];
    (Job::Over(body, state), Ok(Decision { writes, startable: Vec::new() }))
}

impl Body {
    /// Brings the schedule to what the nodes' states say; nodes that may start by it and are not marked yet, are.
    fn replay(&mut self) -> Decision {
        for node in self.indices() {
            match self.nodes[node.at()] {
                NodeState::Finished => drop(self.schedule.finish(node)),
                NodeState::Failed | NodeState::Errored | NodeState::Skipped => drop(self.schedule.fail(node)),
                NodeState::New | NodeState::Ready | NodeState::Running => {}
            }
        }
        let unmarked: Vec<NodeIndex> = self
            .indices()
            .filter(|node| self.nodes[node.at()] == NodeState::New && self.schedule.may_start(*node))
            .collect();
        let writes = self.mark_ready(unmarked).into_iter().collect();
        let startable = self.indices().filter(|node| self.nodes[node.at()] == NodeState::Ready).collect();
        Decision { writes, startable }
    }

    fn indices(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        (0..).take(self.nodes.len()).map(NodeIndex)
    }

    fn name(&self, node: NodeIndex) -> &CertName {
        self.spec.node(node)
    }

    fn words(&self) -> Words {
        Words::of(self.spec.kind())
    }

    fn expect(&self, node: NodeIndex, state: NodeState) -> Result<(), JobRefusal> {
        let present = self.nodes[node.at()];
        if present == state { Ok(()) } else { Err(JobRefusal::NodeState(node, present)) }
    }

    fn shift(&mut self, node: NodeIndex, to: NodeState) {
        let from = std::mem::replace(&mut self.nodes[node.at()], to);
        self.counts.shift(from, to, 1);
    }

    fn start(
        &mut self,
        node: NodeIndex,
        deadline: DateTime<Utc>,
        spool: Option<String>,
        at: DateTime<Utc>,
    ) -> Result<Decision, JobRefusal> {
        self.expect(node, NodeState::Ready)?;
        self.shift(node, NodeState::Running);
        let start = Write::NodeStarted {
            job: self.id,
            node,
            attempt: Attempt::FIRST,
            transaction: self.spec.transaction(node, Attempt::FIRST),
            at,
            deadline,
            spool,
            message: self.words().started(self.name(node)),
        };
        Ok(Decision { writes: vec![start], startable: Vec::new() })
    }

    /// As a start, of a node that may still have waited for others when the backup was made.
    fn found(
        &mut self,
        node: NodeIndex,
        deadline: DateTime<Utc>,
        spool: Option<String>,
        at: DateTime<Utc>,
    ) -> Result<Decision, JobRefusal> {
        let mut writes = Vec::new();
        if self.nodes[node.at()] == NodeState::New {
            writes.extend(self.mark_ready(vec![node]));
        }
        let started = self.start(node, deadline, spool, at)?;
        writes.extend(started.writes);
        Ok(Decision { writes, startable: Vec::new() })
    }

    /// Inputs which mean the same before and after a stop.
    fn of_running(&mut self, input: JobInput, at: DateTime<Utc>) -> Result<Decision, JobRefusal> {
        let job = self.id;
        match input {
            JobInput::Accepted { node } => {
                self.expect(node, NodeState::Running)?;
                Ok(Decision { writes: vec![Write::NodeAccepted { job, node }], startable: Vec::new() })
            }
            JobInput::Resend { node, deadline } => {
                self.expect(node, NodeState::Running)?;
                Ok(Decision { writes: vec![Write::NodeResent { job, node, deadline }], startable: Vec::new() })
            }
            JobInput::End { node, end, hold } => {
                self.expect(node, NodeState::Running)?;
                let state = end.state;
                let first = Write::NodeEnded { job, node, at, end, hold };
                Ok(self.after_end(node, state, first, at))
            }
            JobInput::Break { held_until } => Ok(self.break_down(held_until, at)),
            JobInput::Start { .. }
            | JobInput::Found { .. }
            | JobInput::NotConnected { .. }
            | JobInput::Stop(_)
            | JobInput::StartsExpired
            | JobInput::Settled
            | JobInput::Abort { .. } => Err(JobRefusal::StartsNothing),
        }
    }

    fn not_connected(&mut self, node: NodeIndex, at: DateTime<Utc>) -> Result<Decision, JobRefusal> {
        self.expect(node, NodeState::Ready)?;
        let name = self.name(node);
        let reason = format!("{name} is not connected to the PCP broker");
        let end = super::outcome::errored(name, self.words(), Cause::NotConnected, &reason);
        let first = Write::NodeUnstarted { job: self.id, node, at, end: Arc::new(end) };
        Ok(self.after_end(node, NodeState::Errored, first, at))
    }

    /// A node is over: the ones after it may start, or never will.
    fn after_end(&mut self, node: NodeIndex, state: NodeState, first: Write, at: DateTime<Utc>) -> Decision {
        self.shift(node, state);
        let mut writes = vec![first];
        let mut startable = Vec::new();
        if state == NodeState::Finished {
            let freed = self.schedule.finish(node);
            startable = freed.into_iter().filter(|freed| self.nodes[freed.at()] == NodeState::New).collect();
            writes.extend(self.mark_ready(startable.clone()));
        } else {
            let lost = self.schedule.fail(node);
            let reason = format!("{}, which it depends on, did not finish", self.name(node));
            writes.extend(self.skip(lost, Cause::DependencyFailed, &reason, at));
        }
        Decision { writes, startable }
    }

    fn mark_ready(&mut self, nodes: Vec<NodeIndex>) -> Option<Write> {
        for node in &nodes {
            self.shift(*node, NodeState::Ready);
        }
        (!nodes.is_empty()).then_some(Write::NodesReady { job: self.id, nodes })
    }

    fn skip_waiting(&mut self, cause: Cause, reason: &str, at: DateTime<Utc>) -> Decision {
        let writes = self.skip(self.indices().collect(), cause, reason, at).into_iter().collect();
        Decision { writes, startable: Vec::new() }
    }

    /// Skips those of the nodes that wait.
    fn skip(&mut self, mut nodes: Vec<NodeIndex>, cause: Cause, reason: &str, at: DateTime<Utc>) -> Option<Write> {
        nodes.retain(|node| matches!(self.nodes[node.at()], NodeState::New | NodeState::Ready));
        for node in &nodes {
            self.shift(*node, NodeState::Skipped);
        }
        let message = self.words().skipped(reason);
        (!nodes.is_empty()).then_some(Write::NodesSkipped { job: self.id, nodes, at, cause, message })
    }

    fn break_down(&mut self, held_until: DateTime<Utc>, at: DateTime<Utc>) -> Decision {
        let mut decision = self.skip_waiting(Cause::JobBroken, "the job could not be carried on", at);
        let running: Vec<NodeIndex> =
            self.indices().filter(|node| self.nodes[node.at()] == NodeState::Running).collect();
        for node in running {
            let reason = "the job could not be carried on, and the outcome of the run is unknown";
            let end = super::outcome::errored(self.name(node), self.words(), Cause::OutcomeUnknown, reason);
            self.shift(node, NodeState::Errored);
            let (job, end) = (self.id, Arc::new(end));
            decision.writes.push(Write::NodeEnded { job, node, at, end, hold: Some(held_until) });
        }
        decision
    }
}
