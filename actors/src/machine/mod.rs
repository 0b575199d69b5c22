//! The decisions of the engine as pure step functions: what a job and a node do next, and what has to be written.
//!
//! No clock, no runtime, no randomness: times come in with the inputs, timers go out as a wish to be woken.

#![deny(clippy::wildcard_enum_match_arm)]

mod job;
mod node;
mod outcome;
mod words;

pub use job::{Decision, Job, JobInput, JobRefusal};
pub use node::{Contact, Facts, Node, NodeEffect, NodeInput, NodeRefusal, Rules};
pub use outcome::{judge, judge_late};
pub use words::Words;

#[cfg(test)]
mod tests;
