//! Stand-ins for the four ports, for the tests of this crate and of the service: deterministic, in memory, one thread.
//!
//! Feature `test-support`; nothing here is part of the product.

mod agents;
mod build;
mod chance;
mod clock;
mod directory;
mod life;
mod store;
mod store_read;
mod store_write;
mod transport;

pub use agents::{Execution, Script};
pub use build::{Build, component, instance, names, owner};
pub use chance::Chance;
pub use clock::FixedClock;
pub use directory::FixedDirectory;
pub use life::{live, until};
pub use store::{Backup, MemoryStore};
pub use transport::ScriptedTransport;
