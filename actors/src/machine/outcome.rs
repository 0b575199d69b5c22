//! From what an agent says about a run to how the node ended (API §5.4, §11.2).
//!
//! Known texts of agents are matched here and nowhere else.

use serde_json::{Map, Value, json};

use crate::model::{
    Action, Cause, CertName, DeployOptions, MAX_NESTING, Nesting, NodeEnd, NodeState, PuppetOutcome, REPORT_COUNTERS,
    RunOutcome, TaskOutcome, shallow,
};

use super::words::{Words, execution_failure};
use crate::ports::StatusAnswer;

/// Judges an agent's last word. `canceled` is the cause of an end that the agent confirms as ours;
/// [`Cause::OutcomeUnknown`] when nobody asked for one.
#[must_use]
pub fn judge(node: &CertName, action: &Action, outcome: RunOutcome, canceled: Cause) -> NodeEnd {
    let words = Words::of(action.kind());
    match outcome {
        RunOutcome::Puppet(puppet) => {
            let options = match action {
                Action::Deploy(deploy) => deploy.options.clone(),
                Action::Task(_) => DeployOptions::default(),
            };
            of_puppet(node, words, &options, *puppet)
        }
        RunOutcome::Task(task) => of_task(node, words, &task),
        RunOutcome::Refused { description } => errored(node, words, refusal_cause(&description), &description),
        RunOutcome::Unreadable { description } => errored(node, words, Cause::OutcomeUnknown, &description),
        RunOutcome::Canceled { results } => of_cancel(node, words, canceled, &results),
    }
}

/// Judges what an agent says of a run whose node has ended without its word; `None` while the run goes on. `ending` says why
/// the agent was told to end it, if it was.
#[must_use]
pub fn judge_late(node: &CertName, action: &Action, answer: StatusAnswer, ending: Option<Cause>) -> Option<NodeEnd> {
    let unknown = |cause, reason: &str| errored(node, Words::of(action.kind()), cause, reason);
    match answer {
        StatusAnswer::Running => None,
        StatusAnswer::Over(outcome) => Some(judge(node, action, outcome, ending.unwrap_or(Cause::OutcomeUnknown))),
        StatusAnswer::NeverArrived => Some(unknown(Cause::Undeliverable, "the agent does not know the request")),
        StatusAnswer::Unknown(words) => {
            let reason = format!("the agent does not know how the run ended: {words}");
            Some(unknown(Cause::OutcomeUnknown, &reason))
        }
    }
}

/// A node that ended without a run, or whose outcome is unknown.
pub(super) fn errored(node: &CertName, words: Words, cause: Cause, reason: &str) -> NodeEnd {
    NodeEnd {
        state: NodeState::Errored,
        cause: Some(cause),
        message: words.errored(node, reason),
        result: execution_failure(node, reason),
        details: json!({}),
        transaction_uuid: None,
        resource_events: Vec::new(),
    }
}

fn of_cancel(node: &CertName, words: Words, cause: Cause, results: &Value) -> NodeEnd {
    let reason = if cause == Cause::TimedOut {
        "the run passed its time limit and was ended"
    } else if cause == Cause::StoppedByForce {
        "the run was ended by force"
    } else {
        "the agent reports that the run was canceled, which was not asked for"
    };
    let mut end = errored(node, words, cause, reason);
    if let (Value::Object(result), false) = (&mut end.result, results.is_null()) {
        let output = results.get("stdout").cloned().unwrap_or(Value::Null);
        if !output.is_null() {
            result.insert("_output".into(), shallow(output));
        }
    }
    end
}

fn refusal_cause(description: &str) -> Cause {
    let has = |texts: &[&str]| texts.iter().any(|text| description.contains(text));
    if has(&["refused by the policy of this node"]) {
        Cause::RefusedByPolicy
    } else if has(&["cannot fetch the task's files", "Failed to download", "Cannot download", "master-uris"]) {
        Cause::TaskFilesUnreachable
    } else if has(&["the agent was restarted before the run was started"]) {
        Cause::Undeliverable
    } else if has(&["exceeded max-message-size", "returned invalid", "returned no results"]) {
        // The work was done; only its outcome cannot be told.
        Cause::OutcomeUnknown
    } else {
        Cause::RefusedByAgent
    }
}

