//! Port of the store: every change is a [`Write`], committed in groups, and readers see committed state only.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::model::{
    Action, Attempt, Cause, CauseCounts, CertName, EventRecord, EventSeq, JobHeader, JobId, JobKind, JobSpec, JobState,
    JobType, LateAnswer, NodeCounts, NodeEnd, NodeIndex, NodeState, OnceKey, PlanId, StopMode, TransactionId,
};

/// Why the store did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It cannot take writes now (disk full, locked, read-only); what was handed in may be tried again.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// It is broken or shut down; trying again is of no use.
    #[error("the store failed: {0}")]
    Failed(String),
    /// What is stored of the thing asked for is damaged; the rest is well. Trying again is of no use.
    #[error("what is stored cannot be read: {0}")]
    Unreadable(String),
    /// What is committed does not let it happen; nothing is wrong with the store.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Why something may not happen in the state that is committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The command was carried out before, under the same key, by this job.
    #[error("job {0} is the work of the same command")]
    Repeated(JobId),
    /// The command was carried out before, under the same key; it made no job.
    #[error("the same command was carried out before")]
    Again,
    /// The key belongs to another command.
    #[error("the key '{0}' was used for another command")]
    OtherCommand(String),
    /// There is no such plan job.
    #[error("there is no plan job {0}")]
    UnknownPlan(PlanId),
    /// The plan job is over.
    #[error("plan job {0} is already finished")]
    PlanOver(PlanId),
}

/// A job to create: the specification and the state of each of its nodes at the start.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// All that is fixed.
    pub spec: Arc<JobSpec>,
    /// The first entry of its state history: `New` for deploy jobs, `Ready` for task jobs (API §15, 26).
    pub first_state: JobState,
    /// Whether node `i` starts as `Ready` (no dependencies) or as `New`.
    pub ready: Vec<bool>,
    /// Committed with the job: the same command is refused afterwards, see [`Refusal::Repeated`].
    pub once: Option<OnceKey>,
}

/// One change. A slice of them handed to [`JobStore::append`] is one atomic group, applied in order.
#[derive(Debug, Clone)]
pub enum Write {
    /// The job enters a state that has no event of its own (`Ready`, `Running`).
    JobState { job: JobId, state: JobState, at: DateTime<Utc> },
    /// Dependencies of these nodes are done: `New` → `Ready`. No event.
    NodesReady { job: JobId, nodes: Vec<NodeIndex> },
    /// A start: `Ready` → `Running`, event `node_running`. Must be committed before the request is handed to the transport.
    NodeStarted {
        job: JobId,
        node: NodeIndex,
        attempt: Attempt,
        transaction: TransactionId,
        at: DateTime<Utc>,
        /// The end of the run's time.
        deadline: DateTime<Utc>,
        /// The spool id that the agent named when it connected.
        spool: Option<String>,
        message: String,
    },
    /// The same frame is sent again with a fresh deadline. No event.
    NodeResent { job: JobId, node: NodeIndex, deadline: DateTime<Utc> },
    /// The agent acknowledged the request with a provisional answer. No event.
    NodeAccepted { job: JobId, node: NodeIndex },
    /// A started node ended; event by its state. `hold` leaves a hold that ends by itself at that time.
    NodeEnded { job: JobId, node: NodeIndex, at: DateTime<Utc>, end: Arc<NodeEnd>, hold: Option<DateTime<Utc>> },
    /// A node that never started ended: `New`/`Ready` → `Errored` (not connected). Event `node_errored`.
    NodeUnstarted { job: JobId, node: NodeIndex, at: DateTime<Utc>, end: Arc<NodeEnd> },
    /// These nodes will never start: one decision, counted at once, however many; rows and `node_skipped` events may
    /// follow in chunks. `message` may hold `<node>`, which readers replace by the certname.
    NodesSkipped { job: JobId, nodes: Vec<NodeIndex>, at: DateTime<Utc>, cause: Cause, message: String },
    /// A stop was accepted: state `Stopping` and event `job_stopping` on the first one; `Force` is also remembered on a
    /// job that is already stopping.
    StopAccepted { job: JobId, mode: StopMode, at: DateTime<Utc> },
    /// The job is over: `Finished`, `Failed` or `Stopped`; event `job_finished`. Handed in only after
    /// [`JobStore::settled`].
    JobEnded { job: JobId, state: JobState, at: DateTime<Utc> },
    /// The job broke down: event `job_aborted` with this message, state `Failed` or `Stopped`.
    JobAborted { job: JobId, state: JobState, at: DateTime<Utc>, message: String },
    /// The job was restored from a backup and may start nodes again.
    JobResumed { job: JobId },
    /// A hold is over. What the agent said, if it did, is kept with the node, whatever the state of its job; no event.
    HoldEnded { transaction: TransactionId, late: Option<Box<LateAnswer>> },
}

