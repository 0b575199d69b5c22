//! Writes of the memory store, each checked: a broken rule is a bug of the engine.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::model::{
    Attempt, Cause, CertName, EventKind, EventRecord, EventSeq, JobId, JobState, NodeEnd, NodeIndex, NodeState,
    StopMode,
};
use crate::ports::{Held, NewJob, NodeRecord, Refusal, Restoration, StateSpan, StoredNode, Write};

use super::store::{JobRow, NodeRow, Rows};

type Checked = Result<(), &'static str>;

impl Rows {
    pub(super) fn create(&mut self, job: NewJob) -> Result<JobId, Refusal> {
        let once = job.once.map(|once| ((once.owner, once.key), once.fingerprint));
        if let Some((name, fingerprint)) = &once
            && let Some((known, before)) = self.once.get(name)
        {
            return Err(match known == fingerprint {
                true => Refusal::Repeated(*before),
                false => Refusal::OtherCommand(name.1.clone()),
            });
        }
        self.last_job += 1;
        let id = JobId(self.last_job);
        let at = job.spec.created_at;
        let rows = (0..).map(NodeIndex).zip(job.spec.nodes.iter()).zip(&job.ready);
        let nodes = rows.map(|((node, name), ready)| new_row(node, name, *ready, at)).collect();
        let history = vec![StateSpan { state: job.first_state, entered: at, left: None }];
        let header = Arc::new(job.spec.header());
        let row = JobRow {
            spec: job.spec,
            header,
            history,
            finished_at: None,
            stop: None,
            restoration: Restoration::None,
            nodes,
        };
        self.jobs.insert(id, row);
        if let Some((name, fingerprint)) = once {
            self.once.insert(name, (fingerprint, id));
        }
        Ok(id)
    }

    pub(super) fn apply(&mut self, write: Write) -> Checked {
        match write {
            Write::JobState { job, state, at } => self.enter(job, state, at),
            Write::NodesReady { job, nodes } => {
                nodes.into_iter().try_for_each(|node| self.shift(job, node, &[NodeState::New], NodeState::Ready))
            }
            Write::NodeStarted { job, node, attempt, transaction, at, deadline, spool, message } => {
                if self.job(job)?.stop.is_some() {
                    return Err("a start after the stop");
                }
                self.shift(job, node, &[NodeState::Ready], NodeState::Running)?;
                let row = self.node(job, node)?;
                row.stored.attempt = Some(attempt);
                row.stored.started_at = Some(at);
                row.stored.deadline = Some(deadline);
                row.stored.spool = spool;
                row.shown.started_at = Some(at);
                row.shown.transaction = Some(transaction);
                let noop = self.job(job)?.spec.action.noop();
                self.node_event(job, node, EventKind::NodeRunning, at, json!({ "noop": noop }), message)
            }
            Write::NodeResent { job, node, deadline } => {
                self.in_state(job, node, NodeState::Running)?.stored.deadline = Some(deadline);
                Ok(())
            }
            Write::NodeAccepted { job, node } => {
                self.in_state(job, node, NodeState::Running)?.stored.accepted = true;
                Ok(())
            }
            Write::NodeEnded { job, node, at, end, hold } => {
                self.shift(job, node, &[NodeState::Running], end.state)?;
                if let Some(until) = hold {
                    self.hold(job, node, end.cause, until)?;
                }
                self.end(job, node, at, Arc::unwrap_or_clone(end))
            }
            Write::NodeUnstarted { job, node, at, end } => {
                self.shift(job, node, &[NodeState::New, NodeState::Ready], end.state)?;
                self.end(job, node, at, Arc::unwrap_or_clone(end))
            }
            Write::NodesSkipped { job, nodes, at, cause, message } => nodes.into_iter().try_for_each(|node| {
                self.shift(job, node, &[NodeState::New, NodeState::Ready], NodeState::Skipped)?;
                let row = self.node(job, node)?;
                row.stored.cause = Some(cause);
                row.shown.cause = Some(cause);
                let message = message.replace("<node>", row.shown.name.as_str());
                row.shown.details = json!({ "message": message, "detail": message });
                self.node_event(job, node, EventKind::NodeSkipped, at, json!({ "message": message }), message.clone())
            }),
            Write::StopAccepted { job, mode, at } => self.stop(job, mode, at),
            Write::JobEnded { job, state, at } => {
                self.finish(job, state, at)?;
                let detail = json!({ "state": state.name() });
                self.event(job, EventKind::JobFinished, at, None, detail, format!("job {job} is {}", state.name()));
                Ok(())
            }
            Write::JobAborted { job, state, at, message } => {
                self.finish(job, state, at)?;
                self.event(job, EventKind::JobAborted, at, None, json!({ "message": message }), message);
                Ok(())
            }
            Write::JobResumed { job } => {
                self.job(job)?.restoration = Restoration::Resumed;
                Ok(())
            }
            Write::HoldEnded { transaction, late } => {
                let held = self.holds.remove(&transaction).ok_or("the end of a hold that is not there")?;
                if let Some(late) = late {
                    let node = self.job(held.job)?.spec.index_of(&held.node).ok_or("a hold of another job's node")?;
                    self.node(held.job, node)?.shown.late = Some(*late);
                }
                Ok(())
            }
        }
    }

