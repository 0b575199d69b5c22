//! What work leaves running when somebody else kills it: the commands that it was waiting for.
//!
//! Puppet gives every command a session of its own, so neither a group nor a session tells afterwards whose they were, and
//! who has lost its parent has the same new one as a daemon that left on purpose. So children are noted while the work
//! lives: who was its own child, and lives on when the work was killed, was being waited for. A daemon never is one: its
//! parent is the command that started it. What began in the moment before the end is not known, and stays.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use super::proc_table::{ProcessId, children, descendants, name_of};

/// How long they may take to end themselves.
const GRACE: Duration = Duration::from_secs(2);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How many are named.
const NAMED: usize = 5;

/// The children of the work, as far as they were seen.
#[derive(Debug)]
pub(super) struct Children {
    work: Option<ProcessId>,
    seen: BTreeSet<ProcessId>,
}

impl Children {
    /// Of that process; of none where nothing is to be ended.
    pub(super) fn of(work: Option<ProcessId>) -> Self {
        Self { work, seen: BTreeSet::new() }
    }

    /// Notes who is there now.
    pub(super) fn look(&mut self) {
        if let Some(work) = self.work {
            let now = children(work);
            // Not while it ends: its children may be somebody else's by then.
            if work.is_alive() {
                self.seen = now.into_iter().collect();
            }
        }
    }

    /// Ends those that live on, with all that they started and that did not leave them; says who they were.
    pub(super) fn end(self) -> Option<String> {
        let mut family: BTreeSet<ProcessId> = self.seen.into_iter().filter(|process| process.is_alive()).collect();
        if family.is_empty() {
            return None;
        }
        let left: Vec<String> =
            family.iter().map(|process| format!("{} ({})", process.pid, name_of(*process))).collect();
        grow(&mut family);
        family.iter().for_each(|process| process.signal(Signal::TERM));
        let deadline = Instant::now() + GRACE;
        while family.iter().any(|process| process.is_alive()) && Instant::now() < deadline {
            grow(&mut family);
            std::thread::park_timeout(LOOK_INTERVAL);
        }
        grow(&mut family);
        family.iter().for_each(|process| process.signal(Signal::KILL));
        let more = left.len().saturating_sub(NAMED);
        let named = left.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
        Some(if more > 0 { format!("{named} and {more} more") } else { named })
    }
}

/// Adds what the living ones started.
fn grow(family: &mut BTreeSet<ProcessId>) {
    let living: Vec<ProcessId> = family.iter().copied().filter(|process| process.is_alive()).collect();
    for process in living {
        family.extend(descendants(process));
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    /// A shell that started these two and waits: a command, and a daemon that left the one that started it.
    fn work(dir: &std::path::Path) -> Child {
        let script = "setsid sh -c 'sleep 600 & echo $$ $! > cmd.new; mv cmd.new cmd; wait' & \
                      sh -c 'setsid sleep 600 & echo $! > daemon'; echo > ready; wait";
        Command::new("sh").args(["-c", script]).current_dir(dir).spawn().unwrap()
    }

    fn ids(dir: &std::path::Path, name: &str) -> Vec<ProcessId> {
        let text = std::fs::read_to_string(dir.join(name)).unwrap();
        text.split_whitespace().map(|pid| ProcessId::of(pid.parse().unwrap()).unwrap()).collect()
    }

    #[test]
    fn who_was_waited_for_is_ended_with_its_children_and_a_daemon_stays() {
        let dir = tempfile::tempdir().unwrap();
        let mut work = work(dir.path());
        // Whoever started the daemon is gone by then.
        while !["cmd", "ready"].iter().all(|name| dir.path().join(name).exists()) {
            std::thread::yield_now();
        }
        let (command, daemon) = (ids(dir.path(), "cmd"), ids(dir.path(), "daemon")[0]);
        let mut known = Children::of(ProcessId::of(work.id()));
        known.look();
        work.kill().unwrap();
        work.wait().unwrap();
        known.look();
        let told = known.end().unwrap();
        assert!(told.starts_with(&format!("{} (", command[0].pid)) && !told.contains(','), "{told}");
        while command.iter().any(|process| process.is_alive()) {
            std::thread::yield_now();
        }
        assert!(daemon.is_alive(), "it left on purpose");
        daemon.signal(Signal::KILL);
    }

    #[test]
    fn of_nobody_and_of_the_childless_nothing_is_ended() {
        let mut nobody = Children::of(None);
        nobody.look();
        assert_eq!(nobody.end(), None);
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let mut known = Children::of(ProcessId::of(child.id()));
        known.look();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(known.end(), None);
    }
}
