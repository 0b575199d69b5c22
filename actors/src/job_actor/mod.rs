//! One job: an actor which owns the job's machine, its window of nodes that wait, and its queue of writes.

mod actor;
mod ledger;
mod messages;
mod runs;
mod starts;
mod window;

pub use actor::JobSeed;
pub(crate) use actor::{Guard, next_watcher};
pub(crate) use ledger::{GROUP, append_until_done};
pub(crate) use messages::{Control, Note, StopTicket};
