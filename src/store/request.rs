//! What callers hand to the writer thread. Large values are packed before, on the caller's side.

use std::sync::Arc;

use bunraku_actors::model::{JobId, JobSpec, JobState, NodeEnd, OnceKey};
use bunraku_actors::ports::{NewJob, StoreError, Write};
use rusqlite::Connection;
use serde_json::Value;
use tokio::sync::oneshot;

use super::columns::pack;
use super::fault::Fault;
use super::retention::{Cutoffs, Pruned};
use super::sealed::{self, SecretKey};

/// Creating more nodes than this makes a decision, whose rows follow in chunks.
pub(super) const CREATE_AT_ONCE: usize = 1_800;
/// Readying more nodes than this makes a decision.
pub(super) const READY_AT_ONCE: usize = 1_000;
/// Skipping more nodes than this makes a decision: two rows each.
pub(super) const SKIP_AT_ONCE: usize = 900;

/// No transaction takes on another request beyond so many rows, and no group writes more rows about many nodes. A group
/// of more single writes than that has a transaction of its own.
pub(super) const TRANSACTION_ROWS: usize = 2_000;
/// The rows that most [`Work`] makes or changes, at most.
pub(super) const WORK_ROWS: usize = 4;
/// What every group may write besides: the counts of its job, and the counters.
const GROUP_ROWS: usize = 3;

/// Where the answer to a request goes. The asker may be gone.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// One atomic group with its answer.
pub(super) enum Request {
    Create(Box<PackedJob>, Reply<JobId>),
    Append(Vec<PackedWrite>, Reply<()>),
    /// A few rows of what is kept beside jobs.
    Work(Box<dyn Work>),
    /// Is not part of any batch: it is carried out in pieces, between them.
    Prune(Cutoffs, Reply<Pruned>),
    /// The last one: what was handed in before is committed, then the thread ends.
    Close,
}

/// A small change with its answer: a few rows, decided by what is committed.
pub(super) trait Work: Send {
    /// Makes the change. Called once, in a savepoint of its own.
    fn perform(&mut self, connection: &Connection) -> Result<(), Fault>;
    /// How many rows it makes or changes, at most.
    fn rows(&self) -> usize;
    /// Whether tokens that were read before must be read again.
    fn changes_tokens(&self) -> bool;
    /// Tells the asker what came of it, after the commit.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// [`Work`] as a function.
pub(super) struct Piece<T, F> {
    body: Option<F>,
    value: Option<T>,
    rows: usize,
    changes_tokens: bool,
    reply: Reply<T>,
}

impl<T, F> Piece<T, F>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
{
    pub(super) fn boxed(rows: usize, changes_tokens: bool, body: F, reply: Reply<T>) -> Box<dyn Work> {
        Box::new(Self { body: Some(body), value: None, rows, changes_tokens, reply })
    }
}

impl<T, F> Work for Piece<T, F>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
{
    fn perform(&mut self, connection: &Connection) -> Result<(), Fault> {
        if let Some(body) = self.body.take() {
            self.value = Some(body(connection)?);
        }
        Ok(())
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn changes_tokens(&self) -> bool {
        self.changes_tokens
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let unsaid = || StoreError::Failed("it was not carried out".to_owned());
        let Self { value, reply, .. } = *self;
        // Nobody waiting is fine.
        let _ = reply.send(outcome.and_then(|()| value.ok_or_else(unsaid)));
    }
}

/// A job ready to be written.
#[derive(Debug)]
pub(super) struct PackedJob {
    pub(super) spec: Arc<JobSpec>,
    pub(super) first_state: JobState,
    pub(super) ready: Vec<bool>,
    pub(super) once: Option<OnceKey>,
    /// Its sensitive parameters.
    pub(super) sealed: Option<Vec<u8>>,
    pub(super) header_bytes: Vec<u8>,
    pub(super) spec_bytes: Vec<u8>,
}

/// A write whose result, if any, is packed already.
#[derive(Debug)]
pub(super) struct PackedWrite {
    pub(super) write: Write,
    pub(super) outcome: Option<PackedOutcome>,
    /// The late answer of a hold that ended.
    pub(super) late: Option<Vec<u8>>,
    /// About many nodes, and too much for this group's transaction: only the decision is written with it.
    pub(super) decide: bool,
}

/// The columns of `results`; `None` where there is nothing to keep.
#[derive(Debug, Default)]
pub(super) struct PackedOutcome {
    pub(super) details: Option<Vec<u8>>,
    pub(super) result: Option<Vec<u8>>,
    pub(super) resource_events: Option<Vec<u8>>,
}

impl PackedJob {
    /// Refuses a job that could not be read back.
    pub(super) fn new(job: NewJob, key: Option<&SecretKey>) -> Result<Self, Fault> {
        let sealed = sealed::of(&job.spec, key)?;
        let header_bytes = pack(&job.spec.header())?;
        let spec_bytes = pack(&*job.spec)?;
        Ok(Self {
            spec: job.spec,
            first_state: job.first_state,
            ready: job.ready,
            once: job.once,
            sealed,
            header_bytes,
            spec_bytes,
        })
    }
}

impl PackedWrite {
    /// Packs a group and settles which of its writes about many nodes are written at once: as many as fit into a
    /// transaction together with everything else of the group. Refuses results that could not be read back.
    pub(super) fn group(writes: Vec<Write>) -> Result<Vec<Self>, Fault> {
        let mut packed = writes.into_iter().map(Self::new).collect::<Result<Vec<_>, _>>()?;
        // As decisions they are a row each, which is the least that the group can be.
        let mut rows = packed.iter().map(Self::rows).sum::<usize>() + GROUP_ROWS;
        for write in &mut packed {
            let Some(at_once) = write.rows_at_once() else { continue };
            if rows - 1 + at_once <= TRANSACTION_ROWS {
                write.decide = false;
                rows = rows - 1 + at_once;
            }
        }
        Ok(packed)
    }

