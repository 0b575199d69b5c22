//! The application: wires everything together. Nothing depends on it but the command line.

mod backup;
pub mod init;
mod ledger;
mod notify;
mod observe;
mod serve;
mod service;
mod upkeep;
mod watchdog;

use bunraku_actors::ports::Clock;
use chrono::{DateTime, Utc};

pub use backup::{DatabaseError, backup, restore};
pub use serve::serve;
use service::first_uri;
pub use service::{Service, StartError};

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}
