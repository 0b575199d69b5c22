//! A node's states, its wire names, and how a node can end.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The state of a node within a job (orchestrator API, §11.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Waits for its dependencies.
    New,
    /// Dependencies done; waits for a slot, a connection or its turn.
    Ready,
    /// Its start is committed and no end is.
    Running,
    /// The run succeeded.
    Finished,
    /// The run took place and failed.
    Failed,
    /// The run could not take place, or its outcome is unknown.
    Errored,
    /// Never started: a dependency did not finish, or the job was stopped.
    Skipped,
}

impl NodeState {
    /// Every state, in the order of a node's life.
    pub const ALL: [Self; 7] =
        [Self::New, Self::Ready, Self::Running, Self::Finished, Self::Failed, Self::Errored, Self::Skipped];

    /// The name on the wire and in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Errored => "errored",
            Self::Skipped => "skipped",
        }
    }

    /// The state of that wire name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// True for the states that no transition leaves.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Errored | Self::Skipped)
    }
}

/// Why a node did not finish, machine-readable. Listed for users in `docs/http-api.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// No session of the node within `limits.connect_timeout`.
    NotConnected,
    /// The request never arrived and was not sent again.
    Undeliverable,
    /// The agent refused the request (unknown module, invalid input).
    RefusedByAgent,
    /// The node's own policy forbids the action.
    RefusedByPolicy,
    /// Another Puppet run held the node's lock for too long.
    Locked,
    /// The Puppet agent is administratively disabled on the node.
    Disabled,
    /// The run took place and failed.
    RunFailed,
    /// The agent could not fetch the task's files.
    TaskFilesUnreachable,
    /// The run passed its deadline.
    TimedOut,
    /// The agent was away, or silent, for `limits.lost_contact`.
    ContactLost,
    /// The agent does not know how the run ended.
    OutcomeUnknown,
    /// Ended by force without the agent's confirmation: it may still run.
    Abandoned,
    /// Ended by force, confirmed by the agent.
    StoppedByForce,
    /// A node that it depends on did not finish.
    DependencyFailed,
    /// The job was stopped before the node started.
    JobStopped,
    /// The job's own deadline passed before the node started.
    JobTimedOut,
    /// The job could not be carried on.
    JobBroken,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 17] = [
        Self::NotConnected,
        Self::Undeliverable,
        Self::RefusedByAgent,
        Self::RefusedByPolicy,
        Self::Locked,
        Self::Disabled,
        Self::RunFailed,
        Self::TaskFilesUnreachable,
        Self::TimedOut,
        Self::ContactLost,
        Self::OutcomeUnknown,
        Self::Abandoned,
        Self::StoppedByForce,
        Self::DependencyFailed,
        Self::JobStopped,
        Self::JobTimedOut,
        Self::JobBroken,
    ];

    /// The name on the wire and in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotConnected => "not_connected",
            Self::Undeliverable => "undeliverable",
            Self::RefusedByAgent => "refused_by_agent",
            Self::RefusedByPolicy => "refused_by_policy",
            Self::Locked => "locked",
            Self::Disabled => "disabled",
            Self::RunFailed => "run_failed",
            Self::TaskFilesUnreachable => "task_files_unreachable",
            Self::TimedOut => "timed_out",
            Self::ContactLost => "contact_lost",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Abandoned => "abandoned",
            Self::StoppedByForce => "stopped_by_force",
            Self::DependencyFailed => "dependency_failed",
            Self::JobStopped => "job_stopped",
            Self::JobTimedOut => "job_timed_out",
            Self::JobBroken => "job_broken",
        }
    }

    /// The cause of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.name() == name)
    }

    /// True when the run may still be going on although the node has ended: such an end leaves a hold.
    #[must_use]
    pub fn leaves_hold(self) -> bool {
        matches!(self, Self::TimedOut | Self::ContactLost | Self::OutcomeUnknown | Self::Abandoned | Self::JobBroken)
    }
}

/// How a started node ended. Decided once; the first committed end wins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeEnd {
    /// `Finished`, `Failed` or `Errored` (skips are decided in bulk and carry no result).
    pub state: NodeState,
    /// Absent exactly for `Finished`.
    pub cause: Option<Cause>,
    /// The message of the node's last event (API §12).
    pub message: String,
    /// The node's `result`, which is also the `detail` of its last event (API §5.4); `Value::Null` when there is none.
    pub result: Value,
    /// What `details` shows besides the message (API §5.4): an object, may be empty.
    pub details: Value,
    /// The Puppet report's transaction uuid.
    pub transaction_uuid: Option<String>,
    /// Resource events of the Puppet report in PuppetDB's shape (API §5.5), bounded by the agent.
    pub resource_events: Vec<Value>,
}

/// What an agent said of a run after its node had ended without its word: kept with the node, and changes nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LateAnswer {
    /// When it came.
    pub at: DateTime<Utc>,
    /// The state in which the node would have ended by it.
    pub state: NodeState,
    /// The cause of that; absent exactly for `Finished`.
    pub cause: Option<Cause>,
    /// The message that its last event would have had.
    pub message: String,
    /// The result that it would have had; `Value::Null` when there is none.
    pub result: Value,
}

impl LateAnswer {
    /// An end that came too late.
    #[must_use]
    pub fn of(end: NodeEnd, at: DateTime<Utc>) -> Self {
        Self { at, state: end.state, cause: end.cause, message: end.message, result: end.result }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for state in NodeState::ALL {
            assert_eq!(NodeState::from_name(state.name()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
        for cause in Cause::ALL {
            assert_eq!(Cause::from_name(cause.name()), Some(cause));
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.name());
        }
        assert_eq!(NodeState::from_name("stopped"), None);
    }
}
