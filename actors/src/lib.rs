//! The engine of bunraku: jobs and nodes as pure state machines, run by actors behind four ports.
//!
//! `model` ← `plan` ← `machine` are pure, and so is `datatype`, which knows the types of parameters. `supervisor`, `job_actor` and `node_runner` perform what the machines decide.
//! `handle` is the only way in. `ports` is all that the engine needs from the world.

pub mod datatype;
pub mod handle;
pub mod inbox;
mod job_actor;
mod limits;
pub mod machine;
pub mod model;
mod node_runner;
pub mod plan;
pub mod ports;
mod supervisor;
#[cfg(feature = "test-support")]
pub mod testing;
