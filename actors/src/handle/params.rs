//! Parameters of a task against its metadata: known, complete, not sensitive; defaults filled in.
//!
//! Their Puppet types are not checked here.

use serde_json::{Map, Value};

use crate::ports::TaskDetail;

use super::OrchestratorError;

/// The parameters that reach the task.
///
/// # Errors
/// [`OrchestratorError::Invalid`] for `params` or `noop`, naming the parameter. Values are never repeated: they may be
/// secrets.
pub(super) fn check(
    task: &TaskDetail,
    given: Map<String, Value>,
    noop: bool,
) -> Result<Map<String, Value>, OrchestratorError> {
    let metadata = &task.metadata;
    if noop && metadata.get("supports_noop") != Some(&Value::Bool(true)) {
        return Err(invalid("noop", format!("task {} does not support noop", task.name)));
    }
    let mut input = match metadata.get("parameters") {
        Some(Value::Object(declared)) => against(task, declared, given)?,
        _ => given,
    };
    // What begins with an underscore is ours to set.
    if let Some(reserved) = input.keys().find(|name| name.starts_with('_')) {
        return Err(invalid("params", format!("parameter {reserved} is reserved: names may not begin with '_'")));
    }
    if noop {
        input.insert("_noop".into(), Value::Bool(true));
    }
    Ok(input)
}

fn against(
    task: &TaskDetail,
    declared: &Map<String, Value>,
    mut given: Map<String, Value>,
) -> Result<Map<String, Value>, OrchestratorError> {
    if let Some(unknown) = given.keys().find(|name| !declared.contains_key(*name)) {
        return Err(invalid("params", format!("task {} has no parameter {unknown}", task.name)));
    }
    for (name, about) in declared {
        let sensitive = about.get("sensitive") == Some(&Value::Bool(true));
        if sensitive {
            let reason = "is sensitive, and sensitive parameters cannot be kept safely yet";
            return Err(invalid("params", format!("parameter {name} of task {} {reason}", task.name)));
        }
        if given.contains_key(name) {
            continue;
        }
        if let Some(default) = about.get("default") {
            given.insert(name.clone(), default.clone());
        } else if !is_optional(about) {
            return Err(invalid("params", format!("task {} needs the parameter {name}", task.name)));
        }
    }
    Ok(given)
}

/// A parameter without a type takes anything, but must be there.
fn is_optional(about: &Value) -> bool {
    about.get("type").and_then(Value::as_str).is_some_and(|kind| kind.trim_start().starts_with("Optional["))
}

fn invalid(key: &str, message: String) -> OrchestratorError {
    OrchestratorError::Invalid { key: key.to_owned(), message }
}
