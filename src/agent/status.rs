//! `status query`: what is known of a transaction, in the words of pxp-agent.

use std::sync::Arc;

use uuid::Uuid;

use super::answer::{status_error, status_of, status_running};
use super::files::off_thread;
use super::spool::{Metadata, Outcome, RunStatus, parse_transaction};
use super::state::Agent;
use crate::wire::pxp::{NO_RESULTS_DIRECTORY, Status, StatusResults};

/// What the disk says of a run that does not go on.
enum Record {
    Ended(Box<Metadata>, Outcome),
    /// It neither goes on nor has an end.
    Unfinished,
    /// The ledger has it, the spool does not.
    Gone,
    /// It was never started here. Whoever asks may send the request again.
    None,
}

fn look_up(agent: &Agent, transaction: Uuid) -> std::io::Result<Record> {
    let spool = &agent.spool;
    if spool.knows(transaction) {
        let (metadata, outcome) = (spool.metadata(transaction)?, spool.outcome(transaction)?);
        return Ok(match outcome {
            Some(outcome) if metadata.status != RunStatus::Running => Record::Ended(Box::new(metadata), outcome),
            _ => Record::Unfinished,
        });
    }
    let started = agent.ledger.names(transaction);
    // Looked at last: it vouches for all that was not found.
    if !agent.has_its_spool() {
        return Err(std::io::Error::other("the spool was removed or replaced"));
    }
    Ok(if started? { Record::Gone } else { Record::None })
}

/// Answers about a transaction.
pub(super) async fn query(agent: &Arc<Agent>, about: &str) -> StatusResults {
    let unknown = |message: &str| status_error(about, Status::Unknown, None, message);
    // An id that is no UUID was never accepted.
    let Some(transaction) = parse_transaction(about) else { return unknown(NO_RESULTS_DIRECTORY) };
    // Asked before the disk is: a run that ends meanwhile is then still called running, never unknown.
    if let Some(catalog_ready) = agent.active(transaction) {
        return status_running(about, catalog_ready);
    }
    let owner = Arc::clone(agent);
    match off_thread(move || look_up(&owner, transaction)).await {
        Ok(Record::Ended(metadata, outcome)) => status_of(about, &metadata, outcome),
        Ok(Record::Unfinished) => unknown("the PID and output of this task are not available"),
        Ok(Record::Gone) => unknown("the run was started, and its record is not there any more"),
        Ok(Record::None) => unknown(NO_RESULTS_DIRECTORY),
        Err(error) => unknown(&format!("the metadata of this transaction cannot be read: {error}")),
    }
}
