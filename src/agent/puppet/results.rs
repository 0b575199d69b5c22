//! The results of a Puppet run, in the shape of pxp-module-puppet, with what our server knows to read beside it.

use serde_json::{Map, Value, json};

use super::events;
use super::report::{Report, as_text};
use crate::agent::spool::Outcome;
use crate::wire::pxp::CANCELED_KEY;

/// The counters that are told; Puppet leaves out those that are zero in some versions.
const COUNTERS: [&str; 9] = [
    "total",
    "skipped",
    "failed",
    "failed_to_restart",
    "restarted",
    "changed",
    "out_of_sync",
    "scheduled",
    "corrective_change",
];

/// What `error_type` says. The first eight are pxp-module-puppet's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultKind {
    InvalidJson,
    NoPuppetBin,
    NoLastRunReport,
    InvalidLastRunReport,
    AgentDisabled,
    AgentLocked,
    AgentFailedToStart,
    AgentExitNonZero,
    /// Puppet ran in another environment than it was told to.
    EnvironmentMismatch,
    /// Puppet was ended in the middle, and exited as if all were well.
    TransactionIncomplete,
    /// Ended by `bunraku cancel`.
    Canceled,
}

impl FaultKind {
    fn name(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::NoPuppetBin => "no_puppet_bin",
            Self::NoLastRunReport => "no_last_run_report",
            Self::InvalidLastRunReport => "invalid_last_run_report",
            Self::AgentDisabled => "agent_disabled",
            Self::AgentLocked => "agent_locked",
            Self::AgentFailedToStart => "agent_failed_to_start",
            Self::AgentExitNonZero => "agent_exit_non_zero",
            Self::EnvironmentMismatch => "environment_mismatch",
            Self::TransactionIncomplete => "transaction_incomplete",
            Self::Canceled => "canceled",
        }
    }
}

/// What is wrong with a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    kind: FaultKind,
    error: String,
}

impl Fault {
    /// A fault and its sentence.
    pub(super) fn new(kind: FaultKind, error: impl Into<String>) -> Self {
        Self { kind, error: error.into() }
    }

    /// Another Puppet run does not end.
    pub(super) fn locked() -> Self {
        Self::new(FaultKind::AgentLocked, "Puppet agent run is already in progress")
    }

    /// The run could not be started.
    #[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
    pub(super) fn failed_to_start(error: std::io::Error) -> Self {
        Self::new(FaultKind::AgentFailedToStart, format!("Failed to start Puppet agent: {error}"))
    }

    /// The outcome of a run that Puppet never began.
    pub(super) fn outcome(self) -> Outcome {
        results(None, -1, Some(self))
    }
}

/// The outcome of a run: of its report if there is one, of its exit code, and of what is wrong with it.
pub(super) fn results(report: Option<&Report>, exit_code: i64, fault: Option<Fault>) -> Outcome {
    let mut results = Map::new();
    let text = |value: Option<String>| Value::from(value.unwrap_or_else(|| "unknown".to_owned()));
    results.insert("time".into(), text(report.map(|report| report.time.clone())));
    results.insert("transaction_uuid".into(), text(report.map(|report| report.transaction_uuid.clone())));
    results.insert("environment".into(), text(report.and_then(|report| report.environment.clone())));
    results.insert("status".into(), status(report, fault.as_ref()).into());
    results.insert("metrics".into(), report.map_or_else(|| json!({}), metrics));
    results.insert("exitcode".into(), exit_code.into());
    results.insert("version".into(), 1.into());
    if let Some(report) = report {
        extend(&mut results, report);
    }
    let failed = fault.is_some();
    if let Some(fault) = fault {
        if fault.kind == FaultKind::Canceled {
            results.insert(CANCELED_KEY.into(), true.into());
        }
        results.insert("error_type".into(), fault.kind.name().into());
        results.insert("error".into(), fault.error.into());
    }
    Outcome::Results { results: Value::Object(results), exitcode: i64::from(failed) }
}

/// A report that says `changed` although the run is not what was asked for must not be read as a success.
fn status(report: Option<&Report>, fault: Option<&Fault>) -> String {
    match (report, fault.map(|fault| fault.kind)) {
        (None, _) => "unknown".to_owned(),
        (Some(_), Some(FaultKind::EnvironmentMismatch | FaultKind::TransactionIncomplete | FaultKind::Canceled)) => {
            "failed".to_owned()
        }
        (Some(report), _) => report.status.clone(),
    }
}

fn metrics(report: &Report) -> Value {
    let mut counters: Map<String, Value> = COUNTERS.iter().map(|name| ((*name).to_owned(), 0.into())).collect();
    for (name, value) in report.resource_counters() {
        if let Some(counter) = counters.get_mut(name) {
            *counter = value.clone();
        }
    }
    Value::Object(counters)
}

/// What pxp-module-puppet does not tell.
fn extend(results: &mut Map<String, Value>, report: &Report) {
    let version = report.configuration_version.as_ref().and_then(as_text);
    results.insert("configuration_version".into(), version.into());
    results.insert("noop".into(), report.noop.into());
    results.insert("noop_pending".into(), report.noop_pending.into());
    results.insert("corrective_change".into(), report.corrective_change.unwrap_or(false).into());
    if let Some(cached) = &report.cached_catalog_status {
        results.insert("cached_catalog_status".into(), cached.clone().into());
    }
    let events = events::collect(report);
    results.insert("resource_events".into(), events.listed.into());
    if events.cut > 0 {
        results.insert("resource_events_cut".into(), events.cut.into());
    }
}
