//! The body of `POST /command/stop` (API §4.2).

use bunraku_actors::model::{JobId, StopMode};
use serde_json::Value;

use super::Object;
use super::path::{digits, job_id};
use crate::api::error::ApiError;

/// A checked stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StopRequest {
    pub(crate) job: JobId,
    pub(crate) mode: StopMode,
}

/// Checks the body of a stop. The job is a string of digits, or a JSON integer.
///
/// # Errors
/// 400 naming the key; 404 for a number that was never given.
pub(crate) fn stop_request(body: &Object) -> Result<StopRequest, ApiError> {
    let job = match body.value("job") {
        None => return Err(ApiError::missing("job")),
        Some(Value::String(text)) => job_id(text)?,
        Some(Value::Number(number)) => job_id(&digits(number))?,
        Some(other) => return Err(ApiError::wrong_type("job", "a string of digits", other)),
    };
    let mode = if body.flag("force")? == Some(true) { StopMode::Force } else { StopMode::Plain };
    Ok(StopRequest { job, mode })
}
