//! `bunraku cancel`: ends a run, now and for ever. Idempotent; an id that is not known yet never starts.

use std::sync::Arc;

use uuid::Uuid;

use super::TASK_MODULE;
use super::files::off_thread;
use super::spool::Metadata;
use super::start::canceled_outcome;
use super::state::Agent;

/// Cancels a transaction: `true` when it is being ended or never starts, `false` when it was over already. The error is
/// the description of a fault of the spool: then nothing is promised.
pub(super) async fn cancel(agent: &Arc<Agent>, transaction: Uuid) -> Result<bool, String> {
    let owner = Arc::clone(agent);
    let canceled = off_thread(move || {
        if !owner.spool.knows(transaction) {
            if !owner.has_its_spool() {
                return Err(std::io::Error::other("the spool was removed or replaced"));
            }
            return leave_tombstone(&owner, transaction).map(|()| true);
        }
        if owner.is_active(transaction) {
            owner.spool.mark_canceled(transaction)?;
        }
        // It may have ended since; then the mark stays without effect.
        if owner.cancel(transaction) {
            return Ok(true);
        }
        // A tombstone that nobody asked for yet; everything else is over.
        Ok(owner.spool.metadata(transaction)?.requester.is_none())
    })
    .await
    .map_err(|error| format!("cannot cancel transaction {transaction}: {error}"))?;
    tracing::info!(%transaction, canceled, "cancel");
    Ok(canceled)
}

fn leave_tombstone(agent: &Agent, transaction: Uuid) -> std::io::Result<()> {
    let metadata = Metadata::new(transaction, TASK_MODULE, "run", None, Uuid::nil());
    agent.spool.create(transaction, &metadata)?;
    agent.spool.mark_canceled(transaction)?;
    agent.spool.finish(transaction, &canceled_outcome()).map(|_| ())
}
