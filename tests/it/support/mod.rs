//! Shared by all suites: servers on port 0, temporary directories, clients.

pub(crate) mod ca;
