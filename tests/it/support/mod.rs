//! Shared by all suites: servers on port 0, temporary directories, clients.

#![expect(clippy::unwrap_used, reason = "a helper that cannot do its work fails the test")]

pub(crate) mod ca;
pub(crate) mod fleet;
pub(crate) mod https;
pub(crate) mod process;
pub(crate) mod service;
pub(crate) mod strace;
