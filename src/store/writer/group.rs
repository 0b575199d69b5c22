//! One atomic group: performs a request inside its savepoint and collects what becomes visible after the commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bunraku_actors::model::{Cause, EventKind, EventRecord, EventSeq, JobId, JobSpec, NodeIndex};
use bunraku_actors::ports::{Restoration, Write};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::live::LiveJob;
use crate::store::columns::{Db, to_micros};
use crate::store::decision::{self, Body, Decision};
use crate::store::fault::Fault;
use crate::store::request::{PackedWrite, Request};
use crate::store::shared::RunChange;
use crate::store::specs::Specs;

/// The last numbers given out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counters {
    job: JobId,
    event: EventSeq,
    saved: (JobId, EventSeq),
}

impl Counters {
    pub(super) fn load(connection: &Connection) -> Result<Self, Fault> {
        let read = |name| {
            let mut statement = connection.prepare_cached("SELECT value FROM counters WHERE name = ?1")?;
            statement.query_row([name], |row| row.get::<_, i64>(0))
        };
        let number =
            |value: i64| u64::try_from(value).map_err(|_| Fault::Inconsistent(format!("a counter stands at {value}")));
        let (job, event) = (JobId(number(read("job")?)?), EventSeq(number(read("event")?)?));
        Ok(Self { job, event, saved: (job, event) })
    }

    /// The last numbers given out.
    pub(super) fn last(&self) -> (JobId, EventSeq) {
        (self.job, self.event)
    }

    /// Writes what changed since the last save.
    pub(super) fn save(&mut self, connection: &Connection) -> Result<(), Fault> {
        let mut statement = connection.prepare_cached("UPDATE counters SET value = ?2 WHERE name = ?1")?;
        if self.job != self.saved.0 {
            statement.execute(params!["job", Db(self.job)])?;
        }
        if self.event != self.saved.1 {
            statement.execute(params!["event", Db(self.event)])?;
        }
        self.saved = (self.job, self.event);
        Ok(())
    }

    pub(super) fn next_job(&mut self) -> JobId {
        self.job = JobId(self.job.0 + 1);
        self.job
    }

    pub(super) fn next_event(&mut self) -> EventSeq {
        self.event = self.event.next();
        self.event
    }
}

/// What becomes visible once the transaction is committed.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub(super) events: Vec<EventRecord>,
    pub(super) decisions: Vec<Decision>,
    pub(super) runs: Vec<RunChange>,
    pub(super) created: Vec<(JobId, Arc<JobSpec>)>,
}

impl Effects {
    pub(super) fn extend(&mut self, later: Self) {
        self.events.extend(later.events);
        self.decisions.extend(later.decisions);
        self.runs.extend(later.runs);
        self.created.extend(later.created);
    }
}

/// What a request is answered with.
#[derive(Debug)]
pub(super) enum Outcome {
    Done,
    Created(JobId),
}

/// A group in progress.
pub(super) struct Group<'a> {
    pub(super) connection: &'a Connection,
    pub(super) specs: &'a Specs,
    pub(super) live: &'a mut BTreeMap<JobId, LiveJob>,
    pub(super) counters: &'a mut Counters,
    pub(super) effects: Effects,
    touched: BTreeSet<JobId>,
}

/// An event to write; `node` and `detail` as in [`EventRecord`].
#[derive(Debug)]
pub(super) struct NewEvent {
    pub(super) job: JobId,
    pub(super) kind: EventKind,
    pub(super) at: DateTime<Utc>,
    pub(super) node: Option<NodeIndex>,
    pub(super) cause: Option<Cause>,
    pub(super) detail: Value,
    pub(super) message: String,
}

