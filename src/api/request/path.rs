//! Parts of a path: job numbers and task names.

use bunraku_actors::model::{JobId, TaskName};
use serde_json::Number;

use crate::api::error::ApiError;

/// The largest number that the store can hold: everything beyond is an id that was never given.
pub(super) const MAX_ID: u64 = i64::MAX as u64;

/// 2^64.
const BEYOND_64_BITS: f64 = 18_446_744_073_709_551_616.0;

/// A job number as paths and commands write it.
///
/// # Errors
/// 400 for anything but digits; 404 `unknown-job` for numbers that were never given.
pub(crate) fn job_id(text: &str) -> Result<JobId, ApiError> {
    number("job", text)?.map(JobId).ok_or_else(|| ApiError::unknown_job(text))
}

/// A number of a sequence that begins at 1; `None` for those that were never given.
///
/// # Errors
/// 400 naming the key for anything but digits.
pub(crate) fn number(key: &str, text: &str) -> Result<Option<u64>, ApiError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        let shown: String = text.chars().take(80).collect();
        return Err(ApiError::invalid(
            key,
            format!("{key} must be a {}'s number, not '{shown}'", key.replace('_', " ")),
        ));
    }
    Ok(text.parse::<u64>().ok().filter(|number| (1..=MAX_ID).contains(number)))
}

/// The number as digits. An integer beyond 64 bits has become a float while it was parsed: it is an id all the same,
/// only one that was never given.
pub(super) fn digits(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() && float >= BEYOND_64_BITS => format!("{float:.0}"),
        _ => number.to_string(),
    }
}

/// The task of a path `<module>/<task>`; `init` is the module's own task.
///
/// # Errors
/// 400 for names that break the grammar.
pub(crate) fn task_name(module: &str, task: &str) -> Result<TaskName, ApiError> {
    TaskName::parse(&format!("{module}::{task}")).map_err(|error| ("task", error).into())
}
