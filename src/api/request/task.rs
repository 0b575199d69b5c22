//! The body of `POST /command/task` (API §4.4).

use bunraku_actors::model::{Common, EnvironmentName, Owner, TaskCommand, TaskName};
use serde_json::{Map, Value, json};

use super::Object;
use super::common::{attached, common, copy_given, shown_concurrency};
use super::scope::{ParsedScope, TASK_SCOPES, scope};
use crate::api::error::ApiError;

/// Checks the body of a task run.
///
/// # Errors
/// 400 naming the key; 404 for a name that no environment can have.
pub(crate) fn task_command(body: &Object, owner: Owner) -> Result<TaskCommand, ApiError> {
    let task = TaskName::parse(body.required_text("task")?).map_err(|error| ApiError::from(("task", error)))?;
    let environment_text = body.text("environment")?.unwrap_or("production");
    let environment =
        EnvironmentName::parse(environment_text).map_err(|_| ApiError::unknown_environment(environment_text))?;
    refuse_targets(body)?;
    let ParsedScope { scope, shown } =
        scope(body, TASK_SCOPES, environment.as_str())?.ok_or_else(|| ApiError::missing("scope"))?;
    let params = attached(body, "params")?;
    let noop = body.flag("noop")?.unwrap_or_default();
    body.text("transport")?;
    let mut common = common(body, owner)?;
    common.options = shown_options(body, &task, &environment, &params, noop, shown, &common);
    Ok(TaskCommand { environment, task, params, scope, noop, common })
}

/// Agentless targets carry credentials: what they hold is never looked at, kept or shown.
fn refuse_targets(body: &Object) -> Result<(), ApiError> {
    match body.value("targets") {
        None => Ok(()),
        Some(Value::Array(targets)) if targets.is_empty() => Ok(()),
        Some(_) => {
            let msg =
                "targets must be absent or empty: tasks run through the agents of the nodes, not over SSH or WinRM";
            Err(ApiError::invalid("targets", msg))
        }
    }
}

fn shown_options(
    body: &Object,
    task: &TaskName,
    environment: &EnvironmentName,
    params: &Map<String, Value>,
    noop: bool,
    scope: Value,
    common: &Common,
) -> Value {
    let mut options = Map::new();
    let defaults = [
        ("task", json!(task)),
        ("environment", json!(environment)),
        ("scope", scope),
        ("params", Value::Object(params.clone())),
        ("noop", json!(noop)),
        ("transport", json!("pxp")),
        ("sensitive", json!([])),
        ("scheduled-job-id", Value::Null),
        ("concurrency", shown_concurrency(common)),
        ("description", json!(common.description)),
        ("userdata", common.userdata.clone()),
    ];
    options.extend(defaults.map(|(key, value)| (key.to_owned(), value)));
    copy_given(body, &["timeout"], &mut options);
    Value::Object(options)
}
