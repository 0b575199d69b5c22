//! The shapes of JSON answers, for the server that writes them and the command line that reads them.
//!
//! They follow the orchestrator API key by key, its oddities included; the engine's model does not know them. Objects are
//! open: readers ignore keys that they do not know.

mod directory;
mod event;
mod inventory;
mod job;
pub mod ledger;
mod node;
mod page;
mod plan;
mod report;
mod schedule;
mod token;

pub use directory::{
    ApplicationItem, ApplicationList, ComponentItem, EnvironmentItem, EnvironmentRef, InstanceItem, Settings,
    TaskFileItem, TaskFileUri, TaskItem, TaskView,
};
pub use event::{Event, EventList, NextEvents};
pub use inventory::{ConnectedNode, InventoryRecord};
pub(crate) use job::{JOB_TYPES, short};
pub use job::{Job, JobRef, LiveView, OwnerView, Started, StatusEntry, Stopped, StoppedJob};
pub use node::Node;
pub use page::{Items, Link, NamedLink, Pagination};
pub use plan::{PlanEventView, PlanItem, PlanJob, PlanView};
pub use report::ReportItem;
pub use schedule::{OlderSchedule, ScheduledJob};
pub use token::{CreatedToken, TokenView, UserView, WhoAmI};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// UTC with seconds, the format of all job times: `2026-03-01T12:00:05Z`.
#[must_use]
pub fn seconds(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// UTC with milliseconds, the format of inventory and account times.
#[must_use]
pub fn millis(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A duration as a JSON number in seconds; never negative.
#[must_use]
pub fn duration(delta: TimeDelta) -> f64 {
    let milliseconds = u32::try_from(delta.num_milliseconds().max(0)).map_or(f64::from(u32::MAX), f64::from);
    milliseconds / 1_000.0
}
