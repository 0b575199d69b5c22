//! Ending a run for good: the work is asked, then its descendants, then nobody is asked.
//!
//! Puppet gives every command that it starts a session of its own, so process groups do not help: descendants are
//! collected from `/proc` before each signal, while their parents still name them. A daemon that left its parent on
//! purpose is not one of them, and stays.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::CHILD;
use super::proc_table::{ProcessId, descendants};

/// How long the work may take to end itself; Puppet needs about a second to write its report.
const GRACE: Duration = Duration::from_secs(10);
/// How long what the work left behind may take.
const REST_GRACE: Duration = Duration::from_secs(2);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Ends the work of a run and everything that it started. Returns when all of it is gone, or was killed.
pub(super) async fn terminate(directory: &Path) {
    let Some(work) = ProcessId::read(&directory.join(CHILD)) else { return };
    let mut family: BTreeSet<ProcessId> = descendants(work).into_iter().collect();
    work.signal(Signal::TERM);
    let deadline = Instant::now() + GRACE;
    while work.is_alive() && Instant::now() < deadline {
        family.extend(descendants(work));
        sleep(LOOK_INTERVAL).await;
    }
    collect_grandchildren(&mut family);
    signal_all(&family, Signal::TERM);
    let deadline = Instant::now() + REST_GRACE;
    while family.iter().any(|process| process.is_alive()) && Instant::now() < deadline {
        collect_grandchildren(&mut family);
        sleep(LOOK_INTERVAL).await;
    }
    family.extend(descendants(work));
    collect_grandchildren(&mut family);
    work.signal(Signal::KILL);
    signal_all(&family, Signal::KILL);
}

/// Adds what the known ones started since.
fn collect_grandchildren(family: &mut BTreeSet<ProcessId>) {
    let living: Vec<ProcessId> = family.iter().copied().filter(|process| process.is_alive()).collect();
    for process in living {
        family.extend(descendants(process));
    }
}

fn signal_all(family: &BTreeSet<ProcessId>, signal: Signal) {
    for process in family {
        process.signal(signal);
    }
}
