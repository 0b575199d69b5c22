//! The status API on the same port (API §10), and `GET /orchestrator/v1/status`. No token; errors in its own shape.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};

use super::auth::Viewer;
use super::request::Query;
use super::state::State;
use super::{Answer, JSON, json as json_answer};

const SERVICES: [&str; 3] = ["orchestrator-service", "broker-service", "status-service"];
const LEVELS: [&str; 3] = ["critical", "info", "debug"];
const PLAIN: &str = "text/plain; charset=utf-8";

/// All services.
pub(super) async fn services(req: HttpRequest, state: web::Data<State>) -> Answer {
    let level = match level(&req) {
        Ok(level) => level,
        Err(refusal) => return Ok(refusal),
    };
    let entries: Map<String, Value> =
        SERVICES.iter().map(|name| ((*name).to_owned(), entry(&state, name, level))).collect();
    let running = SERVICES.iter().all(|name| word(&state, name) == "running");
    json_answer(status(running), &entries)
}

/// One service.
pub(super) async fn service(req: HttpRequest, state: web::Data<State>, name: web::Path<String>) -> Answer {
    let level = match level(&req) {
        Ok(level) => level,
        Err(refusal) => return Ok(refusal),
    };
    let Some(name) = SERVICES.into_iter().find(|known| *known == name.as_str()) else {
        return Ok(refuse(
            StatusCode::NOT_FOUND,
            "service-not-found",
            format!("No status function is registered for service {name}"),
        ));
    };
    json_answer(status(word(&state, name) == "running"), &entry(&state, name, level))
}

/// All services in one word.
pub(super) async fn simple(state: web::Data<State>) -> HttpResponse {
    let word = SERVICES.iter().map(|name| word(&state, name)).find(|word| *word != "running").unwrap_or("running");
    HttpResponse::build(status(word == "running")).content_type(PLAIN).body(word)
}

/// One service in one word.
pub(super) async fn simple_service(state: web::Data<State>, name: web::Path<String>) -> HttpResponse {
    let Some(name) = SERVICES.into_iter().find(|known| *known == name.as_str()) else {
        return HttpResponse::NotFound().content_type(PLAIN).body(format!("not found: {name}"));
    };
    let word = word(&state, name);
    HttpResponse::build(status(word == "running")).content_type(PLAIN).body(word)
}

/// The orchestrator's own entry, linked from the root document.
pub(super) async fn own(state: web::Data<State>, _: Viewer) -> Answer {
    let name = SERVICES[0];
    let entry: Map<String, Value> = [(name.to_owned(), entry(&state, name, "info"))].into_iter().collect();
    json_answer(status(word(&state, name) == "running"), &entry)
}

fn word(state: &State, service: &str) -> &'static str {
    let trouble = match service {
        "orchestrator-service" => state.orchestrator.trouble(),
        "broker-service" => (state.broker_probe)(),
        _ => None,
    };
    if trouble.is_some() { "error" } else { "running" }
}

fn status(running: bool) -> StatusCode {
    if running { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn entry(state: &State, service: &str, level: &str) -> Value {
    let body = match (service, level) {
        (_, "critical") => Value::Null,
        ("orchestrator-service", _) => orchestrator_status(state),
        _ => json!({}),
    };
    json!({
        "service_version": env!("CARGO_PKG_VERSION"),
        "service_status_version": 1,
        "detail_level": level,
        "state": word(state, service),
        "status": body,
        "active_alerts": [],
    })
}

/// The keys that health reports read. What we do without counts as up.
fn orchestrator_status(state: &State) -> Value {
    let sources = state.orchestrator.directory().health();
    let up = |name: &str| !sources.iter().any(|health| health.source == name && health.trouble.is_some());
    json!({
        "db_up": state.orchestrator.store().trouble().is_none(),
        "classifier_up": up("groups"),
        "rbac_up": true,
        "puppetserver_up": up("puppetserver"),
        "puppetdb_up": up("puppetdb"),
        "pxp_up": (state.broker_probe)().is_none(),
        "replication": { "mode": "none", "status": "none" },
    })
}

fn level(req: &HttpRequest) -> Result<&'static str, HttpResponse> {
    let asked = Query::of(req).text("level").unwrap_or("info").to_owned();
    LEVELS.into_iter().find(|level| *level == asked).ok_or_else(|| {
        let shown: String = asked.chars().take(80).collect();
        let message = format!("Invalid level: '{shown}'. Valid levels are {}", LEVELS.join(", "));
        refuse(StatusCode::BAD_REQUEST, "request-data-invalid", message)
    })
}

fn refuse(status: StatusCode, kind: &str, message: String) -> HttpResponse {
    HttpResponse::build(status).content_type(JSON).body(json!({ "type": kind, "message": message }).to_string())
}