fn of_puppet(node: &CertName, words: Words, options: &DeployOptions, outcome: PuppetOutcome) -> NodeEnd {
    let kind = outcome.error_type.as_deref();
    let reported = matches!(outcome.status.as_str(), "changed" | "unchanged" | "failed");
    let (state, cause) = match (kind, outcome.status.as_str()) {
        (Some("agent_disabled"), _) => (NodeState::Errored, Some(Cause::Disabled)),
        (Some("agent_locked"), _) => (NodeState::Errored, Some(Cause::Locked)),
        (Some("invalid_json" | "no_puppet_bin"), _) => (NodeState::Errored, Some(Cause::RefusedByAgent)),
        (Some("agent_exit_non_zero"), _) if reported => (NodeState::Failed, Some(Cause::RunFailed)),
        (_, "failed") => (NodeState::Failed, Some(Cause::RunFailed)),
        (Some(_), _) => (NodeState::Errored, Some(Cause::RunFailed)),
        (None, "changed" | "unchanged") if matches!(outcome.exitcode, 0 | 2) => (NodeState::Finished, None),
        // A good status beside a bad exit code: the run took place, and it did not end well.
        (None, "changed" | "unchanged") => (NodeState::Failed, Some(Cause::RunFailed)),
        (None, _) => (NodeState::Errored, Some(Cause::OutcomeUnknown)),
    };
    if let (NodeState::Errored, Some(cause)) = (state, cause) {
        let reason = outcome.error.unwrap_or_else(|| format!("the agent reported the status '{}'", outcome.status));
        return errored(node, words, cause, &reason);
    }
    let message = if state == NodeState::Finished {
        words.succeeded(node)
    } else {
        words.failed(node) + outcome.error.as_deref().and_then(reason_of).unwrap_or_default()
    };
    let mut summary = report_summary(&outcome);
    let details = Value::Object(summary.clone());
    summary.insert("status".into(), outcome.status.into());
    summary.insert("noop".into(), json!({ "noop": options.noop, "no_noop": options.no_noop }));
    summary.insert("transaction_uuid".into(), outcome.transaction_uuid.clone().into());
    if outcome.resource_events_cut > 0 {
        summary.insert("resource_events_cut".into(), outcome.resource_events_cut.into());
    }
    NodeEnd {
        state,
        cause,
        message,
        result: Value::Object(summary),
        details,
        transaction_uuid: outcome.transaction_uuid,
        resource_events: outcome.resource_events.into_iter().map(shallow).collect(),
    }
}

/// The reason in an agent's words for a run that took place and failed. pxp-agent gives none.
fn reason_of(error: &str) -> Option<&str> {
    error.strip_prefix("Puppet agent exited with a non 0 exitcode: ")
}

/// What result and details of a Puppet run have in common.
fn report_summary(outcome: &PuppetOutcome) -> Map<String, Value> {
    let mut metrics: Map<String, Value> = REPORT_COUNTERS.iter().map(|name| ((*name).to_owned(), json!(0))).collect();
    metrics.extend(outcome.metrics.iter().map(|(name, value)| (name.clone(), shallow(value.clone()))));
    let mut summary = Map::new();
    summary.insert("hash".into(), outcome.hash.clone().into());
    summary.insert("environment".into(), outcome.environment.clone().into());
    summary.insert("configuration_version".into(), outcome.configuration_version.clone().into());
    summary.insert("metrics".into(), Value::Object(metrics));
    summary
}

fn of_task(node: &CertName, words: Words, outcome: &TaskOutcome) -> NodeEnd {
    // Output that nests deeper than others can read stays the text that it is.
    let readable = Nesting::beyond(outcome.stdout.as_bytes(), MAX_NESTING).is_none();
    let printed = readable.then(|| serde_json::from_str(&outcome.stdout).ok()).flatten();
    let mut result = match printed {
        Some(Value::Object(printed)) => printed,
        Some(_) | None => Map::from_iter([("_output".to_owned(), Value::from(outcome.stdout.clone()))]),
    };
    let succeeded = outcome.exitcode == 0 && !result.contains_key("_error");
    if !succeeded && !result.contains_key("_error") {
        result.insert("_error".into(), task_error(outcome));
    }
    let (state, cause, message) = if succeeded {
        (NodeState::Finished, None, words.succeeded(node))
    } else {
        (NodeState::Failed, Some(Cause::RunFailed), words.failed(node))
    };
    NodeEnd {
        state,
        cause,
        message,
        result: Value::Object(result),
        details: json!({}),
        transaction_uuid: None,
        resource_events: Vec::new(),
    }
}

fn task_error(outcome: &TaskOutcome) -> Value {
    let stderr = outcome.stderr.trim_end();
    let colon = if stderr.is_empty() { "" } else { ":\n" };
    json!({
        "kind": "puppetlabs.tasks/task-error",
        "msg": format!("The task failed with exit code {}{colon}{stderr}", outcome.exitcode),
        "details": { "exit_code": outcome.exitcode },
    })
}