/// A job as it is committed.
#[derive(Debug, Clone)]
pub struct JobRecord {
    pub id: JobId,
    /// The light part of the specification; recovery finds all of it in [`UnfinishedJob::spec`].
    pub header: Arc<JobHeader>,
    pub state: JobState,
    pub counts: NodeCounts,
    pub causes: CauseCounts,
    /// Oldest first; the last one is open.
    pub history: Vec<StateSpan>,
    pub finished_at: Option<DateTime<Utc>>,
    /// The accepted stop, if any.
    pub stop: Option<StopMode>,
    /// The jobs that run nodes of this one again, oldest first.
    pub retries: Vec<JobId>,
}

/// One entry of a job's state history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateSpan {
    pub state: JobState,
    pub entered: DateTime<Utc>,
    pub left: Option<DateTime<Utc>>,
}

/// A node of a job as it is committed.
#[derive(Debug, Clone)]
pub struct NodeRecord {
    pub node: NodeIndex,
    pub name: CertName,
    pub state: NodeState,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// The last change.
    pub changed_at: DateTime<Utc>,
    pub transaction: Option<TransactionId>,
    pub cause: Option<Cause>,
    /// The message of the node's last event, `""` before the first.
    pub message: String,
    /// The Puppet report's transaction uuid.
    pub transaction_uuid: Option<String>,
    /// `Value::Null` until the node is over and for skipped ones.
    pub result: Value,
    /// An object, may be empty.
    pub details: Value,
    pub resource_events: Vec<Value>,
    /// What the agent said after the node's end, where that left a hold.
    pub late: Option<LateAnswer>,
    /// `EventSeq(0)` before the first event.
    pub latest_event: EventSeq,
}

/// Ordering of the job list (API §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobOrder {
    Owner,
    /// The last state change.
    Timestamp,
    Environment,
    /// Numerically by job number.
    Name,
    State,
}

/// Filter, order and page of the job list. Ties break by job number in the same direction.
#[derive(Debug, Clone)]
pub struct JobQuery {
    pub order: JobOrder,
    pub descending: bool,
    pub offset: u64,
    /// `None` is all.
    pub limit: Option<u64>,
    pub kind: Option<JobType>,
    /// Substring of the task's name.
    pub task: Option<String>,
    pub min_finished: Option<DateTime<Utc>>,
    pub max_finished: Option<DateTime<Utc>>,
    pub state: Option<JobState>,
    /// The owner's login.
    pub owner: Option<String>,
    /// The environment's name; `""` for jobs without one.
    pub environment: Option<String>,
    /// A part of the task's name, the owner's login, the environment's name, the description or the number, in whatever
    /// case.
    pub search: Option<String>,
}

impl JobQuery {
    /// All jobs.
    #[must_use]
    pub fn all(order: JobOrder, descending: bool) -> Self {
        Self {
            order,
            descending,
            offset: 0,
            limit: None,
            kind: None,
            task: None,
            min_finished: None,
            max_finished: None,
            state: None,
            owner: None,
            environment: None,
            search: None,
        }
    }
}

/// A part of a list, with the number of all matching records.
#[derive(Debug, Clone)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub total: u64,
}

/// Ordering of a job's nodes (API §5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeOrder {
    Name,
    Duration,
    State,
    Started,
    Finished,
}

/// Where a page of nodes ended; opaque outside the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCursor(pub String);

