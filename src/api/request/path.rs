//! Parts of a path: job numbers and task names.

use bunraku_actors::model::{JobId, TaskName};

use crate::api::error::ApiError;

/// The largest number that the store can hold: everything beyond is an id that was never given.
pub(super) const MAX_ID: u64 = i64::MAX as u64;

/// A job number as paths and commands write it.
///
/// # Errors
/// 400 for anything but digits; 404 `unknown-job` for numbers that were never given.
pub(crate) fn job_id(text: &str) -> Result<JobId, ApiError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        let shown: String = text.chars().take(80).collect();
        return Err(ApiError::invalid("job", format!("job must be a job's number, not '{shown}'")));
    }
    match text.parse::<u64>() {
        Ok(number) if (1..=MAX_ID).contains(&number) => Ok(JobId(number)),
        _ => Err(ApiError::unknown_job(text)),
    }
}

/// The task of a path `<module>/<task>`; `init` is the module's own task.
///
/// # Errors
/// 400 for names that break the grammar.
pub(crate) fn task_name(module: &str, task: &str) -> Result<TaskName, ApiError> {
    TaskName::parse(&format!("{module}::{task}")).map_err(|error| ("task", error).into())
}
