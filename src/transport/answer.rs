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

/// The outcome that the results of a final answer tell. `kind` decides how they are read.
#[must_use]
pub fn parse_results(results: Value, kind: JobKind, output_limit: usize) -> RunOutcome {
    if is_canceled(&results) {
        return RunOutcome::Canceled { results };
    }
    let parsed = match kind {
        JobKind::Deploy => {
            PuppetResults::deserialize(results).map(|puppet| RunOutcome::Puppet(Box::new(puppet.into())))
        }
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
        (Status::Unknown, Some(text)) => StatusAnswer::Unknown(text),
        (Status::Unknown, None) => StatusAnswer::Unknown("the agent gives no reason".to_owned()),
        (_, Some(description)) => StatusAnswer::Over(RunOutcome::Refused { description }),
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
        return RunOutcome::Canceled { results: stdout.unwrap_or_default() };
    }
    if kind == JobKind::Deploy {
        let Some(results) = stdout.filter(Value::is_object) else {
            let description = "the agent's answer is not valid: the Puppet run's results are no JSON object".to_owned();
            return RunOutcome::Refused { description };
        };
        return parse_results(results, kind, output_limit);
    }
    match results.exitcode {
        Some(exitcode) => {
            task(ProcessResults { exitcode, stdout: results.stdout, stderr: results.stderr }, output_limit)
        }
        None => RunOutcome::Refused {
            description: "the agent's answer is not valid: a finished run without an exit code".to_owned(),
        },
    }
}

fn is_canceled(results: &Value) -> bool {
    results.get(CANCELED_KEY) == Some(&Value::Bool(true))
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

/// The outcome for an answer whose shape is wrong.
pub(super) fn invalid(error: &impl std::fmt::Display) -> RunOutcome {
    RunOutcome::Refused { description: invalid_text(error) }
}

pub(super) fn invalid_text(error: &impl std::fmt::Display) -> String {
    format!("the agent's answer is not valid: {error}")
}

#[cfg(test)]
mod tests;
