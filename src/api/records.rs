//! The API's port to what is kept beside jobs: plan jobs, scheduled jobs, task targets, keys of commands. The store
//! implements it on the same writer (docs/adr/0010-records-beside-jobs.md).

use std::collections::BTreeMap;

use async_trait::async_trait;
use bunraku_actors::model::{CertName, JobId, NodeCounts, OnceKey, Owner, PlanId, ScheduleId};
use bunraku_actors::ports::{Page, StateSpan, StoreError};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::schedule::Recurrence;

/// What a command made: enough to give its answer again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Made {
    /// A job, by `deploy`, `task`, `plan_task` or a retry.
    Job(JobId),
    /// A stop, with the counts of its job.
    Stopped { job: JobId, counts: NodeCounts },
    /// A plan job, by `plan_start` or `plan_run`.
    Plan(PlanId),
    /// A plan job's end, by `plan_finish` or `stop_plan`.
    PlanOver(PlanId),
    /// A task target.
    TaskTarget(u64),
    /// A scheduled job.
    Schedule(ScheduleId),
}

/// A key that was used.
#[derive(Debug, Clone, PartialEq)]
pub struct Once {
    /// Of the command that used it.
    pub fingerprint: [u8; 32],
    /// What that command made.
    pub made: Made,
}

/// The state of a plan job (API §6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanState {
    /// Goes on.
    Running,
    /// Over, well.
    Success,
    /// Over, not well.
    Failure,
}

impl PlanState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Running, Self::Success, Self::Failure];

    /// The name on the wire and in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// What is fixed of a plan job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanSpec {
    /// The plan's name.
    pub plan: String,
    pub description: String,
    /// Without the sensitive ones.
    pub parameters: Map<String, Value>,
    /// Names of the sensitive ones.
    pub sensitive: Vec<String>,
    /// `None` where the caller did not say.
    pub environment: Option<String>,
    pub owner: Owner,
    pub userdata: Value,
    pub created_at: DateTime<Utc>,
}

/// A plan job as it is committed.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanRecord {
    pub id: PlanId,
    pub spec: PlanSpec,
    pub state: PlanState,
    /// `None` while it goes on.
    pub result: Option<Value>,
    pub changed_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// An event of a plan job: from a sequence of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanEvent {
    pub seq: u64,
    pub plan: PlanId,
    /// As on the wire: `task_start`, `plan_finished`, `plan_failed`.
    pub kind: String,
    pub at: DateTime<Utc>,
    pub detail: Value,
}

/// What plan jobs sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanOrder {
    Owner,
    Timestamp,
    Environment,
    Name,
    State,
}

/// A part of the list of plan jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanQuery {
    pub order: PlanOrder,
    pub descending: bool,
    pub offset: u64,
    pub limit: u64,
    /// Inclusive; plan jobs that go on never match.
    pub min_finished: Option<DateTime<Utc>>,
    pub max_finished: Option<DateTime<Utc>>,
}

/// The type of a scheduled job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    Deploy,
    Task,
    Plan,
}

impl ScheduleKind {
    /// Every type.
    pub const ALL: [Self; 3] = [Self::Deploy, Self::Task, Self::Plan];

    /// The name on the wire and in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Task => "task",
            Self::Plan => "plan",
        }
    }

    /// The type of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What is asked of a scheduled job; every key can be replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    pub kind: ScheduleKind,
    /// As given, checked.
    pub input: Map<String, Value>,
    /// May be empty, for deploys.
    pub environment: String,
    pub description: String,
    pub userdata: Value,
    /// The first turn.
    pub start: DateTime<Utc>,
    pub recurrence: Recurrence,
    /// Its turns are passed over until somebody lets it go on.
    #[serde(default)]
    pub paused: bool,
    /// Who made it, with whose rights it runs.
    pub owner: Owner,
}

/// What became of a turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// When it was due.
    pub at: DateTime<Utc>,
    pub outcome: TurnOutcome,
}

