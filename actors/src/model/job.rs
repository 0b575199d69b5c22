//! A job: its states, and everything that is fixed when it is created.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Action, Attempt, CertName, EnvironmentName, NodeIndex, Origin, RunKey, Shown, TaskName, TransactionId};

/// The state of a job (orchestrator API, §11.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Stored.
    New,
    /// Its nodes are known; waits to be scheduled.
    Ready,
    /// At least one node started or may start.
    Running,
    /// A stop was accepted, some node still runs.
    Stopping,
    /// A stop was accepted, nothing runs any more.
    Stopped,
    /// Every node finished.
    Finished,
    /// Over without a stop, some node did not finish.
    Failed,
}

impl JobState {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 7] =
        [Self::New, Self::Ready, Self::Running, Self::Stopping, Self::Stopped, Self::Finished, Self::Failed];

    /// The name on the wire and in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Finished => "finished",
            Self::Failed => "failed",
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
        matches!(self, Self::Stopped | Self::Finished | Self::Failed)
    }
}

/// How a job is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopMode {
    /// Running nodes finish, no new one starts.
    Plain,
    /// Running nodes are ended as well, where the agent can.
    Force,
}

/// What a job runs on its nodes; also the kind of turn that a node takes (one run per node and kind).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// Puppet runs.
    Deploy,
    /// A task.
    Task,
}

impl JobKind {
    /// The name on the wire (`command` and `type`) and in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Task => "task",
        }
    }

    /// The word that messages of this kind use for a run (API §12).
    #[must_use]
    pub fn run_word(self) -> &'static str {
        match self {
            Self::Deploy => "puppet run",
            Self::Task => "task",
        }
    }
}

/// A job's type, as lists show and filter it (API §5.3): its kind, and whether a plan job runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobType {
    Deploy,
    Task,
    PlanTask,
}

impl JobType {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Task => "task",
            Self::PlanTask => "plan_task",
        }
    }
}

impl JobHeader {
    /// The job's type.
    #[must_use]
    pub fn job_type(&self) -> JobType {
        match (self.kind, self.origin.plan) {
            (JobKind::Deploy, _) => JobType::Deploy,
            (JobKind::Task, None) => JobType::Task,
            (JobKind::Task, Some(_)) => JobType::PlanTask,
        }
    }
}

/// Who created a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The subject's id, a UUID as text.
    pub id: String,
    /// The login, by which `order_by=owner` sorts.
    pub login: String,
    /// The name to show.
    #[serde(default)]
    pub display_name: String,
    /// The role of the token that created the job.
    #[serde(default)]
    pub role: String,
}

/// What lists show of a job that is fixed at its creation: light, whatever the number of its nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobHeader {
    pub kind: JobKind,
    /// The task's name; `None` for deploy jobs.
    pub task: Option<TaskName>,
    pub environment: Option<EnvironmentName>,
    pub options: Shown,
    pub owner: Owner,
    pub description: String,
    pub userdata: Value,
    pub created_at: DateTime<Utc>,
    pub concurrency: Option<NonZeroU32>,
    pub run_timeout: Duration,
    pub node_count: u32,
    /// What the job belongs to.
    #[serde(default)]
    pub origin: Origin,
}

/// Everything about a job that is fixed at its creation and committed with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The root of all transaction ids of the job.
    pub run_key: RunKey,
    /// What runs on the nodes.
    pub action: Arc<Action>,
    /// The environment asked for; `None` where the request said `""`.
    pub environment: Option<EnvironmentName>,
    /// The normalized request, shown as `options`.
    pub options: Shown,
    /// What the job belongs to.
    #[serde(default)]
    pub origin: Origin,
    /// Who created the job.
    pub owner: Owner,
    /// The user's description, may be empty.
    pub description: String,
    /// Arbitrary data of the user, echoed.
    pub userdata: Value,
    /// When the job was created.
    pub created_at: DateTime<Utc>,
    /// `limits.job_timeout` after creation: nodes not started by then are skipped.
    pub start_deadline: DateTime<Utc>,
    /// The most nodes of this job that may run at once; `None` is unlimited.
    pub concurrency: Option<NonZeroU32>,
    /// The longest that one run may take.
    pub run_timeout: Duration,
    /// The nodes, sorted by certname, each once.
    pub nodes: Arc<[CertName]>,
    /// Dependencies between them: the second may start only when the first has finished. Sorted, each once. An index
    /// past the last node is a junction: it stands for no node and is finished as soon as all before it are, so that
    /// what thousands of nodes consume from thousands of others stays linear in size.
    pub edges: Arc<[(NodeIndex, NodeIndex)]>,
}

impl JobSpec {
    /// Deploy or task.
    #[must_use]
    pub fn kind(&self) -> JobKind {
        self.action.kind()
    }

    /// The part that lists show.
    #[must_use]
    pub fn header(&self) -> JobHeader {
        let task = match &*self.action {
            Action::Deploy(_) => None,
            Action::Task(task) => Some(task.task.clone()),
        };
        JobHeader {
            kind: self.kind(),
            task,
            environment: self.environment.clone(),
            options: self.options.clone(),
            owner: self.owner.clone(),
            description: self.description.clone(),
            userdata: self.userdata.clone(),
            created_at: self.created_at,
            concurrency: self.concurrency,
            run_timeout: self.run_timeout,
            origin: self.origin,
            node_count: u32::try_from(self.nodes.len()).unwrap_or(u32::MAX),
        }
    }

    /// The certname at `node`.
    ///
    /// # Panics
    /// When the index is not of this job.
    #[must_use]
    pub fn node(&self, node: NodeIndex) -> &CertName {
        &self.nodes[node.at()]
    }

    /// The place of a certname in this job.
    #[must_use]
    pub fn index_of(&self, name: &CertName) -> Option<NodeIndex> {
        let place = self.nodes.binary_search(name).ok()?;
        u32::try_from(place).ok().map(NodeIndex)
    }

    /// The transaction id of an attempt on a node of this job.
    #[must_use]
    pub fn transaction(&self, node: NodeIndex, attempt: Attempt) -> TransactionId {
        TransactionId::derive(self.run_key, self.node(node), attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for state in JobState::ALL {
            assert_eq!(JobState::from_name(state.name()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
    }
}
