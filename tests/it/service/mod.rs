//! The whole service with simulated agents over real sockets: stop under load, restarts, kill -9.

#![expect(clippy::unwrap_used, reason = "a scenario that cannot be set up fails the test")]

mod clock;
mod cores;
mod drains;
mod facts;
mod killed;
mod ledgers;
mod logs;
mod metrics;
mod restart;
mod restored;
mod retention;
mod secrets;
mod start;
mod stop_under_load;
mod swarm;
mod upkeep;