impl<'a> Group<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        specs: &'a Specs,
        live: &'a mut BTreeMap<JobId, LiveJob>,
        counters: &'a mut Counters,
    ) -> Self {
        Self { connection, specs, live, counters, effects: Effects::default(), touched: BTreeSet::new() }
    }

    /// Performs a whole request.
    pub(super) fn perform(&mut self, request: &mut Request) -> Result<Outcome, Fault> {
        match request {
            Request::Create(job, _) => self.create(job).map(Outcome::Created),
            Request::Append(writes, _) => {
                writes.iter().try_for_each(|write| self.write(write))?;
                Ok(Outcome::Done)
            }
            Request::Work(work) => work.perform(self.connection).map(|()| Outcome::Done),
            Request::Prune(..) | Request::Close => Ok(Outcome::Done),
        }
    }

    fn write(&mut self, packed: &PackedWrite) -> Result<(), Fault> {
        match &packed.write {
            Write::JobState { job, state, at } => self.job_state(*job, *state, *at),
            Write::NodesReady { job, nodes } => self.nodes_ready(*job, nodes, packed.decide),
            Write::NodeStarted { job, node, attempt, transaction, at, deadline, spool, message } => {
                let start = super::nodes::Start {
                    attempt: *attempt,
                    transaction: *transaction,
                    at: *at,
                    deadline: *deadline,
                    spool: spool.as_deref(),
                    message,
                };
                self.node_started(*job, *node, &start)
            }
            Write::NodeResent { job, node, deadline } => self.node_resent(*job, *node, *deadline),
            Write::NodeAccepted { job, node } => self.node_accepted(*job, *node),
            Write::NodeEnded { job, node, at, end, hold } => {
                self.node_ended(*job, *node, *at, end, packed.outcome.as_ref(), *hold)
            }
            Write::NodeUnstarted { job, node, at, end } => {
                self.node_unstarted(*job, *node, *at, end, packed.outcome.as_ref())
            }
            Write::NodesSkipped { job, nodes, at, cause, message } => {
                let skip = super::nodes::Skip { at: *at, cause: *cause, message };
                self.nodes_skipped(*job, nodes, &skip, packed.decide)
            }
            Write::StopAccepted { job, mode, at } => self.stop_accepted(*job, *mode, *at),
            Write::JobEnded { job, state, at } => self.job_ended(*job, *state, *at),
            Write::JobAborted { job, state, at, message } => self.job_aborted(*job, *state, *at, message),
            Write::JobResumed { job } => {
                let mut statement = self.connection.prepare_cached("UPDATE jobs SET restored = ?2 WHERE id = ?1")?;
                Ok(statement.execute((Db(*job), Db(Restoration::Resumed))).map(drop)?)
            }
            Write::HoldEnded { transaction, late: _ } => self.hold_ended(*transaction, packed.late.as_deref()),
        }
    }

    /// The job as this group sees it.
    pub(super) fn job(&mut self, job: JobId) -> Result<&mut LiveJob, Fault> {
        self.touched.insert(job);
        if !self.live.contains_key(&job) {
            let loaded = LiveJob::load(self.connection, self.specs, job)?;
            self.live.insert(job, loaded.ok_or_else(|| Fault::Refused(format!("there is no job {job}")))?);
        }
        Ok(self.live.get_mut(&job).expect("it was just looked up"))
    }

    /// The job, if writes may still change it.
    pub(super) fn open_job(&mut self, job: JobId) -> Result<&mut LiveJob, Fault> {
        let live = self.job(job)?;
        if live.state.is_terminal() {
            return Err(Fault::Refused(format!("job {job} is {}: nothing of it can change", live.state.name())));
        }
        Ok(live)
    }

    /// Makes a job known that this group created.
    pub(super) fn adopt(&mut self, job: JobId, live: LiveJob) {
        self.touched.insert(job);
        self.effects.created.push((job, Arc::clone(&live.spec)));
        self.live.insert(job, live);
    }

    /// Writes an event under the next number.
    pub(super) fn event(&mut self, event: NewEvent) -> Result<EventSeq, Fault> {
        let seq = self.counters.next_event();
        let at = to_micros(event.at);
        let stored_detail = keeps_detail(event.kind).then(|| event.detail.to_string());
        self.connection
            .prepare_cached(
                "INSERT INTO events (seq, job, kind, at, node, detail, message) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                Db(seq),
                Db(event.job),
                Db(event.kind),
                Db(at),
                event.node.map(Db),
                stored_detail,
                event.message
            ])?;
        let node = match event.node {
            Some(node) => Some(self.job(event.job)?.spec.node(node).clone()),
            None => None,
        };
        let NewEvent { job, kind, cause, detail, message, .. } = event;
        self.effects.events.push(EventRecord { seq, job, kind, at, node, cause, detail, message });
        Ok(seq)
    }

    /// Writes a decision whose chunks follow.
    pub(super) fn decide(&mut self, job: JobId, body: Body) -> Result<(), Fault> {
        let decision = decision::insert(self.connection, job, body)?;
        self.effects.decisions.push(decision);
        Ok(())
    }

    /// Writes the counts that changed; returns what becomes visible after the commit.
    pub(super) fn finish(mut self) -> Result<Effects, Fault> {
        let written = self.write_counts();
        if written.is_err() {
            self.abandon();
            return written.map(|()| Effects::default());
        }
        Ok(self.effects)
    }

    /// Forgets the jobs that it touched: they are read again when needed.
    pub(super) fn abandon(self) {
        for job in &self.touched {
            self.live.remove(job);
        }
    }

    fn write_counts(&mut self) -> Result<(), Fault> {
        let mut statement = self.connection.prepare_cached("UPDATE jobs SET counts = ?2, causes = ?3 WHERE id = ?1")?;
        for job in &self.touched {
            let Some(live) = self.live.get_mut(job) else { continue };
            if std::mem::take(&mut live.counts_changed) {
                statement.execute(params![Db(*job), Db(live.counts), Db(&live.causes)])?;
            }
        }
        Ok(())
    }
}

/// False where the detail follows from the node's result or from the message: see [`derived_detail`].
fn keeps_detail(kind: EventKind) -> bool {
    matches!(kind, EventKind::NodeRunning | EventKind::JobStopping | EventKind::JobFinished)
}

/// The detail of an event that does not keep it: its result, else its message.
pub(in crate::store) fn derived_detail(result: Option<Value>, message: &str) -> Value {
    result.unwrap_or_else(|| json!({ "message": message }))
}
