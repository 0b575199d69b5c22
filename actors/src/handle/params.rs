//! Parameters of a task against its metadata: known, complete, defaults filled in, the sensitive ones apart.
//!
//! Their Puppet types are not checked here.

use serde_json::{Map, Value};

use crate::ports::TaskDetail;

use super::OrchestratorError;

/// What reaches the task.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// What may be shown and kept.
    pub(super) input: Map<String, Value>,
    /// What must not.
    pub(super) secrets: Map<String, Value>,
}

/// The parameters that reach the task.
///
/// # Errors
/// [`OrchestratorError::Invalid`] for `params` or `noop`, naming the parameter. Values of sensitive ones are never repeated.
pub(super) fn check(task: &TaskDetail, given: Map<String, Value>, noop: bool) -> Result<Checked, OrchestratorError> {
    let metadata = &task.metadata;
    if noop && metadata.get("supports_noop") != Some(&Value::Bool(true)) {
        return Err(invalid("noop", format!("task {} does not support noop", task.name)));
    }
    let mut checked = match metadata.get("parameters") {
        Some(Value::Object(declared)) => against(task, declared, given)?,
        _ => Checked { input: given, secrets: Map::new() },
    };
    // What begins with an underscore is ours to set.
    if let Some(reserved) = checked.input.keys().find(|name| name.starts_with('_')) {
        return Err(invalid("params", format!("parameter {reserved} is reserved: names may not begin with '_'")));
    }
    if noop {
        checked.input.insert("_noop".into(), Value::Bool(true));
    }
    Ok(checked)
}

fn against(
    task: &TaskDetail,
    declared: &Map<String, Value>,
    mut given: Map<String, Value>,
) -> Result<Checked, OrchestratorError> {
    if let Some(unknown) = given.keys().find(|name| !declared.contains_key(*name)) {
        return Err(invalid("params", format!("task {} has no parameter {unknown}", task.name)));
    }
    let mut secrets = Map::new();
    for (name, about) in declared {
        if !given.contains_key(name) {
            if let Some(default) = about.get("default") {
                given.insert(name.clone(), default.clone());
            } else if !is_optional(about) {
                return Err(invalid("params", format!("task {} needs the parameter {name}", task.name)));
            }
        }
        if about.get("sensitive") == Some(&Value::Bool(true))
            && let Some(value) = given.shift_remove(name)
        {
            secrets.insert(name.clone(), value);
        }
    }
    Ok(Checked { input: given, secrets })
}

/// A parameter without a type takes anything, but must be there.
fn is_optional(about: &Value) -> bool {
    about.get("type").and_then(Value::as_str).is_some_and(|kind| kind.trim_start().starts_with("Optional["))
}

fn invalid(key: &str, message: String) -> OrchestratorError {
    OrchestratorError::Invalid { key: key.to_owned(), message }
}