    fn new(write: Write) -> Result<Self, Fault> {
        let outcome = match &write {
            Write::NodeEnded { end, .. } | Write::NodeUnstarted { end, .. } => PackedOutcome::of(end)?,
            _ => None,
        };
        let late = match &write {
            Write::HoldEnded { late: Some(late), .. } => Some(pack(late)?),
            _ => None,
        };
        let decide = matches!(write, Write::NodesReady { .. } | Write::NodesSkipped { .. });
        Ok(Self { write, outcome, late, decide })
    }

    /// The rows of a write about many nodes if it may be written at once.
    fn rows_at_once(&self) -> Option<usize> {
        match &self.write {
            Write::NodesReady { nodes, .. } => (nodes.len() <= READY_AT_ONCE).then_some(nodes.len()),
            Write::NodesSkipped { nodes, .. } => (nodes.len() <= SKIP_AT_ONCE).then_some(2 * nodes.len()),
            _ => None,
        }
    }

    /// How many rows it makes or changes, at most.
    fn rows(&self) -> usize {
        match &self.write {
            _ if self.decide => 1,
            Write::NodesReady { nodes, .. } => nodes.len(),
            Write::NodesSkipped { nodes, .. } => 2 * nodes.len(),
            Write::StopAccepted { .. } => 5,
            Write::JobEnded { .. } | Write::JobAborted { .. } => 5,
            Write::NodeEnded { .. } => 4,
            Write::NodeUnstarted { .. } | Write::JobState { .. } => 3,
            Write::NodeStarted { .. } => 2,
            Write::HoldEnded { .. } => 2,
            Write::NodeResent { .. } | Write::NodeAccepted { .. } | Write::JobResumed { .. } => 1,
        }
    }
}

impl PackedOutcome {
    fn of(end: &NodeEnd) -> Result<Option<Self>, Fault> {
        let no_details = end.details.as_object().is_none_or(serde_json::Map::is_empty);
        let outcome = Self {
            details: (!no_details).then(|| pack(&end.details)).transpose()?,
            result: (end.result != Value::Null).then(|| pack(&end.result)).transpose()?,
            resource_events: (!end.resource_events.is_empty()).then(|| pack(&end.resource_events)).transpose()?,
        };
        let any = outcome.details.is_some() || outcome.result.is_some() || outcome.resource_events.is_some();
        Ok(any.then_some(outcome))
    }
}

impl Request {
    /// How many rows it makes or changes, about; the bound on a transaction counts by this.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Create(job, _) => 6 + at_once(job.ready.len(), CREATE_AT_ONCE),
            Self::Append(writes, _) => GROUP_ROWS + writes.iter().map(PackedWrite::rows).sum::<usize>(),
            Self::Work(work) => work.rows(),
            Self::Prune(..) | Self::Close => 0,
        }
    }

    /// Answers that nothing of it is in.
    pub(super) fn refuse(self, error: StoreError) {
        match self {
            Self::Create(_, reply) => drop(reply.send(Err(error))),
            Self::Append(_, reply) => drop(reply.send(Err(error))),
            Self::Work(work) => work.answer(Err(error)),
            Self::Prune(_, reply) => drop(reply.send(Err(error))),
            Self::Close => {}
        }
    }
}

/// The rows that `nodes` of them make: all at once, or one decision.
fn at_once(nodes: usize, limit: usize) -> usize {
    if nodes <= limit { nodes } else { 1 }
}
