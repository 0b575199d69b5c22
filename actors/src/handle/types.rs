//! What the handle takes and gives besides commands: errors, limits, live state, ports.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::model::{CertName, JobId, JobKind, JobState, NodeCounts, NodeState, Scope};
use crate::ports::{Clock, Directory, DirectoryError, JobStore, StoreError, Transport};

/// What a deploy would be.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// Sorted.
    pub nodes: Arc<[CertName]>,
    /// For each node how many must finish one after the other before it.
    pub levels: Vec<u32>,
    /// The tiers that order it.
    pub order: Vec<Scope>,
    /// For each node its tier.
    pub tiers: Vec<Option<u32>>,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OrchestratorError {
    #[error("Unknown environment {0}")]
    UnknownEnvironment(String),
    #[error("The environment {0} has no applications and no nodes")]
    EmptyEnvironment(String),
    /// `target` is the summary word of API §15 (25): `nodes`, `query`, `whole environment` or the application.
    #[error("The target {target} of environment {environment} has no nodes")]
    EmptyTarget { environment: String, target: String },
    #[error("The environment {environment} has a dependency cycle: {}", cycle.join(" -> "))]
    DependencyCycle { environment: String, cycle: Vec<String> },
    #[error("Unknown task {task} in environment {environment}")]
    UnknownTask { task: String, environment: String },
    /// A key of the request is refused by the engine, with the reason.
    #[error("{message}")]
    Invalid { key: String, message: String },
    /// `query` and `node_group` scopes until their sources exist.
    #[error("{0}")]
    QueryUnsupported(String),
    #[error("Unknown job {0}")]
    UnknownJob(JobId),
    /// The scope has nodes on which its owner may not act.
    #[error("{refused} of the {of} nodes are beyond what you may act on, such as {example}")]
    OutOfReach { refused: u32, of: u32, example: CertName },
    /// Too many commands at once; try again.
    #[error("too many commands are being handled")]
    Busy,
    /// The service is starting, draining or shutting down.
    #[error("{0}")]
    Unavailable(String),
    /// No answer in time: the command may or may not have been carried out.
    #[error("no answer within {0:?}: the command may or may not have been carried out")]
    Unknown(Duration),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// Limits and clocks of the engine (DESIGN §2). Every field has the default of the documentation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub concurrent_compiles: u32,
    pub concurrent_runs: u32,
    pub concurrent_tasks: u32,
    pub compile_hold: Duration,
    pub deploy_timeout: Duration,
    pub task_timeout: Duration,
    pub job_timeout: Duration,
    pub connect_timeout: Duration,
    pub lost_contact: Duration,
    pub cancel_timeout: Duration,
    pub abandoned_hold: Duration,
    pub resend_window: Duration,
    pub resend_to_pxp_agents: bool,
    /// `broker.settle_time`.
    pub settle_time: Duration,
    /// How long one status query may stay unanswered.
    pub status_timeout: Duration,
    /// How often a silent run is asked about.
    pub status_interval: Duration,
    /// How long an actor may take to show that it is alive.
    pub hang_timeout: Duration,
    /// The most nodes of one job.
    pub job_nodes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            concurrent_compiles: 8,
            concurrent_runs: 200,
            concurrent_tasks: 250,
            compile_hold: seconds(30),
            deploy_timeout: seconds(3_600),
            task_timeout: seconds(3_600),
            job_timeout: seconds(86_400),
            connect_timeout: seconds(30),
            lost_contact: seconds(420),
            cancel_timeout: seconds(30),
            abandoned_hold: seconds(600),
            resend_window: seconds(3_600),
            resend_to_pxp_agents: true,
            settle_time: seconds(90),
            status_timeout: seconds(12),
            status_interval: seconds(120),
            hang_timeout: seconds(60),
            job_nodes: 200_000,
        }
    }
}

/// Which limit keeps a job from starting more nodes at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binding {
    /// The job's own `concurrency`.
    Concurrency,
    /// `limits.concurrent_compiles`.
    ConcurrentCompiles,
    /// `limits.concurrent_runs`.
    ConcurrentRuns,
    /// `limits.concurrent_tasks`.
    ConcurrentTasks,
    /// Nothing is started: the job was restored from a backup and is not resumed.
    Restored,
    /// Nothing is started: the service is being drained.
    Draining,
    /// Nodes are busy with another run of the same kind.
    NodeTurn,
    /// Nodes are not connected.
    Connection,
    /// Dependencies.
    Dependencies,
}

/// Where a node of a live job stands, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStanding {
    pub job: JobId,
    pub kind: JobKind,
    /// As committed.
    pub state: NodeState,
    pub standing: Standing,
}

/// Why a node of a live job does not go on by itself at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Its run is over, or it will have none.
    Over,
    /// It runs, until then at the latest.
    Runs {
        since: DateTime<Utc>,
        until: DateTime<Utc>,
        /// Its agent is not connected.
        away: bool,
    },
    /// A stop was accepted: it will not start.
    Stopping,
    /// The job was restored from a backup and is not resumed.
    Restored,
    /// The service is being drained.
    Draining,
    /// It is not connected, and given up then.
    Away { until: DateTime<Utc> },
    /// Another run of the same kind has the node; `None`: one that ended without its agent's word.
    Turn { job: Option<JobId> },
    /// The job runs as many nodes at once as it may.
    Concurrency { limit: u32 },
    /// A shared limit is used up.
    Slot(SlotUsage),
    /// So many nodes must finish first; some of them by name.
    Depends { count: u32, on: Vec<CertName> },
    /// Nothing: it starts as soon as the service comes to it.
    Next,
}

/// How much of a shared limit is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotUsage {
    /// The key of the limit, without its section.
    pub limit: &'static str,
    /// May pass `of` only by what recovery found committed.
    pub used: u32,
    pub of: u32,
}

impl SlotUsage {
    /// Whether it is the limit of that name.
    pub(crate) fn is_of(&self, binding: Binding) -> bool {
        let limit = match binding {
            Binding::ConcurrentCompiles => "concurrent_compiles",
            Binding::ConcurrentRuns => "concurrent_runs",
            Binding::ConcurrentTasks => "concurrent_tasks",
            Binding::Concurrency
            | Binding::Restored
            | Binding::Draining
            | Binding::NodeTurn
            | Binding::Connection
            | Binding::Dependencies => return false,
        };
        self.limit == limit
    }
}

/// The engine at a glance: what is committed of the jobs that are not over. Costs no work per node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// Jobs by state; only states that occur.
    pub jobs: BTreeMap<JobState, u32>,
    /// Their nodes by state.
    pub nodes: NodeCounts,
    pub slots: Vec<SlotUsage>,
    /// Runs that ended without their agent's word and still count.
    pub holds: u32,
    /// Commands that are being handled.
    pub commands: usize,
}

/// A live job's committed state, from its actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveJob {
    pub state: JobState,
    pub counts: NodeCounts,
    /// `None` when nothing waits.
    pub binding: Option<Binding>,
    /// When the last of the nodes that are not connected is given up; `None` when the job waits for none.
    pub away_until: Option<DateTime<Utc>>,
}

/// The four ports.
#[derive(Clone)]
pub struct Ports {
    pub store: Arc<dyn JobStore>,
    pub transport: Arc<dyn Transport>,
    pub directory: Arc<dyn Directory>,
    pub clock: Arc<dyn Clock>,
}
