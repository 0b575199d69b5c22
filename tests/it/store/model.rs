//! The simplest store that could be right: everything in memory, nothing in chunks. The real one must read the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use bunraku_actors::model::{
    Attempt, Cause, CertName, EventKind, JobId, JobSpec, JobState, NodeIndex, NodeState, StopMode, TransactionId,
};
use bunraku_actors::ports::{JobStore, NewJob, StateSpan, Write};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::builders::*;

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) state: NodeState,
    cause: Option<Cause>,
    attempt: Option<Attempt>,
    started: Option<DateTime<Utc>>,
    finished: Option<DateTime<Utc>>,
    changed: DateTime<Utc>,
    deadline: Option<DateTime<Utc>>,
    accepted: bool,
    message: String,
    result: Value,
}

/// What an event tells, without its number: chunks come between other events.
type Told = (Option<NodeIndex>, EventKind, DateTime<Utc>, String);

/// One job.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) spec: Arc<JobSpec>,
    pub(super) state: JobState,
    stop: Option<StopMode>,
    history: Vec<StateSpan>,
    finished: Option<DateTime<Utc>>,
    pub(super) nodes: Vec<Node>,
    events: Vec<Told>,
}

/// All jobs and holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) jobs: Vec<Job>,
    holds: BTreeMap<TransactionId, (JobId, DateTime<Utc>)>,
}

/// The write is impossible.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Impossible;

impl Node {
    fn end(&mut self, state: NodeState, cause: Option<Cause>, at: DateTime<Utc>, message: &str) {
        (self.state, self.cause, self.changed, self.message) = (state, cause, at, message.to_owned());
    }
}

impl Job {
    fn enter(&mut self, state: JobState, at: DateTime<Utc>) {
        if let Some(open) = self.history.last_mut() {
            open.left = Some(at);
        }
        self.history.push(StateSpan { state, entered: at, left: None });
        self.state = state;
        self.finished = state.is_terminal().then_some(at);
    }

    fn tell(&mut self, node: Option<NodeIndex>, kind: EventKind, at: DateTime<Utc>, message: &str) {
        self.events.push((node, kind, at, message.to_owned()));
    }

    fn all_over(&self) -> bool {
        self.nodes.iter().all(|node| node.state.is_terminal())
    }
}

impl Model {
    pub(super) fn create(&mut self, job: &NewJob) -> JobId {
        let created = job.spec.created_at;
        let fresh = |ready: &bool| Node {
            state: if *ready { NodeState::Ready } else { NodeState::New },
            cause: None,
            attempt: None,
            started: None,
            finished: None,
            changed: created,
            deadline: None,
            accepted: false,
            message: String::new(),
            result: Value::Null,
        };
        let nodes = job.ready.iter().map(fresh).collect();
        let history = vec![StateSpan { state: job.first_state, entered: created, left: None }];
        let (spec, state) = (Arc::clone(&job.spec), job.first_state);
        self.jobs.push(Job { spec, state, stop: None, history, finished: None, nodes, events: Vec::new() });
        JobId(self.jobs.len() as u64)
    }

    /// All of the group or nothing.
    pub(super) fn append(&mut self, writes: &[Write]) -> Result<(), Impossible> {
        let mut next = self.clone();
        writes.iter().try_for_each(|write| next.write(write))?;
        *self = next;
        Ok(())
    }

    fn open(&mut self, job: JobId) -> Result<&mut Job, Impossible> {
        let place = usize::try_from(job.0).unwrap().checked_sub(1).ok_or(Impossible)?;
        self.jobs.get_mut(place).filter(|job| !job.state.is_terminal()).ok_or(Impossible)
    }

    fn write(&mut self, write: &Write) -> Result<(), Impossible> {
        match write {
            Write::JobState { job, state, at } => {
                let job = self.open(*job)?;
                let forward = matches!(
                    (job.state, state),
                    (JobState::New, JobState::Ready | JobState::Running) | (JobState::Ready, JobState::Running)
                );
                if !forward {
                    return Err(Impossible);
                }
                job.enter(*state, *at);
            }
            Write::NodesReady { job, nodes } => {
                let job = self.open(*job)?;
                for node in nodes {
                    match &mut job.nodes.get_mut(node.at()).ok_or(Impossible)?.state {
                        state @ (NodeState::New | NodeState::Ready) => *state = NodeState::Ready,
                        _ => return Err(Impossible),
                    }
                }
            }
            Write::NodesSkipped { job, nodes, at, cause, message } => {
                let job = self.open(*job)?;
                for node in nodes {
                    let message = message.replace("<node>", job.spec.nodes.get(node.at()).ok_or(Impossible)?.as_str());
                    match job.nodes[node.at()].state {
                        NodeState::Running => return Err(Impossible),
                        NodeState::New | NodeState::Ready => {}
                        _ => continue,
                    }
                    job.nodes[node.at()].end(NodeState::Skipped, Some(*cause), *at, &message);
                    job.tell(Some(*node), EventKind::NodeSkipped, *at, &message);
                }
            }
            Write::StopAccepted { job, mode, at } => {
                let id = *job;
                let job = self.open(id)?;
                job.stop = job.stop.max(Some(*mode));
                if job.state != JobState::Stopping {
                    let message = match mode {
                        StopMode::Plain => format!("Stopping job {id}: running nodes finish, no other starts"),
                        StopMode::Force => {
                            format!("Stopping job {id} by force: running nodes are ended, no other starts")
                        }
                    };
                    job.tell(None, EventKind::JobStopping, *at, &message);
                    job.enter(JobState::Stopping, *at);
                }
            }
            Write::JobEnded { job, state, at } => {
                let message = format!("Job {job} {}", state.name());
                self.over(*job, *state, *at, EventKind::JobFinished, &message)?;
            }
            Write::JobAborted { job, state, at, message } => {
                self.over(*job, *state, *at, EventKind::JobAborted, message)?;
            }
            Write::HoldEnded { transaction, late: _ } => {
                self.holds.remove(transaction);
            }
            _ => self.write_node(write)?,
        }
        Ok(())
    }

