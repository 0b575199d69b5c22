//! Writes about nodes: starts, ends, and decisions about many.

use bunraku_actors::model::{
    Attempt, Cause, CertName, EventKind, EventSeq, JobId, NodeEnd, NodeIndex, NodeState, TransactionId,
};
use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, params};
use serde_json::{Value, json};

use super::group::{Group, NewEvent, derived_detail};
use crate::store::columns::{Db, get};
use crate::store::decision::{Body, message_for};
use crate::store::fault::Fault;
use crate::store::request::PackedOutcome;
use crate::store::shared::RunChange;

/// What a start commits.
#[derive(Debug)]
pub(super) struct Start<'a> {
    pub(super) attempt: Attempt,
    pub(super) transaction: TransactionId,
    pub(super) at: DateTime<Utc>,
    pub(super) deadline: DateTime<Utc>,
    pub(super) spool: Option<&'a str>,
    pub(super) message: &'a str,
}

/// Why and when nodes are skipped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Skip<'a> {
    pub(super) at: DateTime<Utc>,
    pub(super) cause: Cause,
    /// May hold `<node>`.
    pub(super) message: &'a str,
}

impl Group<'_> {
    pub(super) fn node_started(&mut self, job: JobId, node: NodeIndex, start: &Start<'_>) -> Result<(), Fault> {
        if self.node_state(job, node)? != NodeState::Ready {
            return Err(self.refusal(job, node, "start"));
        }
        let live = self.open_job(job)?;
        // Started means: committed before the stop.
        if live.stop.is_some() {
            return Err(self.refusal(job, node, "start after the stop of its job"));
        }
        live.shift(node, NodeState::Running);
        let name = live.spec.node(node).clone();
        let detail = json!({ "noop": live.spec.action.noop() });
        let kind = EventKind::NodeRunning;
        let message = start.message.to_owned();
        let seq = self.event(NewEvent { job, kind, at: start.at, node: Some(node), cause: None, detail, message })?;
        self.connection
            .prepare_cached(
                "INSERT INTO job_nodes (job, node, state, attempt, transaction_id, started_at, changed_at, deadline, \
                 spool, latest_event) VALUES (?1, ?2, 'running', ?3, ?4, ?5, ?5, ?6, ?7, ?8) \
                 ON CONFLICT DO UPDATE SET state = excluded.state, attempt = excluded.attempt, \
                 transaction_id = excluded.transaction_id, started_at = excluded.started_at, \
                 changed_at = excluded.changed_at, deadline = excluded.deadline, spool = excluded.spool, \
                 latest_event = excluded.latest_event",
            )?
            .execute(params![
                Db(job),
                Db(node),
                Db(start.attempt),
                Db(start.transaction),
                Db(start.at),
                Db(start.deadline),
                start.spool,
                Db(seq)
            ])?;
        self.effects.runs.push(RunChange::Opened(name, job));
        Ok(())
    }

    pub(super) fn node_resent(&mut self, job: JobId, node: NodeIndex, deadline: DateTime<Utc>) -> Result<(), Fault> {
        if self.is_running(job, node, "be sent again")? {
            self.connection
                .prepare_cached("UPDATE job_nodes SET deadline = ?3 WHERE job = ?1 AND node = ?2")?
                .execute(params![Db(job), Db(node), Db(deadline)])?;
        }
        Ok(())
    }

    pub(super) fn node_accepted(&mut self, job: JobId, node: NodeIndex) -> Result<(), Fault> {
        if self.is_running(job, node, "be accepted")? {
            self.connection
                .prepare_cached("UPDATE job_nodes SET accepted = 1 WHERE job = ?1 AND node = ?2")?
                .execute(params![Db(job), Db(node)])?;
        }
        Ok(())
    }

    pub(super) fn node_ended(
        &mut self,
        job: JobId,
        node: NodeIndex,
        at: DateTime<Utc>,
        end: &NodeEnd,
        outcome: Option<&PackedOutcome>,
        hold: Option<DateTime<Utc>>,
    ) -> Result<(), Fault> {
        if !self.is_running(job, node, "end")? {
            return Ok(());
        }
        let seq = self.end_event(job, node, at, end, outcome)?;
        self.connection
            .prepare_cached(
                "UPDATE job_nodes SET state = ?3, cause = ?4, finished_at = ?5, changed_at = ?5, \
                 transaction_uuid = ?6, latest_event = ?7 WHERE job = ?1 AND node = ?2",
            )?
            .execute(params![
                Db(job),
                Db(node),
                Db(end.state),
                end.cause.map(Db),
                Db(at),
                end.transaction_uuid,
                Db(seq)
            ])?;
        let name = self.open_job(job)?.spec.node(node).clone();
        if let Some(until) = hold {
            self.connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO holds (transaction_id, job, node, until) \
                     SELECT transaction_id, job, ?3, ?4 FROM job_nodes WHERE job = ?1 AND node = ?2",
                )?
                .execute(params![Db(job), Db(node), name.as_str(), Db(until)])?;
        }
        self.effects.runs.push(RunChange::Closed(name, job));
        Ok(())
    }

    pub(super) fn node_unstarted(
        &mut self,
        job: JobId,
        node: NodeIndex,
        at: DateTime<Utc>,
        end: &NodeEnd,
        outcome: Option<&PackedOutcome>,
    ) -> Result<(), Fault> {
        match self.node_state(job, node)? {
            NodeState::New | NodeState::Ready => {}
            NodeState::Running => return Err(self.refusal(job, node, "end without a start")),
            NodeState::Finished | NodeState::Failed | NodeState::Errored | NodeState::Skipped => return Ok(()),
        }
        let seq = self.end_event(job, node, at, end, outcome)?;
        self.connection
            .prepare_cached(
                "INSERT INTO job_nodes (job, node, state, cause, finished_at, changed_at, transaction_uuid, \
                 latest_event) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7) \
                 ON CONFLICT DO UPDATE SET state = excluded.state, cause = excluded.cause, \
                 finished_at = excluded.finished_at, changed_at = excluded.changed_at, \
                 transaction_uuid = excluded.transaction_uuid, latest_event = excluded.latest_event",
            )?
            .execute(params![
                Db(job),
                Db(node),
                Db(end.state),
                end.cause.map(Db),
                Db(at),
                end.transaction_uuid,
                Db(seq)
            ])?;
        Ok(())
    }

    /// Ends a hold; what the agent said is kept with the node, also when the job is over.
    pub(super) fn hold_ended(&mut self, transaction: TransactionId, late: Option<&[u8]>) -> Result<(), Fault> {
        let held: Option<(JobId, CertName)> = self
            .connection
            .prepare_cached("DELETE FROM holds WHERE transaction_id = ?1 RETURNING job, node")?
            .query_row([Db(transaction)], |row| Ok((get(row, 0)?, get(row, 1)?)))
            .optional()?;
        let (Some((job, name)), Some(late)) = (held, late) else { return Ok(()) };
        let spec = match self.specs.spec(self.connection, job) {
            Ok(spec) => spec,
            Err(fault) if fault.advice().is_some() => return Err(fault),
            // Which of the nodes it was cannot be told any more. The hold ends.
            Err(_) => return Ok(()),
        };
        let Some(node) = spec.index_of(&name) else {
            return Err(Fault::Inconsistent(format!("{name} has a hold of job {job}, which has no such node")));
        };
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO late_answers (job, node, answer) VALUES (?1, ?2, ?3)")?
            .execute(params![Db(job), Db(node), late])?;
        Ok(())
    }

    /// Moves nodes to ready; with `decide`, their rows follow in chunks.
    pub(super) fn nodes_ready(&mut self, job: JobId, nodes: &[NodeIndex], decide: bool) -> Result<(), Fault> {
        let mut moved = Vec::with_capacity(nodes.len());
        for node in nodes.iter().copied() {
            match self.node_state(job, node)? {
                NodeState::New => {
                    self.open_job(job)?.shift(node, NodeState::Ready);
                    moved.push(node);
                }
                NodeState::Ready => {}
                _ => return Err(self.refusal(job, node, "become ready")),
            }
        }
        moved.sort_unstable();
        if !decide || moved.is_empty() {
            return self.write_ready(job, &moved);
        }
        self.decide(job, Body::Ready { nodes: moved })
    }

    /// Moves nodes to skipped; with `decide`, their rows and events follow in chunks.
    pub(super) fn nodes_skipped(
        &mut self,
        job: JobId,
        nodes: &[NodeIndex],
        skip: &Skip<'_>,
        decide: bool,
    ) -> Result<(), Fault> {
        let mut moved = Vec::with_capacity(nodes.len());
        for node in nodes.iter().copied() {
            match self.node_state(job, node)? {
                NodeState::New | NodeState::Ready => {
                    self.open_job(job)?.end(node, NodeState::Skipped, Some(skip.cause));
                    moved.push(node);
                }
                NodeState::Running => return Err(self.refusal(job, node, "be skipped")),
                // The first committed end wins.
                NodeState::Finished | NodeState::Failed | NodeState::Errored | NodeState::Skipped => {}
            }
        }
        moved.sort_unstable();
        let Skip { at, cause, message } = *skip;
        if !decide || moved.is_empty() {
            return self.write_skips(job, &moved, at, cause, message);
        }
        self.decide(job, Body::Skip { nodes: moved, at, cause, message: message.to_owned() })
    }

    /// Writes rows of nodes that are ready; one that has gone on meanwhile stays as it is.
    pub(super) fn write_ready(&mut self, job: JobId, nodes: &[NodeIndex]) -> Result<(), Fault> {
        let created_at = self.open_job(job)?.spec.created_at;
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO job_nodes (job, node, state, changed_at) VALUES (?1, ?2, 'ready', ?3) \
             ON CONFLICT DO UPDATE SET state = 'ready' WHERE state = 'new'",
        )?;
        for node in nodes {
            statement.execute(params![Db(job), Db(*node), Db(created_at)])?;
        }
        Ok(())
    }

    /// Writes rows and events of nodes whose skip already counts.
    pub(super) fn write_skips(
        &mut self,
        job: JobId,
        nodes: &[NodeIndex],
        at: DateTime<Utc>,
        cause: Cause,
        message: &str,
    ) -> Result<(), Fault> {
        let spec = self.open_job(job)?.spec.clone();
        for node in nodes.iter().copied() {
            let message = message_for(message, spec.node(node));
            let detail = derived_detail(None, &message);
            let (kind, node_cause) = (EventKind::NodeSkipped, Some(cause));
            let seq = self.event(NewEvent { job, kind, at, node: Some(node), cause: node_cause, detail, message })?;
            self.connection
                .prepare_cached(
                    "INSERT INTO job_nodes (job, node, state, cause, changed_at, latest_event) \
                     VALUES (?1, ?2, 'skipped', ?3, ?4, ?5) \
                     ON CONFLICT DO UPDATE SET state = excluded.state, cause = excluded.cause, \
                     changed_at = excluded.changed_at, latest_event = excluded.latest_event",
                )?
                .execute(params![Db(job), Db(node), Db(cause), Db(at), Db(seq)])?;
        }
        Ok(())
    }

    /// Moves the node to its end, writes the event and what the run left behind.
    fn end_event(
        &mut self,
        job: JobId,
        node: NodeIndex,
        at: DateTime<Utc>,
        end: &NodeEnd,
        outcome: Option<&PackedOutcome>,
    ) -> Result<EventSeq, Fault> {
        let kind = EventKind::of_end(end.state).filter(|kind| *kind != EventKind::NodeSkipped);
        let Some(kind) = kind else {
            return Err(self.refusal(job, node, &format!("end as {}", end.state.name())));
        };
        self.open_job(job)?.end(node, end.state, end.cause);
        let result = (end.result != Value::Null).then(|| end.result.clone());
        let detail = derived_detail(result, &end.message);
        let (cause, message) = (end.cause, end.message.clone());
        let seq = self.event(NewEvent { job, kind, at, node: Some(node), cause, detail, message })?;
        if let Some(outcome) = outcome {
            self.connection
                .prepare_cached("INSERT INTO results (seq, details, result, resource_events) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![Db(seq), outcome.details, outcome.result, outcome.resource_events])?;
        }
        Ok(seq)
    }

    /// True when the node runs, false when it is over (the first committed end wins); refuses one without a start.
    fn is_running(&mut self, job: JobId, node: NodeIndex, verb: &str) -> Result<bool, Fault> {
        match self.node_state(job, node)? {
            NodeState::Running => Ok(true),
            NodeState::New | NodeState::Ready => Err(self.refusal(job, node, verb)),
            NodeState::Finished | NodeState::Failed | NodeState::Errored | NodeState::Skipped => Ok(false),
        }
    }

    fn node_state(&mut self, job: JobId, node: NodeIndex) -> Result<NodeState, Fault> {
        let live = self.open_job(job)?;
        let count = live.nodes.len();
        let state = live.nodes.get(node.at()).copied();
        state.ok_or_else(|| Fault::Refused(format!("job {job} has {count} nodes, none of them is number {}", node.0)))
    }

    fn refusal(&mut self, job: JobId, node: NodeIndex, verb: &str) -> Fault {
        match self.job(job) {
            Ok(live) => Fault::Refused(format!(
                "node {} of job {job} is {}: it cannot {verb}",
                live.spec.node(node),
                live.nodes[node.at()].name()
            )),
            Err(fault) => fault,
        }
    }
}
