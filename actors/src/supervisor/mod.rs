//! The Supervisor: which jobs live, who follows them, what is held, and how all of it comes back after a restart.

mod abort;
mod actor;
mod board;
mod holds;
mod messages;
mod recovery;
mod sweep;

pub(crate) use actor::{SpawnJob, Supervisor, SupervisorSeed};
pub(crate) use board::{Board, Drain};
pub(crate) use messages::{AskJobs, CreateJob, ResumeJobs, SetDrain, Shutdown, StopJob};
