//! What callers hand to the writer thread. Large values are packed before, on the caller's side.

use std::sync::Arc;

use bunraku_actors::model::{JobId, JobSpec, JobState, NodeEnd};
use bunraku_actors::ports::{NewJob, StoreError, Write};
use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::columns::pack;
use crate::api::accounts::{NewToken, TokenHash, TokenRecord};

/// Creating more nodes than this makes a decision, whose rows follow in chunks.
pub(super) const CREATE_AT_ONCE: usize = 1_800;
/// Readying more nodes than this makes a decision.
pub(super) const READY_AT_ONCE: usize = 1_000;
/// Skipping more nodes than this makes a decision: two rows each.
pub(super) const SKIP_AT_ONCE: usize = 900;

/// Where the answer to a request goes. The asker may be gone.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// One atomic group with its answer.
pub(super) enum Request {
    Create(Box<PackedJob>, Reply<JobId>),
    Append(Vec<PackedWrite>, Reply<()>),
    CreateToken(Box<NewToken>, TokenHash, DateTime<Utc>, Reply<TokenRecord>),
    RevokeToken(Uuid, DateTime<Utc>, Reply<bool>),
    TouchToken(Uuid, DateTime<Utc>),
    /// The last one: what was handed in before is committed, then the thread ends.
    Close,
}

/// A job ready to be written.
#[derive(Debug)]
pub(super) struct PackedJob {
    pub(super) spec: Arc<JobSpec>,
    pub(super) first_state: JobState,
    pub(super) ready: Vec<bool>,
    pub(super) header_bytes: Vec<u8>,
    pub(super) spec_bytes: Vec<u8>,
}

/// A write whose result, if any, is packed already.
#[derive(Debug)]
pub(super) struct PackedWrite {
    pub(super) write: Write,
    pub(super) outcome: Option<PackedOutcome>,
}

/// The columns of `results`; `None` where there is nothing to keep.
#[derive(Debug, Default)]
pub(super) struct PackedOutcome {
    pub(super) details: Option<Vec<u8>>,
    pub(super) result: Option<Vec<u8>>,
    pub(super) resource_events: Option<Vec<u8>>,
}

impl PackedJob {
    pub(super) fn new(job: NewJob) -> Self {
        let header_bytes = pack(&job.spec.header());
        let spec_bytes = pack(&*job.spec);
        Self { spec: job.spec, first_state: job.first_state, ready: job.ready, header_bytes, spec_bytes }
    }
}

impl PackedWrite {
    pub(super) fn new(write: Write) -> Self {
        let outcome = match &write {
            Write::NodeEnded { end, .. } | Write::NodeUnstarted { end, .. } => PackedOutcome::of(end),
            _ => None,
        };
        Self { write, outcome }
    }

    /// How many rows it makes or changes, about.
    fn rows(&self) -> usize {
        match &self.write {
            Write::NodesReady { nodes, .. } => at_once(nodes.len(), READY_AT_ONCE),
            Write::NodesSkipped { nodes, .. } => 2 * at_once(nodes.len(), SKIP_AT_ONCE),
            Write::NodeEnded { .. } | Write::NodeUnstarted { .. } => 3,
            Write::StopAccepted { .. } | Write::JobEnded { .. } | Write::JobAborted { .. } => 3,
            Write::NodeStarted { .. } | Write::JobState { .. } => 2,
            Write::NodeResent { .. } | Write::NodeAccepted { .. } | Write::HoldEnded { .. } => 1,
        }
    }
}

impl PackedOutcome {
    fn of(end: &NodeEnd) -> Option<Self> {
        let no_details = end.details.as_object().is_none_or(serde_json::Map::is_empty);
        let outcome = Self {
            details: (!no_details).then(|| pack(&end.details)),
            result: (end.result != Value::Null).then(|| pack(&end.result)),
            resource_events: (!end.resource_events.is_empty()).then(|| pack(&end.resource_events)),
        };
        let any = outcome.details.is_some() || outcome.result.is_some() || outcome.resource_events.is_some();
        any.then_some(outcome)
    }
}

impl Request {
    /// How many rows it makes or changes, about; the bound on a transaction counts by this.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Create(job, _) => 3 + at_once(job.ready.len(), CREATE_AT_ONCE),
            Self::Append(writes, _) => 1 + writes.iter().map(PackedWrite::rows).sum::<usize>(),
            Self::CreateToken(..) | Self::RevokeToken(..) | Self::TouchToken(..) => 1,
            Self::Close => 0,
        }
    }

    /// Answers that nothing of it is in.
    pub(super) fn refuse(self, error: StoreError) {
        match self {
            Self::Create(_, reply) => drop(reply.send(Err(error))),
            Self::Append(_, reply) => drop(reply.send(Err(error))),
            Self::CreateToken(_, _, _, reply) => drop(reply.send(Err(error))),
            Self::RevokeToken(_, _, reply) => drop(reply.send(Err(error))),
            Self::TouchToken(..) | Self::Close => {}
        }
    }
}

/// The rows that `nodes` of them make: all at once, or one decision.
fn at_once(nodes: usize, limit: usize) -> usize {
    if nodes <= limit { nodes } else { 1 }
}
