//! What a job runs on and in which order: from a command's scope and an environment to nodes and dependencies.
//!
//! Pure: environments come in as values, nothing is asked.

mod cycle;
mod graph;
mod resolve;
mod schedule;

pub use graph::{Plan, build};
pub use resolve::{ResolveError, resolve};
pub use schedule::Schedule;

#[cfg(test)]
mod tests;
