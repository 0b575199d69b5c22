//! The disk of the real process: what it does when calls on its database fail, and that it waits for the disk.

#![expect(clippy::unwrap_used, reason = "a scenario that cannot be set up fails the test")]

mod faults;
mod read_only;
mod synced;
