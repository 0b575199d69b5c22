//! Job events: the append-only truth of what happened.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Cause, CertName, EventSeq, JobId, NodeState};

/// The type of a job event (orchestrator API, §12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A node's start was committed.
    NodeRunning,
    /// A node ended well.
    NodeFinished,
    /// A node's run failed.
    NodeFailed,
    /// A node's run was impossible, or its outcome is unknown.
    NodeErrored,
    /// A node will never start.
    NodeSkipped,
    /// A stop was accepted.
    JobStopping,
    /// The job is over, whatever the outcome. The last event of a job, unless it broke down.
    JobFinished,
    /// The job broke down. Then this is its last event.
    JobAborted,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::NodeRunning,
        Self::NodeFinished,
        Self::NodeFailed,
        Self::NodeErrored,
        Self::NodeSkipped,
        Self::JobStopping,
        Self::JobFinished,
        Self::JobAborted,
    ];

    /// The name on the wire and in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NodeRunning => "node_running",
            Self::NodeFinished => "node_finished",
            Self::NodeFailed => "node_failed",
            Self::NodeErrored => "node_errored",
            Self::NodeSkipped => "node_skipped",
            Self::JobStopping => "job_stopping",
            Self::JobFinished => "job_finished",
            Self::JobAborted => "job_aborted",
        }
    }

    /// The kind of that wire name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// True when no event of the same job may follow.
    #[must_use]
    pub fn is_last(self) -> bool {
        matches!(self, Self::JobFinished | Self::JobAborted)
    }

    /// The event that tells of a node's terminal state.
    #[must_use]
    pub fn of_end(state: NodeState) -> Option<Self> {
        match state {
            NodeState::Finished => Some(Self::NodeFinished),
            NodeState::Failed => Some(Self::NodeFailed),
            NodeState::Errored => Some(Self::NodeErrored),
            NodeState::Skipped => Some(Self::NodeSkipped),
            NodeState::New | NodeState::Ready | NodeState::Running => None,
        }
    }
}

/// One committed event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Its number.
    pub seq: EventSeq,
    /// The job that it belongs to.
    pub job: JobId,
    /// Its type.
    pub kind: EventKind,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The node that it is about.
    pub node: Option<CertName>,
    /// Why the node did not finish, for the events that say so.
    pub cause: Option<Cause>,
    /// What `details.detail` shows for a node, and what `details` shows for a job event.
    pub detail: Value,
    /// The sentence for people.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_name(kind.name()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
