//! What a turn asks for: the schedule's input, checked by the same code as a command of that name.

use bunraku_actors::model::{OnceKey, Origin, ScheduleId};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::api::command::JobCommand;
use crate::api::error::ApiError;
use crate::api::records::{ScheduleKind, ScheduleSpec};
use crate::api::request::{Object, deploy_command, task_command};

/// Whose the keys of turns are: no account can have this name.
const KEYS_OF_TURNS: &str = "*schedule*";
/// How long a turn's key is kept: far longer than a turn can be due.
const KEPT: TimeDelta = TimeDelta::days(400);

/// The command of a schedule, as its turns give it.
///
/// # Errors
/// As the command itself, with keys named as there; 404 `unknown-plan` for plans, which this service does not run.
pub(in crate::api) fn command_of(spec: &ScheduleSpec) -> Result<JobCommand, ApiError> {
    let mut body = spec.input.clone();
    body.insert("environment".into(), json!(spec.environment));
    body.insert("description".into(), json!(spec.description));
    body.insert("userdata".into(), spec.userdata.clone());
    match spec.kind {
        ScheduleKind::Deploy => {
            let body = Object::new(body);
            if body.value("scope").is_none() {
                return Err(ApiError::missing("input.scope"));
            }
            deploy_command(&body, spec.owner.clone()).map(JobCommand::Deploy)
        }
        ScheduleKind::Task => {
            if let Some(name) = body.remove("name") {
                body.insert("task".into(), name);
            }
            if let Some(parameters) = body.remove("parameters") {
                body.insert("params".into(), unwrapped(&parameters)?);
            }
            task_command(&Object::new(body), spec.owner.clone()).map(JobCommand::Task)
        }
        ScheduleKind::Plan => {
            Err(ApiError::unknown_plan(spec.input.get("name").and_then(Value::as_str).unwrap_or_default()))
        }
    }
}

/// Parameters as commands have them: `{"name": {"value": v}}` becomes `{"name": v}`.
fn unwrapped(parameters: &Value) -> Result<Value, ApiError> {
    let Value::Object(parameters) = parameters else {
        return Err(ApiError::wrong_type("input.parameters", "an object", parameters));
    };
    let mut plain = Map::new();
    for (name, wrapped) in parameters {
        let key = format!("input.parameters.{name}");
        let value = wrapped.as_object().ok_or_else(|| ApiError::wrong_type(&key, "an object", wrapped))?;
        if value.get("type").is_some_and(|kind| !kind.is_null()) {
            return Err(ApiError::invalid(&key, format!("{key} has a type, which only parameters of plans have")));
        }
        let value = value.get("value").ok_or_else(|| ApiError::missing(&format!("{key}.value")))?;
        plain.insert(name.clone(), value.clone());
    }
    Ok(Value::Object(plain))
}

/// The command of one turn: it makes one job, however often it is given.
pub(in crate::api) fn at_turn(mut command: JobCommand, id: ScheduleId, due: DateTime<Utc>) -> JobCommand {
    let common = command.common();
    common.origin = Origin { schedule: Some(id), ..Origin::default() };
    if let Value::Object(options) = &mut common.options {
        options.insert("scheduled-job-id".into(), json!(id.to_string()));
    }
    let key = format!("{id} at {}", due.timestamp_micros());
    let fingerprint = Sha256::digest(key.as_bytes()).into();
    common.once = Some(OnceKey { owner: KEYS_OF_TURNS.to_owned(), key, fingerprint, until: due + KEPT });
    command
}
