//! Decisions about many nodes: one row that counts at once, whose node rows and events follow in chunks.
//!
//! Until its last chunk is in, every reader applies a decision to the nodes that it still covers. Applying one twice is
//! harmless: it only moves nodes that are where they were when it was made.

use std::ops::Range;

use bunraku_actors::model::{Cause, CertName, JobId, NodeIndex, NodeState};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::columns::{Db, get, get_packed, pack};
use super::fault::Fault;
use super::rows::NodeRow;

/// What was decided. Node lists are sorted, each node once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Body {
    /// All nodes of the job exist, ready or not.
    Create { ready: Vec<bool>, at: DateTime<Utc> },
    /// These nodes are ready.
    Ready { nodes: Vec<NodeIndex> },
    /// These nodes will never start.
    Skip { nodes: Vec<NodeIndex>, at: DateTime<Utc>, cause: Cause, message: String },
}

/// A decision with its progress.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decision {
    pub(super) id: i64,
    pub(super) job: JobId,
    pub(super) body: Body,
    /// So many of its nodes have their rows.
    pub(super) done: usize,
}

impl Body {
    /// The number of nodes.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Create { ready, .. } => ready.len(),
            Self::Ready { nodes } | Self::Skip { nodes, .. } => nodes.len(),
        }
    }

    /// The place of `node` in this decision.
    fn position(&self, node: NodeIndex) -> Option<usize> {
        match self {
            Self::Create { ready, .. } => (node.at() < ready.len()).then(|| node.at()),
            Self::Ready { nodes } | Self::Skip { nodes, .. } => nodes.binary_search(&node).ok(),
        }
    }
}

impl Decision {
    /// The next chunk of at most `limit` nodes, as places in the decision.
    pub(super) fn chunk(&self, limit: usize) -> Range<usize> {
        self.done..self.body.len().min(self.done + limit)
    }

    /// The decision's effect on one node that it still covers; `row` is `None` when the node has no row yet.
    fn apply(&self, row: Option<NodeRow>, node: NodeIndex) -> Option<NodeRow> {
        if self.body.position(node).is_none_or(|place| place < self.done) {
            return row;
        }
        match (&self.body, row) {
            (Body::Create { ready, at }, None) => Some(NodeRow::fresh(ready[node.at()], *at)),
            (Body::Ready { .. }, Some(row)) if row.state == NodeState::New => {
                Some(NodeRow { state: NodeState::Ready, ..row })
            }
            (Body::Skip { at, cause, .. }, Some(row)) if matches!(row.state, NodeState::New | NodeState::Ready) => {
                Some(NodeRow { state: NodeState::Skipped, cause: Some(*cause), changed_at: *at, ..row })
            }
            (_, row) => row,
        }
    }
}

/// The outstanding decisions of one job, oldest first.
#[derive(Debug, Default)]
pub(super) struct Pending(Vec<Decision>);

impl Pending {
    /// Reads those of `job`.
    pub(super) fn load(connection: &Connection, job: JobId) -> rusqlite::Result<Self> {
        let mut statement =
            connection.prepare_cached("SELECT id, job, body, done FROM decisions WHERE job = ?1 ORDER BY id")?;
        statement.query_map([Db(job)], read)?.collect::<rusqlite::Result<_>>().map(Self)
    }

    /// True when every node has its row and every skip its event.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The row as it counts; `None` when the node has none and no decision makes one.
    pub(super) fn apply(&self, row: Option<NodeRow>, node: NodeIndex) -> Option<NodeRow> {
        self.0.iter().fold(row, |row, decision| decision.apply(row, node))
    }

    /// The message of a node whose skip is decided but not yet written as an event.
    pub(super) fn skip_message(&self, node: NodeIndex, name: &CertName) -> Option<String> {
        self.0.iter().find_map(|decision| match &decision.body {
            Body::Skip { message, .. } if decision.body.position(node).is_some_and(|place| place >= decision.done) => {
                Some(message_for(message, name))
            }
            _ => None,
        })
    }
}

/// Fills the node's name into a message for many.
pub(super) fn message_for(message: &str, name: &CertName) -> String {
    message.replace("<node>", name.as_str())
}

/// A job whose decision cannot be read, and why.
type Unreadable = (JobId, rusqlite::Error);

/// Reads every outstanding decision that can be read, oldest first, and the jobs of the others.
pub(super) fn load_all(connection: &Connection) -> rusqlite::Result<(Vec<Decision>, Vec<Unreadable>)> {
    let mut statement = connection.prepare("SELECT id, job, body, done FROM decisions ORDER BY id")?;
    let mut rows = statement.query([])?;
    let (mut decisions, mut unreadable) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        match read(row) {
            Ok(decision) => decisions.push(decision),
            Err(error) => unreadable.push((get(row, 1)?, error)),
        }
    }
    Ok((decisions, unreadable))
}

/// Writes a new decision.
pub(super) fn insert(connection: &Connection, job: JobId, body: Body) -> Result<Decision, Fault> {
    let mut statement = connection.prepare_cached("INSERT INTO decisions (job, body, done) VALUES (?1, ?2, 0)")?;
    let id = statement.insert(params![Db(job), pack(&body)?])?;
    Ok(Decision { id, job, body, done: 0 })
}

/// Records that the first `done` nodes have their rows; a decision that is through goes away.
pub(super) fn advance(connection: &Connection, decision: &Decision, done: usize) -> rusqlite::Result<()> {
    if done == decision.body.len() {
        connection.prepare_cached("DELETE FROM decisions WHERE id = ?1")?.execute([decision.id])?;
    } else {
        let done = i64::try_from(done).expect("a job has fewer nodes than that");
        connection
            .prepare_cached("UPDATE decisions SET done = ?2 WHERE id = ?1")?
            .execute(params![decision.id, done])?;
    }
    Ok(())
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Decision> {
    let body = get_packed(row, 2)?.ok_or(rusqlite::Error::InvalidQuery)?;
    let done: u32 = row.get(3)?;
    Ok(Decision { id: row.get(0)?, job: get(row, 1)?, body, done: done as usize })
}
