//! bunraku: the open orchestrator for Puppet and OpenVox. Map of the modules: `docs/architecture.md`.

pub mod agent;
pub mod api;
pub mod app;
pub mod broker;
pub mod ca;
pub mod cli;
pub mod config;
pub mod directory;
pub mod files;
mod https;
mod memory;
pub mod store;
pub mod swarm;
pub mod telemetry;
pub mod tls;
pub mod transport;
pub mod web;
pub mod wire;
