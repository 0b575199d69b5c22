//! The engine of bunraku: jobs and nodes as pure state machines, run by actors behind four ports.
//!
//! `model` ← `plan` ← `machine` are pure. `supervisor`, `job_actor` and `node_runner` perform what the machines decide.
//! `handle` is the only way in. `ports` is all that the engine needs from the world.

pub mod handle;
pub mod inbox;
pub mod model;
pub mod ports;
