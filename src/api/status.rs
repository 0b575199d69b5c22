//! The status API on the same port (API §10), and `GET /orchestrator/v1/status`. No token; errors in its own shape.

use std::fmt;

use actix_web::ResponseError;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};

use super::auth::Viewer;
use super::request::Query;
use super::state::State;
use super::{Answer, ApiError, JSON, json as json_answer};

const SERVICES: [&str; 3] = ["orchestrator-service", "broker-service", "status-service"];
const LEVELS: [&str; 3] = ["critical", "info", "debug"];
const PLAIN: &str = "text/plain; charset=utf-8";

/// All services.
pub(super) async fn services(req: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, Refusal> {
    let level = level(&req)?;
    let entries: Map<String, Value> =
        SERVICES.iter().map(|name| ((*name).to_owned(), entry(&state, name, level))).collect();
    let running = SERVICES.iter().all(|name| word(&state, name) == "running");
    Ok(json_answer(status(running), &entries)?)
}

/// One service.
pub(super) async fn service(
    req: HttpRequest,
    state: web::Data<State>,
    name: web::Path<String>,
) -> Result<HttpResponse, Refusal> {
    let level = level(&req)?;
    let known = SERVICES.into_iter().find(|known| *known == name.as_str());
    let name = known.ok_or_else(|| Refusal {
        status: StatusCode::NOT_FOUND,
        kind: "service-not-found",
        message: format!("No status function is registered for service {name}"),
    })?;
    Ok(json_answer(status(word(&state, name) == "running"), &entry(&state, name, level))?)
}

/// All services in one word.
pub(super) async fn simple(state: web::Data<State>) -> HttpResponse {
    let words = SERVICES.map(|name| word(&state, name));
    // The worst one counts (API §10).
    let word = ["error", "stopping", "starting"].into_iter().find(|word| words.contains(word)).unwrap_or("running");
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
    json_answer(status(word(&state, name) == "running"), &entry(&state, name, "info"))
}

fn word(state: &State, service: &str) -> &'static str {
    let engine = &state.orchestrator;
    match service {
        "orchestrator-service" if engine.is_starting() => "starting",
        "orchestrator-service" if engine.fault().is_some() || engine.hang().is_some() => "error",
        "orchestrator-service" if engine.is_drained() => "stopping",
        "broker-service" if (state.broker_probe)().is_some() => "error",
        _ => "running",
    }
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
        "active_alerts": alerts(state, service),
    })
}

/// What needs someone's attention although the service runs, such as an environment file that cannot be read.
fn alerts(state: &State, service: &str) -> Vec<Value> {
    if service != "orchestrator-service" {
        return Vec::new();
    }
    let sources = state.orchestrator.directory().health();
    let troubled = sources.into_iter().filter_map(|health| Some((health.source, health.trouble?)));
    troubled.map(|(source, message)| json!({ "severity": "warning", "source": source, "message": message })).collect()
}

/// The keys that health reports read. They take anything but true for a failure, so what is not configured counts as up,
/// and stands under `not_configured` as well.
fn orchestrator_status(state: &State) -> Value {
    let sources = state.orchestrator.directory().health();
    let configured = |name: &str| sources.iter().any(|health| health.source == name);
    let not_configured: Vec<_> =
        ["groups", "puppetserver", "puppetdb"].into_iter().filter(|name| !configured(name)).collect();
    let up = |name: &str| !sources.iter().any(|health| health.source == name && health.trouble.is_some());
    json!({
        "db_up": state.orchestrator.store().trouble().is_none(),
        "classifier_up": up("groups"),
        "rbac_up": true,
        "puppetserver_up": up("puppetserver"),
        "puppetdb_up": up("puppetdb"),
        "pxp_up": (state.broker_probe)().is_none(),
        "not_configured": not_configured,
        "replication": { "mode": "none", "status": "none" },
    })
}

fn level(req: &HttpRequest) -> Result<&'static str, Refusal> {
    let query = Query::of(req);
    let asked = query.text("level").unwrap_or("info");
    LEVELS.into_iter().find(|level| *level == asked).ok_or_else(|| {
        let shown: String = asked.chars().take(80).collect();
        let message = format!("Invalid level: '{shown}'. Valid levels are {}", LEVELS.join(", "));
        Refusal { status: StatusCode::BAD_REQUEST, kind: "request-data-invalid", message }
    })
}

/// An error of the status API, which has keys of its own.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self { status: error.status(), kind: error.kind(), message: error.to_string() }
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let body = json!({ "type": self.kind, "message": self.message });
        HttpResponse::build(self.status).content_type(JSON).body(body.to_string())
    }
}
