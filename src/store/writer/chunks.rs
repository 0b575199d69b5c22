//! Chunks of decisions: their rows and events, a bounded number per transaction.

use super::group::Group;
use crate::store::decision::{self, Body, Decision};
use crate::store::fault::Fault;

/// Nodes per chunk where each makes one row.
const CHUNK_NODES: usize = 1_000;
/// Nodes per chunk of skips: a row and an event each.
const CHUNK_SKIPS: usize = 500;

impl Group<'_> {
    /// Writes the next chunk; returns how many nodes of the decision are done with it.
    pub(super) fn write_chunk(&mut self, decision: &Decision) -> Result<usize, Fault> {
        let job = decision.job;
        let limit = if matches!(decision.body, Body::Skip { .. }) { CHUNK_SKIPS } else { CHUNK_NODES };
        let chunk = decision.chunk(limit);
        let done = chunk.end;
        match &decision.body {
            Body::Create { ready, at } => self.insert_fresh_nodes(job, chunk.start, &ready[chunk], *at)?,
            Body::Ready { nodes } => self.write_ready(job, &nodes[chunk])?,
            Body::Skip { nodes, at, cause, message } => self.write_skips(job, &nodes[chunk], *at, *cause, message)?,
        }
        decision::advance(self.connection, decision, done)?;
        Ok(done)
    }
}
