//! Scheduled jobs (API §7): when their turns are, and what a turn does.
//!
//! The handlers are in `schedules`; how a schedule is kept, in the store.

mod recurrence;
mod scheduler;
mod turn;

pub use recurrence::{BadCron, Recurrence};
pub use scheduler::Scheduler;
pub(super) use turn::command_of;
