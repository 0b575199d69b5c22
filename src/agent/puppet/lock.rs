//! Puppet's own locks: runs disabled by an operator, a run that goes on. They are read, never written.

use std::fs;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::command::Paths;
use super::results::{Fault, FaultKind};
use crate::agent::process::is_puppet;

const LOOK_INTERVAL: Duration = Duration::from_millis(500);

#[derive(Deserialize)]
struct Disabled {
    disabled_message: Option<String>,
}

/// Refuses when an operator has disabled runs.
pub(super) fn check_disabled(paths: &Paths) -> Result<(), Fault> {
    if !paths.disabled_lock.exists() {
        return Ok(());
    }
    let text = fs::read_to_string(&paths.disabled_lock).unwrap_or_default();
    let reason = serde_json::from_str::<Disabled>(&text).ok().and_then(|lock| lock.disabled_message);
    let error = match reason.filter(|reason| !reason.is_empty()) {
        Some(reason) => format!("Puppet agent is disabled (reason: {reason})"),
        None => "Puppet agent is disabled".to_owned(),
    };
    Err(Fault::new(FaultKind::AgentDisabled, error))
}

/// Waits until no other Puppet runs, at most until `deadline`.
pub(super) async fn wait_for_others(paths: &Paths, deadline: Instant) -> Result<(), Fault> {
    while is_locked(paths) {
        if Instant::now() >= deadline {
            return Err(Fault::locked());
        }
        sleep(LOOK_INTERVAL).await;
    }
    Ok(())
}

/// Whether a live Puppet holds the lock. A stale, empty or foreign lock is none: Puppet takes it over.
pub(super) fn is_locked(paths: &Paths) -> bool {
    let text = fs::read_to_string(&paths.run_lock).unwrap_or_default();
    text.trim().parse().is_ok_and(is_puppet)
}
