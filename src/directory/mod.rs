//! The directory port: environments and tasks from files.
