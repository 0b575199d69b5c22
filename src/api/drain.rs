//! `GET` and `POST /bunraku/v1/drain`: takes the service out of the rotation of a load balancer, and back.

use actix_web::web;
use serde::Serialize;

use super::auth::{Drainer, Viewer};
use super::request::{Body, read_body};
use super::state::State;
use super::{Answer, ApiError, ok};

/// Whether the service is drained, and what still runs.
#[derive(Debug, Serialize)]
struct DrainView {
    draining: bool,
    /// Nodes that run, of all jobs.
    nodes_running: u64,
}

/// The present state.
pub(super) async fn show(state: web::Data<State>, _: Viewer) -> Answer {
    view(&state, state.orchestrator.is_drained())
}

/// Starts or ends a drain. A service that is shutting down stays drained, and the answer says so.
pub(super) async fn set(state: web::Data<State>, Drainer(caller): Drainer, body: Body) -> Answer {
    let body = read_body(body, &state.options).await?;
    body.only(&["drain"])?;
    let drain = body.flag("drain")?.ok_or_else(|| ApiError::missing("drain"))?;
    let draining = state.orchestrator.drain(drain).await?;
    tracing::info!(drain, draining, by = caller.token.login, "drain");
    view(&state, draining)
}

fn view(state: &State, draining: bool) -> Answer {
    ok(&DrainView { draining, nodes_running: state.orchestrator.running() })
}