    fn job(&mut self, job: JobId) -> Result<&mut JobRow, &'static str> {
        self.jobs.get_mut(&job).ok_or("a job that is not there")
    }

    fn node(&mut self, job: JobId, node: NodeIndex) -> Result<&mut NodeRow, &'static str> {
        self.job(job)?.nodes.get_mut(node.at()).ok_or("a node that is not there")
    }

    fn in_state(&mut self, job: JobId, node: NodeIndex, state: NodeState) -> Result<&mut NodeRow, &'static str> {
        let row = self.node(job, node)?;
        if row.stored.state == state { Ok(row) } else { Err("a node in another state") }
    }

    fn shift(&mut self, job: JobId, node: NodeIndex, from: &[NodeState], to: NodeState) -> Checked {
        if self.job(job)?.state().is_terminal() {
            return Err("a change of a job that is over");
        }
        let row = self.node(job, node)?;
        if !from.contains(&row.stored.state) {
            return Err("a node in another state");
        }
        row.stored.state = to;
        row.shown.state = to;
        Ok(())
    }

    fn enter(&mut self, job: JobId, state: JobState, at: DateTime<Utc>) -> Checked {
        let row = self.job(job)?;
        if row.state().is_terminal() {
            return Err("a change of a job that is over");
        }
        if let Some(open) = row.history.last_mut() {
            open.left = Some(at);
        }
        row.history.push(StateSpan { state, entered: at, left: None });
        Ok(())
    }

    fn stop(&mut self, job: JobId, mode: StopMode, at: DateTime<Utc>) -> Checked {
        if self.job(job)?.stop.is_none() {
            self.enter(job, JobState::Stopping, at)?;
            self.event(job, EventKind::JobStopping, at, None, json!({}), format!("job {job} is being stopped"));
        }
        let row = self.job(job)?;
        row.stop = row.stop.max(Some(mode));
        Ok(())
    }

    fn finish(&mut self, job: JobId, state: JobState, at: DateTime<Utc>) -> Checked {
        let row = self.job(job)?;
        if !state.is_terminal() || row.nodes.iter().any(|node| !node.stored.state.is_terminal()) {
            return Err("the end of a job before that of its nodes");
        }
        row.finished_at = Some(at);
        self.enter(job, state, at)
    }

    fn end(&mut self, job: JobId, node: NodeIndex, at: DateTime<Utc>, end: NodeEnd) -> Checked {
        let kind = EventKind::of_end(end.state).ok_or("an end that is none")?;
        let row = self.node(job, node)?;
        row.stored.cause = end.cause;
        row.shown.cause = end.cause;
        row.shown.finished_at = Some(at);
        row.shown.details = end.details;
        row.shown.transaction_uuid = end.transaction_uuid;
        row.shown.resource_events = end.resource_events;
        row.shown.result = end.result.clone();
        self.node_event(job, node, kind, at, end.result, end.message)
    }

    fn hold(&mut self, job: JobId, node: NodeIndex, cause: Option<Cause>, until: DateTime<Utc>) -> Checked {
        let row = self.job(job)?;
        let action = Arc::clone(&row.spec.action);
        let name = row.spec.node(node).clone();
        let attempt = row.nodes[node.at()].stored.attempt.unwrap_or(Attempt::FIRST);
        let transaction = row.spec.transaction(node, attempt);
        let StoredNode { spool, accepted, .. } = row.nodes[node.at()].stored.clone();
        let held = Held { transaction, job, node: name, action, spool, accepted, cause, until };
        self.holds.insert(transaction, held);
        Ok(())
    }

    fn node_event(
        &mut self,
        job: JobId,
        node: NodeIndex,
        kind: EventKind,
        at: DateTime<Utc>,
        detail: Value,
        message: String,
    ) -> Checked {
        let name = self.node(job, node)?.shown.name.clone();
        let seq = self.event(job, kind, at, Some(name), detail, message.clone());
        let row = self.node(job, node)?;
        row.shown.latest_event = seq;
        row.shown.message = message;
        row.shown.changed_at = at;
        Ok(())
    }

    fn event(
        &mut self,
        job: JobId,
        kind: EventKind,
        at: DateTime<Utc>,
        node: Option<CertName>,
        detail: Value,
        message: String,
    ) -> EventSeq {
        let seq = EventSeq(self.events.len() as u64 + 1);
        let of = |name: &CertName| self.jobs.get(&job)?.nodes.iter().find(|row| row.shown.name == *name)?.stored.cause;
        let cause = node.as_ref().filter(|_| kind != EventKind::NodeRunning).and_then(of);
        self.events.push(EventRecord { seq, job, kind, at, node, cause, detail, message });
        seq
    }
}

fn new_row(node: NodeIndex, name: &CertName, ready: bool, at: DateTime<Utc>) -> NodeRow {
    let state = if ready { NodeState::Ready } else { NodeState::New };
    let stored = StoredNode {
        state,
        cause: None,
        attempt: None,
        started_at: None,
        deadline: None,
        accepted: false,
        spool: None,
    };
    let shown = NodeRecord {
        node,
        name: name.clone(),
        state,
        started_at: None,
        finished_at: None,
        changed_at: at,
        transaction: None,
        cause: None,
        message: String::new(),
        transaction_uuid: None,
        result: Value::Null,
        details: json!({}),
        resource_events: Vec::new(),
        late: None,
        latest_event: EventSeq(0),
    };
    NodeRow { stored, shown }
}