/// What a turn made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnOutcome {
    /// A job.
    Job(JobId),
    /// An error, as the API shows it: `kind`, `msg`, `details`.
    Error(Value),
}

/// A scheduled job as it is committed.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleRecord {
    pub id: ScheduleId,
    pub spec: ScheduleSpec,
    pub enabled: bool,
    /// `None` when nothing is to come. One that is not enabled and has a turn waits to be enabled.
    pub next_run: Option<DateTime<Utc>>,
    pub last: Option<Turn>,
}

impl ScheduleRecord {
    /// Whether it is disabled for good, as those are that were disabled by somebody.
    #[must_use]
    pub fn is_over(&self) -> bool {
        !self.enabled && self.next_run.is_none()
    }
}

/// What scheduled jobs sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleOrder {
    NextRun,
    Environment,
    Owner,
    Name,
    Kind,
}

/// A part of the list of scheduled jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleQuery {
    pub order: ScheduleOrder,
    pub descending: bool,
    pub offset: u64,
    pub limit: u64,
    pub kind: Option<ScheduleKind>,
}

/// A task target (API §8.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskTarget {
    pub display_name: String,
    /// Empty when `all_tasks`.
    pub tasks: Vec<String>,
    pub all_tasks: bool,
    pub nodes: Vec<String>,
    pub node_groups: Vec<String>,
    pub pql_query: Option<String>,
}

/// What a node is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UsageKind {
    /// It was connected.
    Agent,
    /// It ran a task.
    Task,
    /// It ran a task of a plan.
    Plan,
}

impl UsageKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Agent, Self::Task, Self::Plan];

    /// The name in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Task => "task",
            Self::Plan => "plan",
        }
    }
}

/// The setting that holds the first event that is not counted yet.
pub const USAGE_CURSOR: &str = "usage_cursor";

/// What to add to the numbers of days.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UsageNotes {
    /// Each node counts once a day and kind.
    pub nodes: Vec<(NaiveDate, UsageKind, CertName)>,
    /// Corrective and intentional changes.
    pub changes: BTreeMap<NaiveDate, (u64, u64)>,
    /// The first event that is not counted yet.
    pub cursor: Option<u64>,
}

/// What a day came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// `YYYY-MM-DD`.
    pub day: String,
    pub with_agent: u64,
    pub by_tasks: u64,
    pub by_plans: u64,
    pub corrective: u64,
    pub intentional: u64,
}

