//! The HTTP API: handlers translate, the engine decides.

pub mod accounts;