/// Filter, order and page of a job's nodes.
#[derive(Debug, Clone)]
pub struct NodeQuery {
    pub job: JobId,
    /// This node alone.
    pub only: Option<CertName>,
    /// Empty: all states.
    pub states: Vec<NodeState>,
    pub order: NodeOrder,
    pub descending: bool,
    /// Skips that many matching nodes; used with `after: None`.
    pub offset: u64,
    /// At most 1,000. A page may hold fewer than that while more follow: `NodePage::next` tells.
    pub limit: u32,
    /// Continues where an earlier page ended.
    pub after: Option<NodeCursor>,
    /// Whether `result` and `resource_events` are wanted (they can be large).
    pub with_results: bool,
}

impl NodeQuery {
    /// All nodes of a job by name, with their results, a page at a time.
    #[must_use]
    pub fn all(job: JobId) -> Self {
        Self {
            job,
            only: None,
            states: Vec::new(),
            order: NodeOrder::Name,
            descending: false,
            offset: 0,
            limit: 1_000,
            after: None,
            with_results: true,
        }
    }
}

/// One page of nodes.
#[derive(Debug, Clone)]
pub struct NodePage {
    pub items: Vec<NodeRecord>,
    /// `None` after the last page.
    pub next: Option<NodeCursor>,
}

/// A node of a job, without what its run left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BriefNode {
    pub node: NodeIndex,
    pub state: NodeState,
    pub cause: Option<Cause>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// Why it did not finish, see [`reason_of`](crate::model::reason_of); else `""`.
    pub reason: String,
}

/// What recovery must know of one node of an unfinished job.
#[derive(Debug, Clone)]
pub struct StoredNode {
    pub state: NodeState,
    pub cause: Option<Cause>,
    /// Of the last start.
    pub attempt: Option<Attempt>,
    pub started_at: Option<DateTime<Utc>>,
    pub deadline: Option<DateTime<Utc>>,
    /// A provisional answer was recorded.
    pub accepted: bool,
    pub spool: Option<String>,
}

/// A job that was not over when the service ended.
#[derive(Debug, Clone)]
pub struct UnfinishedJob {
    pub record: JobRecord,
    pub spec: Arc<JobSpec>,
    /// One per node, by index, decisions already applied.
    pub nodes: Vec<StoredNode>,
    pub restoration: Restoration,
}

/// Whether a job was unfinished in a backup that was restored: agents may then know more of it than the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Restoration {
    /// It was not.
    #[default]
    None,
    /// It starts no node until it is resumed.
    Waiting,
    /// It was resumed. Of a node that has no start, still nobody says that it never ran before its agent has answered.
    Resumed,
}

/// A run that ended without its agent's word and may still be going on.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    pub transaction: TransactionId,
    pub job: JobId,
    pub node: CertName,
    /// What was run: a late answer is judged by it.
    pub action: Arc<Action>,
    /// The spool that the agent named when the run was started: only that one can tell that it knows nothing of it.
    pub spool: Option<String>,
    /// Its agent had said that it has the request: one that knows nothing of it now has lost its memory.
    pub accepted: bool,
    /// Why the run counts as over.
    pub cause: Option<Cause>,
    /// When it ends by itself.
    pub until: DateTime<Utc>,
}

impl Held {
    /// Why the run is to be ended, if it is: its agent has not said that it was.
    #[must_use]
    pub fn ending(&self) -> Option<Cause> {
        match self.cause {
            Some(Cause::Abandoned) => Some(Cause::StoppedByForce),
            Some(Cause::TimedOut) => Some(Cause::TimedOut),
            _ => None,
        }
    }

    /// Deploy or task: which of the node's turns it keeps.
    #[must_use]
    pub fn kind(&self) -> JobKind {
        self.action.kind()
    }
}

/// A part of a job's events, as much as is good to hold at once.
#[derive(Debug, Clone)]
pub struct EventPage {
    pub items: Vec<EventRecord>,
    /// Whether more were there, behind the last of these.
    pub more: bool,
}

