//! Bodies and names of plan jobs (API §4.3, §4.6, §4.7, §9.1).

use bunraku_actors::model::{EnvironmentName, Origin, Owner, PlanId, TaskCommand};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::Object;
use super::common::attached;
use super::path::{digits, number};
use super::task::task_command;
use crate::api::error::ApiError;
use crate::api::records::{PlanSpec, PlanState};

/// The longest name of a plan.
const MAX_NAME: usize = 255;
/// The most that the result of a plan may be, as JSON.
const RESULT_BYTES: usize = 1024 * 1024;

/// A plan job of a path or a body.
///
/// # Errors
/// 400 for anything but digits; 404 `unknown-job` for numbers that were never given.
pub(crate) fn plan_id(text: &str) -> Result<PlanId, ApiError> {
    number("plan_job", text)?.map(PlanId).ok_or_else(|| ApiError::unknown_job(text))
}

/// The name of a plan: segments of lower-case letters, digits and underscore; `module::init` is written `module`.
///
/// # Errors
/// 400 naming the key.
pub(crate) fn plan_name(key: &str, text: &str) -> Result<String, ApiError> {
    let segment = |part: &str| {
        part.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    if text.len() > MAX_NAME || !text.split("::").all(segment) {
        let shown: String = text.chars().take(80).collect();
        let msg =
            format!("{key} must be module or module::plan in lower-case letters, digits, underscore, not '{shown}'");
        return Err(ApiError::invalid(key, msg));
    }
    Ok(text.strip_suffix("::init").unwrap_or(text).to_owned())
}

/// Checks the body of `plan_start`: a plan that runs elsewhere.
///
/// # Errors
/// 400 naming the key.
pub(crate) fn plan_start(body: &Object, owner: Owner, now: DateTime<Utc>) -> Result<PlanSpec, ApiError> {
    let mut sensitive = Vec::new();
    for (index, name) in body.array("sensitive")?.into_iter().flatten().enumerate() {
        let key = format!("sensitive[{index}]");
        sensitive.push(name.as_str().ok_or_else(|| ApiError::wrong_type(&key, "a string", name))?.to_owned());
    }
    let mut parameters = attached(body, "params")?;
    // The caller has left them out; one that did not must not have them kept.
    parameters.retain(|name, _| !sensitive.contains(name));
    Ok(PlanSpec {
        plan: plan_name("plan_name", body.required_text("plan_name")?)?,
        description: body.text("description")?.unwrap_or_default().to_owned(),
        parameters,
        sensitive,
        environment: body.text("environment")?.map(str::to_owned),
        owner,
        userdata: Value::Object(attached(body, "userdata")?),
        created_at: now,
    })
}

/// Checks the body of `plan_run`; returns the plan and where it is to be found.
///
/// # Errors
/// 400 naming the key; 404 for a name that no environment can have.
pub(crate) fn plan_run(body: &Object) -> Result<(String, EnvironmentName), ApiError> {
    attached(body, "params")?;
    plan_and_environment(body)
}

/// Checks the body of `environment_plan_run`: every parameter is an object with a `value`, and maybe a `type`.
///
/// # Errors
/// 400 naming the key; 404 for a name that no environment can have.
pub(crate) fn environment_plan_run(body: &Object) -> Result<(String, EnvironmentName), ApiError> {
    let found = plan_and_environment(body)?;
    let params = body.map("params")?.ok_or_else(|| ApiError::missing("params"))?;
    check_wrapped("params", params)?;
    Ok(found)
}

/// Checks parameters of a plan that stand in objects with a `value`.
///
/// # Errors
/// 400 naming the parameter.
pub(super) fn check_wrapped(prefix: &str, params: &Map<String, Value>) -> Result<(), ApiError> {
    for (name, wrapped) in params {
        let key = format!("{prefix}.{name}");
        let object = wrapped.as_object().ok_or_else(|| ApiError::wrong_type(&key, "an object", wrapped))?;
        if !object.contains_key("value") {
            return Err(ApiError::missing(&format!("{key}.value")));
        }
        match object.get("type") {
            None | Some(Value::Null) => {}
            Some(Value::String(kind)) if ["query", "node_group"].contains(&kind.as_str()) => {}
            Some(_) => {
                let key = format!("{key}.type");
                return Err(ApiError::invalid(&key, format!("{key} must be query or node_group")));
            }
        }
    }
    Ok(())
}

fn plan_and_environment(body: &Object) -> Result<(String, EnvironmentName), ApiError> {
    let plan = plan_name("plan_name", body.required_text("plan_name")?)?;
    body.text("description")?;
    body.integer("timeout", 1)?;
    attached(body, "userdata")?;
    let environment = body.text("environment")?.unwrap_or("production");
    let environment = EnvironmentName::parse(environment).map_err(|_| ApiError::unknown_environment(environment))?;
    Ok((plan, environment))
}

/// Checks the body of `plan_task`: a task of a plan job.
///
/// # Errors
/// As for a task, and for the key `plan_job`.
pub(crate) fn plan_task(body: &Object, owner: Owner) -> Result<TaskCommand, ApiError> {
    let plan = plan_of(body)?;
    let mut command = task_command(body, owner)?;
    command.common.origin = Origin { plan: Some(plan), ..Origin::default() };
    if let Value::Object(options) = &mut command.common.options {
        options.shift_remove("environment");
        options.insert("plan_job".into(), json!(plan.0));
        options.insert("project".into(), Value::Null);
    }
    Ok(command)
}

/// The key `plan_job` of a body: a string of digits, or a JSON integer.
///
/// # Errors
/// 400 naming the key; 404 for a number that was never given.
pub(crate) fn plan_of(body: &Object) -> Result<PlanId, ApiError> {
    match body.value("plan_job") {
        None => Err(ApiError::missing("plan_job")),
        Some(Value::String(text)) => plan_id(text),
        Some(Value::Number(number)) => plan_id(&digits(number)),
        Some(other) => Err(ApiError::wrong_type("plan_job", "a string of digits", other)),
    }
}

/// Checks the body of `plan_finish`.
///
/// # Errors
/// 400 naming the key.
pub(crate) fn plan_finish(body: &Object) -> Result<(PlanId, PlanState, Value), ApiError> {
    let plan = plan_of(body)?;
    let state = match body.required_text("status")? {
        "success" => PlanState::Success,
        "failure" => PlanState::Failure,
        other => {
            let shown: String = other.chars().take(80).collect();
            return Err(ApiError::invalid("status", format!("status must be success or failure, not '{shown}'")));
        }
    };
    let result = body.value("result").cloned().unwrap_or_default();
    let size = serde_json::to_vec(&result).map_or(usize::MAX, |json| json.len());
    if size > RESULT_BYTES {
        let msg = format!("result must be at most {RESULT_BYTES} bytes of JSON, not {size}");
        return Err(ApiError::validation(msg, json!({ "key": "result", "size": size, "limit": RESULT_BYTES })));
    }
    Ok((plan, state, result))
}
