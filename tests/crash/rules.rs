//! The configuration of the service under test. Everything waits seconds instead of minutes, so that a crash takes a few
//! seconds in all; the limits are small enough to bind. The checker computes its bounds from the same numbers.

use std::time::Duration;

/// Deploy runs at once, over all jobs.
pub(crate) const CONCURRENT_RUNS: usize = 5;
/// Task runs at once, over all jobs.
pub(crate) const CONCURRENT_TASKS: usize = 4;
/// Runs without a catalog at once, over all jobs.
pub(crate) const CONCURRENT_COMPILES: usize = 3;
/// How long a run of a pxp-agent counts as compiling.
pub(crate) const COMPILE_HOLD: Duration = Duration::from_secs(1);
/// The longest run of a job that asks for no other time.
pub(crate) const RUN_TIMEOUT: Duration = Duration::from_secs(15);
/// Nodes that have not started by then are skipped.
pub(crate) const JOB_TIMEOUT: Duration = Duration::from_secs(40);
/// How long a run without its agent's word still counts.
pub(crate) const ABANDONED_HOLD: Duration = Duration::from_secs(6);
/// Nothing ends for something that is missing so soon after a start.
pub(crate) const SETTLE_TIME: Duration = Duration::from_secs(2);
/// How long an agent may be away.
pub(crate) const LOST_CONTACT: Duration = Duration::from_secs(4);
/// How long a cancel may stay unconfirmed.
pub(crate) const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a status query may stay unanswered.
pub(crate) const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

/// The overrides of the service's configuration, as environment variables.
pub(crate) fn overrides(resend_to_pxp_agents: bool) -> Vec<(String, String)> {
    let seconds = |time: Duration| format!("{}s", time.as_secs());
    let limits = [
        ("concurrent_runs", CONCURRENT_RUNS.to_string()),
        ("concurrent_tasks", CONCURRENT_TASKS.to_string()),
        ("concurrent_compiles", CONCURRENT_COMPILES.to_string()),
        ("compile_hold", seconds(COMPILE_HOLD)),
        ("deploy_timeout", seconds(RUN_TIMEOUT)),
        ("task_timeout", seconds(RUN_TIMEOUT)),
        ("job_timeout", seconds(JOB_TIMEOUT)),
        ("abandoned_hold", seconds(ABANDONED_HOLD)),
        ("lost_contact", seconds(LOST_CONTACT)),
        ("cancel_timeout", seconds(CANCEL_TIMEOUT)),
        ("status_timeout", seconds(STATUS_TIMEOUT)),
        ("connect_timeout", "3s".to_owned()),
        ("status_interval", "2s".to_owned()),
        ("resend_to_pxp_agents", resend_to_pxp_agents.to_string()),
    ];
    let limits = limits.map(|(key, value)| (format!("limits.{key}"), value));
    let others = [
        ("broker.settle_time", seconds(SETTLE_TIME)),
        ("engine.threads", "2".to_owned()),
        ("server.workers", "1".to_owned()),
    ];
    let all = limits.into_iter().chain(others.map(|(key, value)| (key.to_owned(), value)));
    all.map(|(key, value)| (format!("BUNRAKU_{}", key.to_uppercase().replace('.', "__")), value)).collect()
}
