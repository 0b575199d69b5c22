//! `status query`: what is known of a transaction, in the words of pxp-agent.

use std::sync::Arc;

use super::answer::{status_error, status_of, status_running};
use super::files::off_thread;
use super::spool::{RunStatus, parse_transaction};
use super::state::Agent;
use crate::wire::pxp::{NO_RESULTS_DIRECTORY, Status, StatusResults};

/// Answers about a transaction.
pub(super) async fn query(agent: &Arc<Agent>, about: &str) -> StatusResults {
    let unknown = |message: &str| status_error(about, Status::Unknown, None, message);
    // An id that is no UUID was never accepted.
    let Some(transaction) = parse_transaction(about) else { return unknown(NO_RESULTS_DIRECTORY) };
    // Asked before the disk is: a run that ends meanwhile is then still called running, never unknown.
    if let Some(catalog_ready) = agent.active(transaction) {
        return status_running(about, catalog_ready);
    }
    let spool = agent.spool.clone();
    let read = off_thread(move || {
        if !spool.knows(transaction) {
            return Ok(None);
        }
        Ok(Some((spool.metadata(transaction)?, spool.outcome(transaction)?)))
    });
    match read.await {
        Ok(None) => unknown(NO_RESULTS_DIRECTORY),
        Ok(Some((metadata, Some(outcome)))) if metadata.status != RunStatus::Running => {
            status_of(about, &metadata, outcome)
        }
        Ok(Some(_)) => unknown("the PID and output of this task are not available"),
        Err(error) => unknown(&format!("the metadata of this transaction cannot be read: {error}")),
    }
}