/// Committed events in order, batch by batch. A receiver that lags must go back to [`JobStore::events`], and so must one
/// that meets a detail of `Value::Null`: it was too large to be kept for receivers who may come late.
pub type Feed = tokio::sync::broadcast::Receiver<Arc<[EventRecord]>>;

/// The durable memory of the service.
#[async_trait]
pub trait JobStore: Send + Sync + 'static {
    /// Commits a job with its nodes and gives it its number. Returns after the data is synced to disk. A job that belongs
    /// to a plan job is refused when that is over.
    async fn create_job(&self, job: NewJob) -> Result<JobId, StoreError>;

    /// Commits a group atomically, in order. Returns after the data is synced to disk.
    /// [`StoreError::Unavailable`] means that nothing of the group is in.
    async fn append(&self, writes: Vec<Write>) -> Result<(), StoreError>;

    /// Waits until no chunk of the job's decisions is outstanding.
    async fn settled(&self, job: JobId) -> Result<(), StoreError>;

    /// The number and the counts of every job that is not over, oldest first: cheap, whatever the number of nodes.
    async fn open_jobs(&self) -> Result<Vec<(JobId, NodeCounts)>, StoreError>;

    /// Every job that is not over, oldest first.
    async fn unfinished(&self) -> Result<Vec<UnfinishedJob>, StoreError>;

    /// One job, with its nodes as recovery wants them.
    async fn stored(&self, job: JobId) -> Result<Option<UnfinishedJob>, StoreError>;

    /// Every hold that has not ended.
    async fn holds(&self) -> Result<Vec<Held>, StoreError>;

    /// One job.
    async fn job(&self, job: JobId) -> Result<Option<JobRecord>, StoreError>;

    /// A part of the job list; callers page with a `limit` of at most 1,000. A page of large jobs may hold fewer while
    /// more follow, but never none.
    async fn jobs(&self, query: JobQuery) -> Result<Page<JobRecord>, StoreError>;

    /// What was fixed of a job when it was created.
    async fn spec(&self, job: JobId) -> Result<Option<Arc<JobSpec>>, StoreError>;

    /// Nodes of a job in brief, by index from `from` on, at most `limit` (at most 1,000); none behind the last, and none
    /// of an unknown job.
    async fn brief(&self, job: JobId, from: NodeIndex, limit: u32) -> Result<Vec<BriefNode>, StoreError>;

    /// A page of a job's nodes; empty for an unknown job.
    async fn nodes(&self, query: NodeQuery) -> Result<NodePage, StoreError>;

    /// Events of a job with `seq >= start`, ascending, at most `limit` (at most 1,000), fewer where they are large.
    async fn events(&self, job: JobId, start: EventSeq, limit: u32) -> Result<EventPage, StoreError>;

    /// The events of one node of a job.
    async fn events_of(&self, job: JobId, node: NodeIndex) -> Result<Vec<EventRecord>, StoreError>;

    /// Events of all jobs with `seq >= start`, else as [`JobStore::events`].
    async fn all_events(&self, start: EventSeq, limit: u32) -> Result<EventPage, StoreError>;

    /// The last event number of all jobs, `EventSeq(0)` when there is none.
    async fn newest_event(&self) -> Result<EventSeq, StoreError>;

    /// The last event number of a job, `EventSeq(0)` when it has none.
    async fn last_event(&self, job: JobId) -> Result<EventSeq, StoreError>;

    /// The specifications of all jobs in which this node has a committed start and no end.
    async fn open_runs(&self, node: &CertName) -> Result<Vec<Arc<JobSpec>>, StoreError>;

    /// Those of these nodes that have a committed start without an end in some job.
    async fn busy(&self, nodes: &[CertName]) -> Result<Vec<CertName>, StoreError> {
        let mut busy = Vec::new();
        for node in nodes {
            if !self.open_runs(node).await?.is_empty() {
                busy.push(node.clone());
            }
        }
        Ok(busy)
    }

    /// Events as they are committed, from now on.
    fn subscribe(&self) -> Feed;

    /// `None` when writes are taken; else what is wrong, for people.
    fn trouble(&self) -> Option<String>;

    /// What of the store broke down, if something did: only a new process helps.
    fn broken_down(&self) -> Option<String> {
        None
    }
}
