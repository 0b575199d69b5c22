//! Scenarios of the whole engine on a paused clock: scripted agents, a store in memory, one thread.

mod basics;
mod commands;
mod limits;
mod panics;
mod recovery;
mod stops;
mod support;
mod time;
