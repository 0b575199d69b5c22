//! All integration tests that need no foreign component, as one binary.

mod agent;
mod api;
mod broker;
mod cli;
mod config;
mod directory;
mod disk;
mod docs;
#[path = "../pages/mod.rs"]
mod pages;
mod service;
mod store;
mod support;
mod telemetry;
mod tidy;
