//! The sentences of events and results (API §12, §5.4), in one place.

use serde_json::{Value, json};

use crate::model::{CertName, JobKind};

/// What stands for the certname in a message about many nodes; readers replace it.
pub(super) const NODE: &str = "<node>";

/// Makes the messages of one kind of job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words(JobKind);

impl Words {
    /// The messages of this kind.
    #[must_use]
    pub fn of(kind: JobKind) -> Self {
        Self(kind)
    }

    /// A start.
    #[must_use]
    pub fn started(self, node: &CertName) -> String {
        format!("Started {} on {node} ...", self.0.run_word())
    }

    /// A success; the trailing blank is what clients of Puppet Enterprise were built on.
    #[must_use]
    pub fn succeeded(self, node: &CertName) -> String {
        format!("Finished {} on {node} - Success! ", self.0.run_word())
    }

    /// A run that took place and failed.
    #[must_use]
    pub fn failed(self, node: &CertName) -> String {
        format!("Finished {} on {node} - Failed! ", self.0.run_word())
    }

    /// A run that was impossible, or whose outcome is unknown.
    #[must_use]
    pub fn errored(self, node: &CertName, reason: &str) -> String {
        let what = match self.0 {
            JobKind::Deploy => "puppet",
            JobKind::Task => "task",
        };
        format!("Error running {what} on {node}: {reason}")
    }

    /// Nodes that will never start; their names are put in by readers.
    #[must_use]
    pub fn skipped(self, reason: &str) -> String {
        format!("Skipped {} on {NODE}: {reason}", self.0.run_word())
    }
}

/// The result of a node whose run was impossible.
pub(super) fn execution_failure(node: &CertName, reason: &str) -> Value {
    json!({ "_error": {
        "kind": "puppetlabs.orchestrator/execution-failure",
        "msg": reason,
        "details": { "node": node.as_str() },
    } })
}
