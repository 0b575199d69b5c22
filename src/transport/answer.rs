//! Types what agents answer. Pure: text and values in, outcomes out.

use bunraku_actors::model::{JobKind, PuppetOutcome, RunOutcome, TaskOutcome};
use bunraku_actors::ports::StatusAnswer;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::output;
use crate::wire::pxp::{
    CANCELED_KEY, EXECUTION_ERROR_KIND, NO_RESULTS_DIRECTORY, ProcessResults, Status, StatusResults,
};

/// What the reports of Puppet use for a value that they do not know.
const UNKNOWN: &str = "unknown";

/// Results of `pxp-module-puppet run` as they are sent; our own agent adds the last four keys.
#[derive(Debug, Deserialize)]
struct PuppetResults {
    status: String,
    transaction_uuid: Option<String>,
    environment: Option<String>,
    #[serde(default)]
    metrics: Map<String, Value>,
    exitcode: i64,
    error_type: Option<String>,
    error: Option<String>,
    configuration_version: Option<Value>,
    hash: Option<String>,
    #[serde(default)]
    resource_events: Vec<Value>,
    #[serde(default)]
    resource_events_cut: u64,
}

impl From<PuppetResults> for PuppetOutcome {
    fn from(results: PuppetResults) -> Self {
        let known = |text: Option<String>| text.filter(|text| text != UNKNOWN);
        let configuration_version = results.configuration_version.and_then(|version| match version {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        Self {
            status: results.status,
            transaction_uuid: known(results.transaction_uuid),
            environment: known(results.environment),
            configuration_version,
            hash: results.hash,
            metrics: results.metrics,
            exitcode: results.exitcode,
            error_type: results.error_type,
            error: results.error,
            resource_events: results.resource_events,
            resource_events_cut: results.resource_events_cut,
        }
    }
}

/// Cuts what is kept of a Puppet run's results.
fn bounded(outcome: PuppetOutcome, limit: usize) -> PuppetOutcome {
    let short = |text: Option<String>| text.map(output::short_text);
    let (resource_events, cut) = output::cut_list(outcome.resource_events, limit);
    PuppetOutcome {
        status: output::short_text(outcome.status),
        transaction_uuid: short(outcome.transaction_uuid),
        environment: short(outcome.environment),
        configuration_version: short(outcome.configuration_version),
        hash: short(outcome.hash),
        metrics: output::numbers(outcome.metrics),
        exitcode: outcome.exitcode,
        error_type: short(outcome.error_type),
        error: short(outcome.error),
        resource_events,
        resource_events_cut: outcome.resource_events_cut.saturating_add(cut),
    }
}

/// The outcome that the results of a final answer tell. `kind` decides how they are read. `may_cancel`: the agent is
/// ours, so the run can have been canceled.
#[must_use]
pub fn parse_results(results: Value, kind: JobKind, may_cancel: bool, output_limit: usize) -> RunOutcome {
    if may_cancel && is_canceled(&results) {
        return canceled(results, output_limit);
    }
    let parsed = match kind {
        JobKind::Deploy => PuppetResults::deserialize(results)
            .map(|puppet| RunOutcome::Puppet(Box::new(bounded(puppet.into(), output_limit)))),
        JobKind::Task => ProcessResults::deserialize(results).map(|process| task(process, output_limit)),
    };
    parsed.unwrap_or_else(|error| invalid(&error))
}

/// What an answer to a status query tells. `may_cancel`: the agent is ours, so a run can have been canceled.
#[must_use]
pub fn parse_status(results: &Value, kind: JobKind, may_cancel: bool, output_limit: usize) -> StatusAnswer {
    let results = match StatusResults::deserialize(results) {
        Ok(results) => results,
        Err(error) => return StatusAnswer::Unknown(invalid_text(&error)),
    };
    let stdout: Option<Value> = results.stdout.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let fault = stdout.as_ref().and_then(agent_fault);
    match (results.status, fault) {
        (Status::Running, _) => StatusAnswer::Running,
        (Status::Unknown, Some(text)) if text == NO_RESULTS_DIRECTORY => StatusAnswer::NeverArrived,
        (Status::Unknown, Some(text)) => StatusAnswer::Unknown(output::short_text(text)),
        (Status::Unknown, None) => StatusAnswer::Unknown("the agent gives no reason".to_owned()),
        (_, Some(text)) => StatusAnswer::Over(RunOutcome::Refused { description: output::short_text(text) }),
        (Status::Success | Status::Failure, None) => {
            StatusAnswer::Over(finished(results, stdout, kind, may_cancel, output_limit))
        }
    }
}

/// The outcome of a run which the agent knows to be over.
fn finished(
    results: StatusResults,
    stdout: Option<Value>,
    kind: JobKind,
    may_cancel: bool,
    output_limit: usize,
) -> RunOutcome {
    if may_cancel && results.canceled {
        return canceled(stdout.unwrap_or_default(), output_limit);
    }
    if kind == JobKind::Deploy {
        let Some(results) = stdout.filter(Value::is_object) else {
            return invalid(&"the Puppet run's results are no JSON object");
        };
        return parse_results(results, kind, false, output_limit);
    }
    match results.exitcode {
        Some(exitcode) => {
            task(ProcessResults { exitcode, stdout: results.stdout, stderr: results.stderr }, output_limit)
        }
        None => invalid(&"a finished run without an exit code"),
    }
}

fn is_canceled(results: &Value) -> bool {
    results.get(CANCELED_KEY) == Some(&Value::Bool(true))
}

/// A run that was canceled, with what is kept of its results: the exit code and both outputs.
fn canceled(results: Value, output_limit: usize) -> RunOutcome {
    let Value::Object(mut told) = results else { return RunOutcome::Canceled { results: Value::Null } };
    let mut text = |name: &str| match told.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let (stdout, stderr) = (text("stdout"), text("stderr"));
    let had = (stdout.is_some(), stderr.is_some());
    let (stdout, stderr) = output::cut(stdout.unwrap_or_default(), stderr.unwrap_or_default(), output_limit);
    let mut kept = Map::new();
    kept.insert(CANCELED_KEY.to_owned(), Value::Bool(true));
    kept.extend(told.remove("exitcode").filter(Value::is_number).map(|code| ("exitcode".to_owned(), code)));
    kept.extend(had.0.then(|| ("stdout".to_owned(), stdout.into())));
    kept.extend(had.1.then(|| ("stderr".to_owned(), stderr.into())));
    RunOutcome::Canceled { results: Value::Object(kept) }
}

/// The agent's own words where it could not do the work.
fn agent_fault(stdout: &Value) -> Option<String> {
    let error = stdout.get("_error")?;
    (error.get("kind")? == EXECUTION_ERROR_KIND).then(|| error.get("msg").and_then(Value::as_str).map(str::to_owned))?
}

fn task(results: ProcessResults, output_limit: usize) -> RunOutcome {
    let (stdout, stderr) =
        output::cut(results.stdout.unwrap_or_default(), results.stderr.unwrap_or_default(), output_limit);
    RunOutcome::Task(TaskOutcome { exitcode: results.exitcode, stdout, stderr })
}

/// The outcome for a final answer whose shape is wrong: the run took place, and nobody can tell how it ended.
pub(super) fn invalid(error: &impl std::fmt::Display) -> RunOutcome {
    RunOutcome::Unreadable { description: invalid_text(error) }
}

pub(super) fn invalid_text(error: &impl std::fmt::Display) -> String {
    output::short_text(format!("the agent's answer is not valid: {error}"))
}

#[cfg(test)]
mod tests;
