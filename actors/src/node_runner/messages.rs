//! What a node's runner tells its job. Inputs are [`crate::machine::NodeInput`]s, sent by the job's actor.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::model::NodeEnd;

/// Sent by the runner to its job; there is no reply but the input named at each.
#[derive(Debug)]
pub(crate) enum Report {
    /// The agent has the request: to be recorded.
    Accepted,
    /// A fresh deadline to commit; answered by `ResendCommitted` or `ResendRefused`.
    Resend(DateTime<Utc>),
    /// The compile slot is free.
    CatalogReady,
    /// The run is over, and so is the runner. `hold`: it may still be going on.
    Ended { end: Arc<NodeEnd>, hold: bool },
    /// The runner broke down: nobody drives the run any more.
    Crashed,
}
