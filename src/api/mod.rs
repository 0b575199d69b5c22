//! The HTTP API: handlers translate, the engine decides.
//!
//! A handler extracts, authorizes, makes one call and renders. `request/` turns bodies and queries into checked commands,
//! `types/` are the shapes of the answers, `error` is the one table of errors, `routes` the one table of routes. Nothing
//! here knows the store's or the broker's implementation, nor an actor.

pub mod accounts;
mod audit;
mod auth;
mod brief;
mod command;
mod compress;
mod connection;
mod document;

mod drain;
mod environments;
mod error;
mod events;
mod failures;
mod feed;
mod files;
mod gate;
mod grid;
mod groups;
mod headers;
mod health;
mod inventory;
mod jobs;
mod known_nodes;
mod ledger;
mod links;
mod live;
mod login;
mod node_of_job;
mod nodes;
mod observe;
mod once;
pub mod openapi;
mod paged;
mod plans;
mod preview;
pub mod records;
mod refusal;
mod report;
mod request;
mod retry;
pub mod rights;
mod root;
mod routes;
pub mod schedule;
mod schedules;
mod seats;
mod server;
mod sse;
mod state;
mod status;
mod task_targets;
mod tasks;
mod tokens;
pub mod types;
mod ui;
mod usage;
mod users;
mod why;

pub use error::ApiError;
pub use ledger::LedgerRefusal;
pub use request::invariants;
pub use routes::{Access, ENDPOINTS, Endpoint, configure};
pub use server::Server;
pub use state::{Options, Probe, State, VerifyLedgers};

/// The content type of every JSON answer, errors included: some clients parse no other.
pub(crate) const JSON: &str = "application/json; charset=utf-8";

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Serialize;

/// What handlers return.
pub(crate) type Answer = Result<HttpResponse, ApiError>;

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    let text = serde_json::to_string(body).map_err(|error| ApiError::internal(format!("cannot render: {error}")))?;
    Ok(HttpResponse::build(status).content_type(JSON).body(text))
}

/// A JSON answer with status 200.
pub(crate) fn ok(body: &impl Serialize) -> Answer {
    json(StatusCode::OK, body)
}
