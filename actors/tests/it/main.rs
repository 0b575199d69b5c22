//! Scenarios of the whole engine on a paused clock: scripted agents, a store in memory, one thread.

mod basics;
mod support;
