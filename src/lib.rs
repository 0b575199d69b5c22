//! bunraku: the open orchestrator for Puppet and OpenVox. Map of the modules: `docs/architecture.md`.

pub mod agent;
pub mod api;
pub mod broker;
pub mod cli;
pub mod config;
pub mod directory;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod transport;
pub mod wire;
