//! The promises, checked against the evidence alone: nothing here knows how the engine works.

mod events;
mod jobs;
mod limits;
mod runs;

use std::collections::BTreeMap;

use super::evidence::{Evidence, Job, NodeRow};
use super::runs_log::{End, Execution};
use super::timeline::Timeline;

/// What a check found wrong, for people.
pub(crate) type Violations = Vec<String>;

/// Causes that make no claim about the run: it may have taken place, to any end, or not at all.
pub(crate) const CLAIM_NOTHING: [&str; 4] = ["timed_out", "contact_lost", "outcome_unknown", "abandoned"];

/// Applies every check.
pub(crate) fn all(evidence: &Evidence, timeline: &Timeline) -> Violations {
    let known = Known::new(evidence);
    let mut violations = evidence.store_faults.clone();
    violations.extend(jobs::check(evidence));
    violations.extend(events::check(evidence));
    violations.extend(runs::check(evidence, &known, timeline));
    violations.extend(limits::check(evidence, &known, timeline));
    violations
}

/// The evidence by transaction.
pub(crate) struct Known<'a> {
    /// Which job and node a started transaction belongs to.
    pub(crate) starts: BTreeMap<&'a str, (&'a Job, &'a str, &'a NodeRow)>,
    pub(crate) executions: BTreeMap<&'a str, Vec<&'a Execution>>,
}

impl<'a> Known<'a> {
    fn new(evidence: &'a Evidence) -> Self {
        let mut starts = BTreeMap::new();
        for job in evidence.jobs.values() {
            for (name, row) in job.nodes() {
                if let Some(run) = &row.run {
                    starts.insert(run.as_str(), (job, name, row));
                }
            }
        }
        let mut executions: BTreeMap<&str, Vec<&Execution>> = BTreeMap::new();
        for execution in &evidence.executions {
            executions.entry(&execution.run).or_default().push(execution);
        }
        Self { starts, executions }
    }

    pub(crate) fn executions(&self, run: Option<&String>) -> &[&'a Execution] {
        run.and_then(|run| self.executions.get(run.as_str())).map_or(&[], Vec::as_slice)
    }
}

/// The exit code that a run has when nothing disturbs it: the runs' script goes by the same rule.
pub(crate) fn expected_code(run: &str) -> u8 {
    u8::from(run.ends_with('f'))
}

/// Whether it ran to its end with that code.
pub(crate) fn ran_to(execution: &Execution, code: u8) -> bool {
    execution.end.is_some_and(|(_, end)| end == End::Code(code))
}
