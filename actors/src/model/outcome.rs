//! What an agent says about a run that is over, before the engine judges it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The counters of a Puppet report which clients read without asking whether they are there (API §5.4).
pub const REPORT_COUNTERS: [&str; 9] = [
    "total",
    "changed",
    "corrective_change",
    "failed",
    "failed_to_restart",
    "out_of_sync",
    "restarted",
    "scheduled",
    "skipped",
];

/// A run's end in the agent's own words, typed by the transport.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RunOutcome {
    /// A Puppet run's results (PXP §11.3).
    Puppet(Box<PuppetOutcome>),
    /// A task's results (PXP §11.2).
    Task(TaskOutcome),
    /// The agent could not do the job: an `rpc_error_message` or a PCP error (PXP §10.2).
    Refused {
        /// The agent's description.
        description: String,
    },
    /// The agent said that the run is over, in a shape that cannot be read: how it ended is not known.
    Unreadable {
        /// What is wrong with the answer.
        description: String,
    },
    /// The agent confirmed that the run was ended by our cancel, with what is known of it.
    Canceled {
        /// The results that the agent has, if any.
        results: Value,
    },
}

/// Results of `pxp-module-puppet run`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PuppetOutcome {
    /// `changed`, `unchanged`, `failed` or `unknown`.
    pub status: String,
    /// The report's transaction uuid.
    pub transaction_uuid: Option<String>,
    /// The environment in which Puppet ran.
    pub environment: Option<String>,
    /// The report's configuration version.
    pub configuration_version: Option<String>,
    /// The report's hash where the agent gives one.
    pub hash: Option<String>,
    /// Resource counters: total, changed, failed, …
    pub metrics: Map<String, Value>,
    /// Puppet's exit code, or -1.
    pub exitcode: i64,
    /// `agent_disabled`, `agent_locked`, … where there was trouble.
    pub error_type: Option<String>,
    /// The sentence that goes with it.
    pub error: Option<String>,
    /// Changed and failed resource events in PuppetDB's shape; only our own agent sends them.
    pub resource_events: Vec<Value>,
    /// How many more the agent left out.
    pub resource_events_cut: u64,
}

/// Results of `task run`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TaskOutcome {
    /// The task's exit code.
    pub exitcode: i64,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}
