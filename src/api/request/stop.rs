//! The body of `POST /command/stop` (API §4.2).

use bunraku_actors::model::{JobId, StopMode};
use serde_json::{Number, Value};

use super::Object;
use super::path::job_id;
use crate::api::error::ApiError;

/// 2^64.
const BEYOND_64_BITS: f64 = 18_446_744_073_709_551_616.0;

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

/// The number as digits. An integer beyond 64 bits has become a float while it was parsed: it is an id all the same,
/// only one that was never given.
fn digits(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() && float >= BEYOND_64_BITS => format!("{float:.0}"),
        _ => number.to_string(),
    }
}
