//! What scripted agents do, and what they did.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::model::{JobId, PuppetOutcome, RunOutcome, TransactionId};

/// How one agent behaves.
#[derive(Debug, Clone)]
pub struct Script {
    /// A pxp-agent has none, and cannot cancel.
    pub spool: Option<String>,
    /// That many requests are lost on their way, after they were written to the socket.
    pub lose_requests: u32,
    /// How long after the request the provisional answer comes; `None` is never.
    pub accept_after: Option<Duration>,
    /// How long after the request the catalog is there; `None` is never said.
    pub catalog_after: Option<Duration>,
    pub run_for: Duration,
    pub outcome: RunOutcome,
    /// The final answer is lost; only a status query tells.
    pub lose_final: bool,
    /// The final answer comes that often more.
    pub duplicates: u32,
    pub answers_status: bool,
    /// Whether a cancel is carried out; else it is accepted and nothing follows.
    pub obeys_cancel: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            spool: Some("spool".into()),
            lose_requests: 0,
            accept_after: Some(Duration::from_millis(10)),
            catalog_after: Some(Duration::from_millis(500)),
            run_for: Duration::from_secs(5),
            outcome: Self::puppet("changed"),
            lose_final: false,
            duplicates: 0,
            answers_status: true,
            obeys_cancel: true,
        }
    }
}

impl Script {
    /// A pxp-agent: no spool, no cancel, no word of the catalog.
    #[must_use]
    pub fn pxp() -> Self {
        Self { spool: None, catalog_after: None, ..Self::default() }
    }

    /// As the default, with a failing Puppet run.
    #[must_use]
    pub fn failing() -> Self {
        Self { outcome: Self::puppet("failed"), ..Self::default() }
    }

    /// As the default, for that long.
    #[must_use]
    pub fn lasting(run_for: Duration) -> Self {
        Self { run_for, ..Self::default() }
    }

    /// A Puppet run with this status.
    #[must_use]
    pub fn puppet(status: &str) -> RunOutcome {
        let failed = i64::from(status == "failed");
        let mut metrics = serde_json::Map::new();
        metrics.insert("total".into(), json!(7));
        metrics.insert("failed".into(), json!(failed));
        RunOutcome::Puppet(Box::new(PuppetOutcome {
            status: status.to_owned(),
            transaction_uuid: Some("0d459f29-4a5b-4a9a-8a53-7d9a4b0c1d2e".into()),
            environment: Some("production".into()),
            metrics,
            exitcode: failed,
            ..PuppetOutcome::default()
        }))
    }
}

/// A run that an agent really began.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    pub node: String,
    pub job: JobId,
    pub transaction: TransactionId,
    pub began: DateTime<Utc>,
    /// When it ends, or ended.
    pub ends: DateTime<Utc>,
    pub canceled: bool,
}

/// A scripted agent.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) script: Script,
    pub(super) generation: Option<u64>,
    pub(super) since: DateTime<Utc>,
    pub(super) contended: bool,
    /// That many times it does not know how a run of its own stands.
    pub(super) forgetful: u32,
    /// What it did, by transaction id, as its spool would tell.
    pub(super) spool: BTreeMap<TransactionId, Execution>,
    /// Canceled before they came.
    pub(super) tombstones: Vec<TransactionId>,
}
