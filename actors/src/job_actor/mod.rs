//! One job: an actor which owns the job's machine, its window of nodes that wait, and its queue of writes.

mod actor;
mod ledger;
mod messages;
mod restored;
mod runs;
mod seed;
mod standing;
mod starts;
mod window;

pub(crate) use actor::next_watcher;
pub(crate) use ledger::{GROUP, append_until_done};
pub(crate) use messages::{Control, Note, StopTicket};
pub(crate) use seed::Guard;
pub use seed::JobSeed;
