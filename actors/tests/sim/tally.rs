//! What happened in all the seeds together, so that nobody takes for tested what never happened.

use std::collections::BTreeMap;

use bunraku_actors::model::{Cause, JobState, NodeState};

/// Counts by what happened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally(BTreeMap<String, u64>);

impl Tally {
    /// It happened once more.
    pub(crate) fn count(&mut self, what: &str) {
        match self.0.get_mut(what) {
            Some(count) => *count += 1,
            None => drop(self.0.insert(what.to_owned(), 1)),
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what.clone()).or_default() += count;
        }
    }

    /// What belongs to a thorough campaign and is missing.
    pub(crate) fn never_seen(&self) -> Vec<String> {
        let happenings = [
            "crash",
            "kill",
            "shutdown",
            "restore",
            "resume",
            "panic",
            "twin",
            "wipe",
            "reboot",
            "agent restart",
            "clock jump",
            "store down",
            "append failed",
            "lost frame",
            "doubled answer",
            "provisional after the end",
            "resend",
            "hold",
            "hold ran out",
            "late answer",
            "stop plain",
            "stop force",
            "drain",
            "job aborted",
        ];
        let jobs =
            [JobState::Finished, JobState::Failed, JobState::Stopped].map(|state| format!("job {}", state.name()));
        let nodes = NodeState::ALL.into_iter().filter(|state| state.is_terminal());
        let nodes = nodes.map(|state| format!("node {}", state.name()));
        // These are words of agents; the engine has tests of its own for how it reads them.
        let read = [
            Cause::RefusedByAgent,
            Cause::RefusedByPolicy,
            Cause::Locked,
            Cause::Disabled,
            Cause::TaskFilesUnreachable,
        ];
        let causes = Cause::ALL.into_iter().filter(|cause| !read.contains(cause));
        let causes = causes.map(|cause| format!("cause {}", cause.name()));
        let all = happenings.into_iter().map(ToOwned::to_owned).chain(jobs).chain(nodes).chain(causes);
        all.filter(|what| !self.0.contains_key(what)).collect()
    }

    /// One line for each.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|(what, count)| format!("{count:>12}  {what}"))
    }
}
