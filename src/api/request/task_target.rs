//! The body of `POST /command/task_target` (API §4.5).

use serde_json::Value;

use super::Object;
use super::scope::node_list;
use crate::api::error::ApiError;
use crate::api::records::TaskTarget;

/// Checks the body of a task target. Neither tasks nor groups are looked up.
///
/// # Errors
/// 400 naming the key.
pub(crate) fn task_target(body: &Object) -> Result<TaskTarget, ApiError> {
    let display_name = body.required_text("display_name")?;
    if display_name.is_empty() {
        return Err(ApiError::invalid("display_name", "display_name must not be empty"));
    }
    let all_tasks = match body.value("all_tasks") {
        // Examples of the documents send it as text.
        Some(Value::String(text)) if text == "true" => true,
        Some(Value::String(text)) if text == "false" => false,
        _ => body.flag("all_tasks")?.unwrap_or_default(),
    };
    let tasks = if all_tasks { Vec::new() } else { texts(body, "tasks")?.ok_or_else(|| ApiError::missing("tasks"))? };
    if !all_tasks && tasks.is_empty() {
        return Err(ApiError::invalid("tasks", "tasks must name a task unless all_tasks is true"));
    }
    // Required, but clients send null for an empty list.
    for key in ["nodes", "node_groups"] {
        if !body.has(key) {
            return Err(ApiError::missing(key));
        }
    }
    let nodes = node_list(body, "nodes")?.unwrap_or_default();
    Ok(TaskTarget {
        display_name: display_name.to_owned(),
        tasks,
        all_tasks,
        nodes: nodes.iter().map(ToString::to_string).collect(),
        node_groups: texts(body, "node_groups")?.unwrap_or_default(),
        pql_query: body.text("pql_query")?.map(str::to_owned),
    })
}

fn texts(body: &Object, key: &str) -> Result<Option<Vec<String>>, ApiError> {
    let Some(entries) = body.array(key)? else { return Ok(None) };
    let text = |(index, entry): (usize, &Value)| {
        let name = format!("{key}[{index}]");
        entry.as_str().map(str::to_owned).ok_or_else(|| ApiError::wrong_type(&name, "a string", entry))
    };
    entries.iter().enumerate().map(text).collect::<Result<_, _>>().map(Some)
}
