//! The audit log: every command and every refusal, who, from where, what, on how many nodes, outcome.
//!
//! What was carried out is noted before its answer is sent. Refusals are noted behind it, and only so many a minute for
//! each address: nobody fills the disk by being refused.

use std::net::IpAddr;
use std::num::NonZeroU32;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse, web};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use serde_json::{Map, Value, json};

use super::accounts::{AuditEntry, AuditQuery, AuditRecord};
use super::auth::{Auditor, KnownLogin};
use super::request::Query;
use super::state::State;
use super::types::millis;
use super::{Answer, ApiError, observe, ok};

/// Refusals that are noted a minute, for each address.
const REFUSALS: NonZeroU32 = NonZeroU32::new(60).unwrap();
/// With more addresses than this, those that have rested are forgotten.
const REMEMBERED: usize = 10_000;
/// Entries of one answer, unless asked for fewer or more.
const USUAL: u32 = 100;
/// The most entries of one answer.
const MOST: u64 = 1_000;
/// A path that is asked with POST and changes nothing.
const READ_BY_POST: &str = "/orchestrator/v1/inventory";

/// Counts refusals.
pub(super) struct Refusals(DefaultKeyedRateLimiter<IpAddr>);

impl Default for Refusals {
    fn default() -> Self {
        Self(RateLimiter::keyed(Quota::per_minute(REFUSALS)))
    }
}

impl Refusals {
    fn admits(&self, address: Option<IpAddr>) -> bool {
        if self.0.len() > REMEMBERED {
            self.0.retain_recent();
        }
        address.is_none_or(|address| self.0.check_key(&address).is_ok())
    }
}

/// What handlers add to the entry of their request.
#[derive(Default)]
struct About(Map<String, Value>);

/// Adds something to the entry of a request. Never a secret.
pub(super) fn note(req: &HttpRequest, key: &str, value: &str) {
    let mut extensions = req.extensions_mut();
    if extensions.get::<About>().is_none() {
        extensions.insert(About::default());
    }
    if let Some(about) = extensions.get_mut::<About>() {
        about.0.insert(key.to_owned(), json!(value));
    }
}

/// Wraps every request: notes what is worth it.
pub(super) async fn audited<B: MessageBody>(req: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    let response = next.call(req).await?;
    let request = response.request();
    let reads =
        [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) || request.path() == READ_BY_POST;
    let status = response.status();
    let denied = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS);
    if reads && !denied {
        return Ok(response);
    }
    let Some(state) = request.app_data::<web::Data<State>>().cloned() else { return Ok(response) };
    let error = response.response().error().and_then(|error| error.as_error::<ApiError>());
    if status.is_success() {
        let entry = entry(&state, request, status, error).await;
        // What was done is done: without its entry the answer would be no truer.
        if let Err(error) = state.accounts.audit(entry).await {
            tracing::error!(%error, "a command was not noted in the audit log");
        }
    } else if state.refusals.admits(request.peer_addr().map(|peer| peer.ip())) {
        let entry = entry(&state, request, status, error).await;
        state.accounts.audit_later(entry);
    } else {
        metrics::counter!("bunraku_audit_refusals_not_noted_total").increment(1);
    }
    Ok(response)
}

async fn entry(state: &State, request: &HttpRequest, status: StatusCode, error: Option<&ApiError>) -> AuditEntry {
    let route = request.match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    let (login, mut about, job) = {
        let extensions = request.extensions();
        let login = extensions.get::<KnownLogin>().map(|known| known.0.clone()).unwrap_or_default();
        let about = extensions.get::<About>().map(|about| about.0.clone()).unwrap_or_default();
        (login, about, observe::noted_job(&extensions))
    };
    if request.path() != route {
        let path: String = request.path().chars().take(200).collect();
        about.insert("path".into(), json!(path));
    }
    about.insert("status".into(), json!(status.as_u16()));
    if let Some(job) = job {
        about.insert("job".into(), json!(job.0));
        if let Ok(Some(record)) = state.orchestrator.store().job(job).await {
            about.insert("nodes".into(), json!(record.header.node_count));
        }
    }
    if let Some(error) = error {
        about.insert("kind".into(), json!(error.kind()));
        about.insert("msg".into(), json!(error.to_string()));
    }
    let outcome = match status {
        _ if status.is_success() => "accepted",
        _ if status.is_server_error() => "failed",
        _ => "refused",
    };
    AuditEntry {
        at: state.now(),
        login,
        address: request.peer_addr().map(|peer| peer.ip().to_canonical().to_string()).unwrap_or_default(),
        action: format!("{} {route}", request.method()),
        outcome: outcome.to_owned(),
        about,
    }
}

/// `GET /bunraku/v1/audit`: newest first, or with `order=asc` oldest first; `format=lines` for collectors, who go on
/// `after` the last entry that they have.
pub(super) async fn list(req: HttpRequest, state: web::Data<State>, Auditor(caller): Auditor) -> Answer {
    tracing::info!(by = caller.token.login, "audit log read");
    let query = Query::of(&req);
    let lines = query.choice("format", &[("json", false), ("lines", true)])?.unwrap_or_default();
    let outcomes = ["accepted", "refused", "failed"].map(|word| (word, word));
    let after = query.number("after")?;
    let limit = query.number("limit")?.map_or(USUAL, |limit| u32::try_from(limit.min(MOST)).unwrap_or(USUAL));
    let asked = AuditQuery {
        after,
        before: query.number("before")?,
        login: query.text("login").map(str::to_owned),
        outcome: query.choice("outcome", &outcomes)?.map(str::to_owned),
        action: query.text("action").map(str::to_owned),
        since: query.time("since")?,
        until: query.time("until")?,
        ascending: query.choice("order", &[("asc", true), ("desc", false)])?.unwrap_or(lines || after.is_some()),
        limit,
    };
    let found: Vec<Value> = state.accounts.audit_log(asked).await?.iter().map(view).collect();
    if lines {
        let text: String = found.iter().map(|entry| format!("{entry}\n")).collect();
        return Ok(HttpResponse::Ok().content_type("application/x-ndjson; charset=utf-8").body(text));
    }
    ok(&json!({ "items": found }))
}

fn view(record: &AuditRecord) -> Value {
    let AuditRecord { seq, entry } = record;
    json!({
        "id": seq.to_string(),
        "timestamp": millis(entry.at),
        "login": entry.login,
        "address": entry.address,
        "action": entry.action,
        "outcome": entry.outcome,
        "about": entry.about,
    })
}
