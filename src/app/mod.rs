//! The application: wires everything together. Nothing depends on it but the command line.

mod backup;
mod clock;
pub mod doctor;
pub mod init;
mod ledger;
mod notify;
mod observe;
mod serve;
mod service;
mod upkeep;
mod watchdog;

pub use crate::directory::{ImportError, import_groups};
pub use backup::{DatabaseError, backup, restore};
pub use clock::{SteadyClock, SystemClock};
pub use serve::serve;
use service::first_uri;
pub use service::{Service, StartError};