/// What is kept beside jobs. Reads see committed state; changes return after they are synced to disk.
#[async_trait]
pub trait Records: Send + Sync + 'static {
    /// The command that used a key, if it is not forgotten at `now`.
    async fn once(&self, owner: &str, key: &str, now: DateTime<Utc>) -> Result<Option<Once>, StoreError>;

    /// Keeps a key with what its command made, for commands which may as well be carried out twice.
    async fn remember(&self, once: OnceKey, made: Made) -> Result<(), StoreError>;

    /// Begins a plan job.
    ///
    /// # Errors
    /// [`Refusal::Again`] when the key was used meanwhile.
    ///
    /// [`Refusal::Again`]: bunraku_actors::ports::Refusal::Again
    async fn start_plan(&self, spec: PlanSpec, once: Option<OnceKey>) -> Result<PlanId, StoreError>;

    /// Ends a plan job: `Success` or `Failure`, with its last event.
    ///
    /// # Errors
    /// `UnknownPlan`, or `PlanOver` when it is over already.
    async fn finish_plan(
        &self,
        plan: PlanId,
        state: PlanState,
        result: Value,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError>;

    /// One plan job.
    async fn plan(&self, plan: PlanId) -> Result<Option<PlanRecord>, StoreError>;

    /// A part of the list.
    async fn plans(&self, query: PlanQuery) -> Result<Page<PlanRecord>, StoreError>;

    /// Events with `seq >= start`, ascending, at most `limit`; whether more follow.
    async fn plan_events(&self, plan: PlanId, start: u64, limit: u32) -> Result<(Vec<PlanEvent>, bool), StoreError>;

    /// One event, of whichever plan job.
    async fn plan_event(&self, seq: u64) -> Result<Option<PlanEvent>, StoreError>;

    /// The last event's number of a plan job, 0 when it has none.
    async fn last_plan_event(&self, plan: PlanId) -> Result<u64, StoreError>;

    /// The jobs of a plan job behind `after`, by number, with their histories; at most `limit`.
    async fn plan_history(
        &self,
        plan: PlanId,
        after: JobId,
        limit: u32,
    ) -> Result<Vec<(JobId, Vec<StateSpan>)>, StoreError>;

    /// Plan jobs that go on, of which nothing was heard since `before` and no job goes on.
    async fn silent_plans(&self, before: DateTime<Utc>) -> Result<Vec<PlanId>, StoreError>;

    /// Keeps a scheduled job; its first turn is its start. One that is not enabled keeps that turn for the day it is.
    ///
    /// # Errors
    /// [`Refusal::Again`] when the key was used meanwhile.
    ///
    /// [`Refusal::Again`]: bunraku_actors::ports::Refusal::Again
    async fn schedule(
        &self,
        spec: ScheduleSpec,
        enabled: bool,
        once: Option<OnceKey>,
        now: DateTime<Utc>,
    ) -> Result<ScheduleId, StoreError>;

    /// Replaces what is asked, and whether it is enabled; the next turn is `next_run`.
    async fn change_schedule(
        &self,
        id: ScheduleId,
        spec: ScheduleSpec,
        enabled: bool,
        next_run: Option<DateTime<Utc>>,
    ) -> Result<(), StoreError>;

    /// One scheduled job.
    async fn scheduled(&self, id: ScheduleId) -> Result<Option<ScheduleRecord>, StoreError>;

    /// A part of the list.
    async fn schedules(&self, query: ScheduleQuery) -> Result<Page<ScheduleRecord>, StoreError>;

    /// Enabled ones whose next turn is at `now` or before, the oldest first, at most `limit`.
    async fn due(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<ScheduleRecord>, StoreError>;

    /// When this database was last restored from a backup, if it ever was.
    async fn restored_at(&self) -> Result<Option<DateTime<Utc>>, StoreError>;

    /// Notes what became of the turn that was due at `was_due` and when the next one is; nothing when the schedule was
    /// changed meanwhile. `None` for `last` when the turn was skipped.
    async fn turned(
        &self,
        id: ScheduleId,
        was_due: DateTime<Utc>,
        last: Option<Turn>,
        next_run: Option<DateTime<Utc>>,
    ) -> Result<(), StoreError>;

    /// Keeps a task target.
    ///
    /// # Errors
    /// [`Refusal::Again`] when the key was used meanwhile.
    ///
    /// [`Refusal::Again`]: bunraku_actors::ports::Refusal::Again
    async fn add_task_target(
        &self,
        target: TaskTarget,
        once: Option<OnceKey>,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError>;

    /// All task targets, oldest first.
    async fn task_targets(&self) -> Result<Vec<(u64, TaskTarget)>, StoreError>;

    /// One task target.
    async fn task_target(&self, id: u64) -> Result<Option<TaskTarget>, StoreError>;

    /// Adds to the numbers of days; at most 1,000 nodes at once.
    async fn note_usage(&self, notes: UsageNotes) -> Result<(), StoreError>;

    /// Turns a part of what is known of days before this one into plain numbers; whether there was any.
    async fn settle_usage(&self, before: NaiveDate) -> Result<bool, StoreError>;

    /// The days of a range, both ends within, newest first.
    async fn usage(&self, first: Option<NaiveDate>, last: Option<NaiveDate>) -> Result<Vec<Usage>, StoreError>;
}
