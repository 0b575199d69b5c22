//! Parameters of a task against its metadata: known, complete, of their types, defaults filled in, the sensitive ones apart.

use serde_json::{Map, Value};

use crate::datatype::DataType;
use crate::ports::{DirectoryError, TaskDetail};

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
/// [`OrchestratorError::Invalid`] for `params` or `noop`, naming the parameter; values of sensitive ones are never repeated.
/// The directory's for metadata with a type that is none.
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
        let called_secret = match about.get("sensitive") {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            // Better no run than a secret for all to see.
            Some(_) => {
                let reason = format!("parameter {name}: sensitive must be true or false");
                return Err(DirectoryError::BrokenTask { task: task.name.to_string(), reason }.into());
            }
        };
        // Types may be expensive to build: only those that decide something are.
        let decides = given.contains_key(name) || (about.get("default").is_none() && !is_optional(about));
        let kind = if decides { data_type(task, name, about)? } else { None };
        let secret = called_secret || kind.as_ref().is_some_and(DataType::has_secrets);
        match (given.get(name), &kind) {
            (Some(value), Some(kind)) => {
                let wrong = |mismatch: crate::datatype::Mismatch| mismatch.describe(name, secret);
                kind.check(value).map_err(|mismatch| invalid("params", wrong(mismatch)))?;
            }
            (Some(_), None) => {}
            (None, kind) => {
                if let Some(default) = about.get("default") {
                    given.insert(name.clone(), default.clone());
                } else if decides && !kind.as_ref().is_some_and(DataType::may_be_missing) {
                    // A parameter without a type takes anything, but must be there.
                    return Err(invalid("params", format!("task {} needs the parameter {name}", task.name)));
                }
            }
        }
        if secret && let Some(value) = given.shift_remove(name) {
            secrets.insert(name.clone(), value);
        }
    }
    Ok(Checked { input: given, secrets })
}

/// Whether a type says at first sight that its parameter may be left out.
fn is_optional(about: &Value) -> bool {
    about.get("type").and_then(Value::as_str).is_some_and(|text| text.trim_start().starts_with("Optional["))
}

/// The type of a parameter, if its metadata has one.
fn data_type(task: &TaskDetail, name: &str, about: &Value) -> Result<Option<DataType>, OrchestratorError> {
    let Some(text) = about.get("type").and_then(Value::as_str) else { return Ok(None) };
    DataType::parse(text).map(Some).map_err(|error| {
        let reason = format!("the type of its parameter {name} cannot be read: {error}");
        OrchestratorError::Directory(DirectoryError::BrokenTask { task: task.name.to_string(), reason })
    })
}

fn invalid(key: &str, message: String) -> OrchestratorError {
    OrchestratorError::Invalid { key: key.to_owned(), message }
}
