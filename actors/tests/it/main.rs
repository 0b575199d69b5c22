//! Scenarios of the whole engine on a paused clock: scripted agents, a store in memory, one thread.

mod basics;
mod causes;
mod commands;
mod drains;
mod holds;
mod limits;
mod logs;
mod panics;
mod recovery;
mod restored;
mod signs_of_life;
mod standings;
mod stops;
mod support;
mod time;
