//! The engine's four ports: what it needs from the world, and nothing more.
//!
//! [`JobStore`] keeps, [`Transport`] reaches nodes, [`Directory`] knows environments and tasks, [`Clock`] tells the time.
//! Each is object-safe and has at least two implementations (the real one and the one in `testing`).

mod directory;
mod store;
mod transport;

use chrono::{DateTime, Utc};

pub use directory::{
    ApplicationType, Component, Directory, DirectoryError, Environment, EnvironmentSettings, Instance, NodeGroup,
    PlanSummary, SourceHealth, TaskDetail, TaskSummary,
};
pub use store::{
    BriefNode, EventPage, Feed, Held, JobOrder, JobQuery, JobRecord, JobStore, NewJob, NodeCursor, NodeOrder, NodePage,
    NodeQuery, NodeRecord, Page, Refusal, Restoration, StateSpan, StoreError, StoredNode, UnfinishedJob, Write,
};
pub use transport::{Connection, RunRequest, RunSignal, SignalOutlet, StatusAnswer, Transport};

/// The wall clock. Deadlines are absolute times of it; waiting is done on tokio's clock.
pub trait Clock: Send + Sync + 'static {
    /// The present time.
    fn now(&self) -> DateTime<Utc>;

    /// Told again and again while no job and no hold is open: nothing would be ended or prolonged by a jump of the time. A
    /// clock that spares the engine from jumps may then catch up.
    fn nothing_is_open(&self) {}
}
