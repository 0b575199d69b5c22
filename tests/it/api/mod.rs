//! Integration tests of `api`: the real listener, TLS and store; what clients see is recorded in `snapshots/`.

#![expect(clippy::unwrap_used, reason = "a helper that cannot do its work fails the test")]

mod abuse;
mod access;
mod client;
mod commands;
mod compression;
mod directory;
mod endpoint_coverage;
mod engine;
mod events;
mod fakes;
mod files;
mod jobs;
mod ledger;
mod limits;
mod patience;
mod raw;
mod robust;
mod seed;
mod status;
mod tokens;
mod traversal;
mod world;
