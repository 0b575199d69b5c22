//! The summary file: what a campaign has done so far, so that it can be stopped at any moment and go on later.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::evidence::Evidence;

/// Counts of one round, or of many.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Tally {
    /// Moments at which something was killed.
    pub(crate) crashes: u64,
    pub(crate) service_kills: u64,
    pub(crate) agent_kills: u64,
    /// Ends of the service in good order, which are no crashes.
    pub(crate) terminations: u64,
    pub(crate) jobs: u64,
    /// Nodes of all jobs.
    pub(crate) nodes: u64,
    pub(crate) starts: u64,
    pub(crate) executions: u64,
    pub(crate) events: u64,
    /// Nodes by state.
    pub(crate) states: BTreeMap<String, u64>,
    /// Nodes that did not finish, by cause.
    pub(crate) causes: BTreeMap<String, u64>,
    /// Nodes whose agent told later.
    pub(crate) late: u64,
}

impl Tally {
    /// Adds what the evidence holds.
    pub(crate) fn count(&mut self, evidence: &Evidence) {
        self.jobs += evidence.jobs.len() as u64;
        self.executions += evidence.executions.len() as u64;
        self.events += evidence.events.len() as u64;
        for job in evidence.jobs.values() {
            for (place, node) in job.row.nodes.iter().enumerate() {
                self.nodes += 1;
                self.starts += u64::from(node.run.is_some());
                self.late += u64::from(job.shown_nodes.get(place).is_some_and(|shown| shown.get("late").is_some()));
                *self.states.entry(node.state.clone()).or_default() += 1;
                if let Some(cause) = &node.cause {
                    *self.causes.entry(cause.clone()).or_default() += 1;
                }
            }
        }
    }

    fn add(&mut self, other: &Self) {
        self.crashes += other.crashes;
        self.service_kills += other.service_kills;
        self.agent_kills += other.agent_kills;
        self.terminations += other.terminations;
        self.jobs += other.jobs;
        self.nodes += other.nodes;
        self.starts += other.starts;
        self.executions += other.executions;
        self.events += other.events;
        self.late += other.late;
        for (sums, more) in [(&mut self.states, &other.states), (&mut self.causes, &other.causes)] {
            for (word, count) in more {
                *sums.entry(word.clone()).or_default() += count;
            }
        }
    }
}

/// What is wrong, and where everything of that round is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Finding {
    pub(crate) round: u64,
    pub(crate) seed: u64,
    pub(crate) kept: String,
    pub(crate) violations: Vec<String>,
}

/// The file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) seed: u64,
    pub(crate) rounds: u64,
    pub(crate) seconds: u64,
    pub(crate) total: Tally,
    pub(crate) findings: Vec<Finding>,
}

impl Summary {
    /// What an earlier campaign of this seed left, or a new one.
    pub(crate) fn load(path: &Path, seed: u64) -> Self {
        match fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).unwrap(),
            Err(_) => Self { seed, ..Self::default() },
        }
    }

    /// Adds a round and writes the file, whole or not at all.
    pub(crate) fn add(&mut self, path: &Path, tally: &Tally, seconds: u64, finding: Option<Finding>) {
        self.rounds += 1;
        self.seconds += seconds;
        self.total.add(tally);
        self.findings.extend(finding);
        let fresh = path.with_extension("new");
        fs::write(&fresh, serde_json::to_string_pretty(self).unwrap() + "\n").unwrap();
        fs::rename(fresh, path).unwrap();
    }
}
