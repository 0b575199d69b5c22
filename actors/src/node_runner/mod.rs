//! One run on one node: an actor which drives the machine of [`crate::machine::Node`].
//!
//! It is born after the start's commit, reports to its job through an outlet, and never writes by itself.

mod actor;
mod messages;

pub(crate) use actor::{Begin, NodeRunner, RunnerSeed};
pub(crate) use messages::Report;