    fn over(
        &mut self,
        job: JobId,
        state: JobState,
        at: DateTime<Utc>,
        kind: EventKind,
        message: &str,
    ) -> Result<(), Impossible> {
        let job = self.open(job)?;
        if !job.all_over() || !state.is_terminal() {
            return Err(Impossible);
        }
        job.tell(None, kind, at, message);
        job.enter(state, at);
        Ok(())
    }

    fn write_node(&mut self, write: &Write) -> Result<(), Impossible> {
        let (Write::NodeStarted { job: id, node: index, .. }
        | Write::NodeResent { job: id, node: index, .. }
        | Write::NodeAccepted { job: id, node: index }
        | Write::NodeEnded { job: id, node: index, .. }
        | Write::NodeUnstarted { job: id, node: index, .. }) = write
        else {
            unreachable!("the others are not about one node");
        };
        let job = self.open(*id)?;
        let stopped = job.stop.is_some();
        let node = job.nodes.get_mut(index.at()).ok_or(Impossible)?;
        let waits = matches!(node.state, NodeState::New | NodeState::Ready);
        match write {
            Write::NodeStarted { attempt, at, deadline, message, .. } => {
                if node.state != NodeState::Ready || stopped {
                    return Err(Impossible);
                }
                (node.state, node.attempt, node.message) = (NodeState::Running, Some(*attempt), message.clone());
                (node.started, node.changed, node.deadline) = (Some(*at), *at, Some(*deadline));
                job.tell(Some(*index), EventKind::NodeRunning, *at, message);
            }
            Write::NodeUnstarted { .. } if node.state == NodeState::Running => return Err(Impossible),
            Write::NodeUnstarted { .. } if !waits => {}
            Write::NodeUnstarted { .. } => self.end(write),
            _ if waits => return Err(Impossible),
            _ if node.state != NodeState::Running => {}
            Write::NodeResent { deadline, .. } => node.deadline = Some(*deadline),
            Write::NodeAccepted { .. } => node.accepted = true,
            _ => self.end(write),
        }
        Ok(())
    }

    fn end(&mut self, write: &Write) {
        let (id, index, at, end, hold) = match write {
            Write::NodeEnded { job, node, at, end, hold } => (*job, *node, *at, end, *hold),
            Write::NodeUnstarted { job, node, at, end } => (*job, *node, *at, end, None),
            _ => unreachable!("no other write ends a node"),
        };
        let job = self.open(id).expect("it was just looked at");
        let node = &mut job.nodes[index.at()];
        node.end(end.state, end.cause, at, &end.message);
        (node.finished, node.result) = (Some(at), end.result.clone());
        let attempt = node.attempt;
        job.tell(Some(index), EventKind::of_end(end.state).unwrap(), at, &end.message);
        if let (Some(until), Some(attempt)) = (hold, attempt) {
            let transaction = job.spec.transaction(index, attempt);
            self.holds.insert(transaction, (id, until));
        }
    }

    /// Every read of the real store tells the same; with `settled` also the events.
    pub(super) async fn assert_same(&self, store: &dyn JobStore, settled: bool) {
        for (id, job) in (1..).map(JobId).zip(&self.jobs) {
            self.assert_same_job(store, id, job).await;
            if settled {
                store.settled(id).await.unwrap();
                let index = |name: CertName| NodeIndex(job.spec.nodes.binary_search(&name).unwrap() as u32);
                let found = read_events(store, id).await.into_iter();
                let mut found: Vec<_> =
                    found.map(|event| (event.node.map(index), event.kind, event.at, event.message)).collect();
                let mut expected = job.events.clone();
                found.sort();
                expected.sort();
                assert_eq!(found, expected, "events of job {id}");
            }
        }
        let found = store.holds().await.unwrap().into_iter();
        let found: BTreeMap<_, _> = found.map(|hold| (hold.transaction, (hold.job, hold.until))).collect();
        assert_eq!(found, self.holds);
    }

    async fn assert_same_job(&self, store: &dyn JobStore, id: JobId, job: &Job) {
        let whole = store.stored(id).await.unwrap().unwrap();
        let record = &whole.record;
        assert_eq!((record.state, record.stop, record.finished_at), (job.state, job.stop, job.finished));
        assert_eq!(record.history, job.history);
        assert_eq!(*whole.spec, *job.spec);
        for state in NodeState::ALL {
            let expected = job.nodes.iter().filter(|node| node.state == state).count();
            assert_eq!(record.counts.get(state) as usize, expected, "{state:?} of job {id}");
        }
        let records = read_nodes(store, all_nodes(id)).await;
        let found: Vec<_> = whole
            .nodes
            .into_iter()
            .zip(records)
            .map(|(stored, record)| {
                assert_eq!(
                    (stored.state, stored.cause, stored.started_at),
                    (record.state, record.cause, record.started_at)
                );
                Node {
                    state: record.state,
                    cause: record.cause,
                    attempt: stored.attempt,
                    started: record.started_at,
                    finished: record.finished_at,
                    changed: record.changed_at,
                    deadline: stored.deadline,
                    accepted: stored.accepted,
                    message: record.message,
                    result: record.result,
                }
            })
            .collect();
        assert_eq!(found, job.nodes, "nodes of job {id}");
    }
}
