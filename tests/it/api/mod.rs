//! Integration tests of `api`: the real listener, TLS and store; what clients see is recorded in `snapshots/`.

#![expect(clippy::unwrap_used, reason = "a helper that cannot do its work fails the test")]

mod abuse;
mod access;
mod audit;
mod client;
mod commands;
mod compression;
mod dashboard;
mod directory;
mod endpoint_coverage;
mod engine;
mod events;
mod fakes;
mod files;
mod jobs;
mod ledger;
mod limits;
mod once;
mod openapi;
mod patience;
mod plans;
mod raw;
mod retry;
mod rights;
mod robust;
mod schedules;
mod seed;
mod status;
mod target_queries;
mod task_targets;
mod tokens;
mod traversal;
mod usage;
mod users;
mod world;
