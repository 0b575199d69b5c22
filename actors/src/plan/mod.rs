//! What a job runs on and in which order: from a command's scope and an environment to nodes and dependencies.
//!
//! Pure: environments come in as values, nothing is asked.

mod cycle;
mod graph;
mod levels;
mod resolve;
mod schedule;
mod tiers;

pub use graph::{Plan, build};
pub use levels::{levels, waits_for};
pub use resolve::{ResolveError, resolve};
pub use schedule::Schedule;
pub use tiers::tiers_of;

#[cfg(test)]
mod tests;
