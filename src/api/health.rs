//! `/livez`, `/readyz` and `/metrics`: for supervisors and monitoring. The first two need no token.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::rights::Permission;
use super::state::State;
use super::{Answer, ApiError, auth, json};

/// The process answers, and all of its actors show that they are alive: 200, else 503 with what hangs. Trouble that may
/// go away by itself, such as a full disk, is no reason to start the process again.
pub(super) async fn live(state: web::Data<State>) -> HttpResponse {
    let (status, body) = match state.orchestrator.hang() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(what) => (StatusCode::SERVICE_UNAVAILABLE, format!("{what}\n")),
    };
    HttpResponse::build(status).content_type("text/plain; charset=utf-8").body(body)
}

/// Commands are taken: 200, else 503 with what is wrong. A directory source in trouble does not make us unready, for
/// much works without it; it is listed.
pub(super) async fn ready(state: web::Data<State>) -> Answer {
    let blocking: Vec<String> = [state.orchestrator.trouble(), (state.broker_probe)()].into_iter().flatten().collect();
    let sources = state.orchestrator.directory().health();
    let degraded: Vec<String> =
        sources.into_iter().filter_map(|health| Some(format!("{}: {}", health.source, health.trouble?))).collect();
    let ready = blocking.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &json!({ "ready": ready, "trouble": blocking, "degraded": degraded }))
}

/// Metrics as Prometheus reads them, for loopback callers or with a token.
pub(super) async fn metrics(req: HttpRequest, state: web::Data<State>) -> Answer {
    if !req.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback()) {
        auth::authorize(&req, Permission::View).await?;
    }
    let handle = state.metrics.as_ref().ok_or_else(|| ApiError::not_found("this server keeps no metrics"))?;
    (state.before_metrics)();
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(handle.render()))
}
