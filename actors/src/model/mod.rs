//! Plain values of the engine: ids, jobs, nodes, events, targets, outcomes.
//!
//! No clock, no randomness, no runtime, no HTTP shapes. What derives serde does so for the event log and the store.

mod action;
mod common;
mod counts;
mod event;
mod ids;
mod job;
mod nesting;
mod node;
mod origin;
mod outcome;
mod reach;
mod secrets;
mod shown;
mod target;

pub use action::{Action, DeployAction, DeployOptions, InputMethod, TaskAction, TaskFile};
pub use common::{common_message, reason_of};
pub use counts::{CauseCounts, NodeCounts};
pub use event::{EventKind, EventRecord};
pub use ids::{
    Attempt, CertName, EnvironmentName, EventSeq, InvalidName, JobId, NodeIndex, RunKey, TaskName, TransactionId,
};
pub use job::{JobHeader, JobKind, JobSpec, JobState, JobType, Owner, StopMode};
pub use nesting::{MAX_NESTING, Nesting, shallow};
pub use node::{Cause, LateAnswer, NodeEnd, NodeState};
pub use origin::{OnceKey, Origin, PlanId, ScheduleId};
pub use outcome::{PuppetOutcome, REPORT_COUNTERS, RunOutcome, TaskOutcome};
pub use reach::{Limited, Pattern, Reach};
pub use secrets::Secrets;
pub use shown::Shown;
pub use target::{ApplicationTarget, Common, DeployCommand, Scope, TaskCommand};
