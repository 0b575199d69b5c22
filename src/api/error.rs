//! The one table of HTTP errors: which failure has which status, `kind` and `details` (API §2).
//!
//! Handlers return [`ApiError`]; nothing else in the API builds an error body. Secrets never get in: values of requests
//! are shown only where they are names or numbers.

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use bunraku_actors::handle::OrchestratorError;
use bunraku_actors::model::InvalidName;
use bunraku_actors::ports::{DirectoryError, Refusal, StoreError};
use serde_json::{Value, json};

use super::{JSON, gate};

/// Seconds after which a client may try again what was refused with 503.
const RETRY_AFTER_SECONDS: u32 = 5;

/// Of an answer that is replaced by the first one; no client sees it.
const REPEATED: &str = "puppetlabs.orchestrator/repeated";
/// Errors name the key and the value, and do not repeat a whole request: messages are cut here.
const LONGEST_MESSAGE: usize = 1_000;
/// And so is every text among the details.
const LONGEST_DETAIL: usize = 300;

/// Cuts a text to so many characters, and marks where.
fn clip(text: &mut String, longest: usize) {
    if let Some((at, _)) = text.char_indices().nth(longest) {
        text.truncate(at);
        text.push('…');
    }
}

fn clip_all(details: &mut Value) {
    match details {
        Value::String(text) => clip(text, LONGEST_DETAIL),
        Value::Array(items) => items.iter_mut().for_each(clip_all),
        Value::Object(map) => map.values_mut().for_each(clip_all),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// An answer that is an error: status, kind, message for people, details for programs.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    status: StatusCode,
    kind: &'static str,
    msg: String,
    details: Value,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, msg: impl Into<String>, details: Value) -> Self {
        let mut msg: String = msg.into();
        clip(&mut msg, LONGEST_MESSAGE);
        Self { status, kind, msg, details }.with_details_clipped()
    }

    fn with_details_clipped(mut self) -> Self {
        clip_all(&mut self.details);
        self
    }

    /// 400 `validation-error` about one key of a body, a query or a path.
    #[must_use]
    pub fn invalid(key: &str, msg: impl Into<String>) -> Self {
        Self::validation(msg, json!({ "key": key }))
    }

    /// 400 `validation-error` with details of the caller's choice.
    #[must_use]
    pub fn validation(msg: impl Into<String>, details: Value) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "puppetlabs.orchestrator/validation-error", msg, details)
    }

    /// 400 for a key whose value has the wrong JSON type; the value itself is not shown.
    #[must_use]
    pub fn wrong_type(key: &str, expected: &str, found: &Value) -> Self {
        let found = type_name(found);
        Self::validation(
            format!("{key} must be {expected}, not {found}"),
            json!({ "key": key, "expected": expected, "found": found }),
        )
    }

    /// 400 for a required key that is absent or null.
    #[must_use]
    pub fn missing(key: &str) -> Self {
        Self::invalid(key, format!("{key} is required"))
    }

    /// 400 `empty-target`.
    #[must_use]
    pub fn empty_target(environment: &str, target: &str) -> Self {
        OrchestratorError::EmptyTarget { environment: environment.to_owned(), target: target.to_owned() }.into()
    }

    /// 404 `unknown-environment`.
    #[must_use]
    pub fn unknown_environment(name: &str) -> Self {
        OrchestratorError::UnknownEnvironment(name.chars().take(80).collect()).into()
    }

    /// 404 `unknown-job`; the name is shown as the request wrote it.
    #[must_use]
    pub fn unknown_job(name: &str) -> Self {
        let name: String = name.chars().take(80).collect();
        let msg = format!("Unknown job {name}");
        Self::new(StatusCode::NOT_FOUND, "puppetlabs.orchestrator/unknown-job", msg, json!({ "job": name }))
    }

    /// 404 `unknown-plan` for a plan that no module has.
    #[must_use]
    pub fn no_such_plan(name: &str) -> Self {
        let name: String = name.chars().take(80).collect();
        let msg = format!("Unknown plan {name}");
        Self::new(StatusCode::NOT_FOUND, "puppetlabs.orchestrator/unknown-plan", msg, json!({ "plan": name }))
    }

    /// 404 `unknown-plan` for who wants one run: this service runs no plans, whatever their name.
    #[must_use]
    pub fn unknown_plan(name: &str) -> Self {
        let name: String = name.chars().take(80).collect();
        let msg = format!(
            "The plan {name} cannot be run here: this service runs no plans. Run it with Bolt, which tells this service of \
             it over the pcp transport, or with OpenBolt over its own transports"
        );
        Self::new(StatusCode::NOT_FOUND, "puppetlabs.orchestrator/unknown-plan", msg, json!({ "plan": name }))
    }

    /// 404 `unknown-task-target`.
    #[must_use]
    pub fn unknown_task_target(name: &str) -> Self {
        let name: String = name.chars().take(80).collect();
        let msg = format!("Unknown task target {name}");
        let kind = "puppetlabs.orchestrator/unknown-task-target";
        Self::new(StatusCode::NOT_FOUND, kind, msg, json!({ "task_target": name }))
    }

    /// 404 `mismatched-job-event-id`: there is no such event of that plan job.
    #[must_use]
    pub fn mismatched_event(plan: &str, event: &str) -> Self {
        let event: String = event.chars().take(80).collect();
        let msg = format!("Plan job {plan} has no event {event}");
        let kind = "puppetlabs.orchestrator/mismatched-job-event-id";
        Self::new(StatusCode::NOT_FOUND, kind, msg, json!({ "plan_job": plan, "event": event }))
    }

    /// 400 `invalid-time`: what is scheduled lies in the past.
    #[must_use]
    pub fn invalid_time(key: &str, shown: &str) -> Self {
        let msg = format!("{key} must lie in the future, unlike {shown}");
        let kind = "puppetlabs.orchestrator/invalid-time";
        Self::new(StatusCode::BAD_REQUEST, kind, msg, json!({ "key": key, "value": shown }))
    }

    /// 400 `disabled-scheduled-job`.
    #[must_use]
    pub fn disabled_schedule(name: &str) -> Self {
        let msg = format!("The scheduled job {name} is disabled and cannot be changed");
        let kind = "puppetlabs.orchestrator/disabled-scheduled-job";
        Self::new(StatusCode::BAD_REQUEST, kind, msg, json!({ "scheduled_job": name }))
    }

    /// Whether the very same request may succeed, or may have succeeded: nothing is wrong with it.
    pub(super) fn is_transient(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE || self.details["outcome"] == "unknown"
    }

    /// Whether the command was carried out before, under the same key.
    pub(super) fn is_repeat(&self) -> bool {
        self.kind == REPEATED
    }

    /// The error as answers show it: `kind`, `msg`, `details`.
    #[must_use]
    pub fn shown(&self) -> Value {
        json!({ "kind": self.kind, "msg": self.msg, "details": self.details })
    }

    /// 404 for a route, or a thing that has no kind of its own.
    #[must_use]
    pub fn not_found(msg: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "puppetlabs.orchestrator/not-found", msg, json!({}))
    }

    /// 405 for a known route asked with another method.
    #[must_use]
    pub fn method_not_allowed(method: &str, allowed: &[&str]) -> Self {
        let allow = allowed.join(", ");
        let msg = format!("{method} is not allowed here; allowed: {allow}");
        let kind = "puppetlabs.orchestrator/method-not-allowed";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, kind, msg, json!({ "allowed": allowed }))
    }

    /// 413 for a body beyond the limit.
    #[must_use]
    pub fn body_too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "puppetlabs.orchestrator/validation-error",
            format!("the request body is larger than {limit} bytes"),
            json!({ "limit": limit }),
        )
    }

    /// 408 for a body that does not arrive; the connection is of no more use.
    #[must_use]
    pub fn request_timeout(waited: Duration) -> Self {
        let msg = format!("the request body did not arrive within {waited:?}");
        let details = json!({ "seconds": waited.as_secs_f64() });
        Self::new(StatusCode::REQUEST_TIMEOUT, "puppetlabs.orchestrator/request-timeout", msg, details)
    }

    /// 408 for a request whose head is begun and not ended; the connection is of no more use.
    #[must_use]
    pub fn slow_head() -> Self {
        let msg = "the head of the request did not arrive in time";
        Self::new(StatusCode::REQUEST_TIMEOUT, "puppetlabs.orchestrator/request-timeout", msg, json!({}))
    }

    /// 414 for an address beyond the limit.
    #[must_use]
    pub fn target_too_long(limit: usize) -> Self {
        let msg = format!("path and query of the request are longer than {limit} bytes");
        Self { status: StatusCode::URI_TOO_LONG, ..Self::validation(msg, json!({ "limit": limit })) }
    }

    /// 431 for header fields beyond their limits.
    #[must_use]
    pub fn head_too_large() -> Self {
        let (fields, bytes) = (gate::FIELDS, gate::FIELD_BYTES);
        let msg = format!("the request has more than {fields} header fields, or more than {bytes} bytes of them");
        let error = Self::validation(msg, json!({ "fields": fields, "bytes": bytes }));
        Self { status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, ..error }
    }

    /// 401 with a kind of the RBAC namespace.
    #[must_use]
    pub fn unauthenticated(kind: &'static str, msg: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, kind, msg, json!({}))
    }

    /// 403 `not-permitted`.
    #[must_use]
    pub fn not_permitted(msg: impl Into<String>, details: Value) -> Self {
        Self::new(StatusCode::FORBIDDEN, "puppetlabs.orchestrator/not-permitted", msg, details)
    }

    /// 400 `query-error` for somebody who may not choose nodes by a query (API §1.4).
    #[must_use]
    pub fn query_not_permitted(login: &str) -> Self {
        let msg = format!("{login} lacks the permission nodes:view_data, which a query takes");
        let details = json!({ "permission": "nodes:view_data" });
        Self::new(StatusCode::BAD_REQUEST, "puppetlabs.orchestrator/query-error", msg, details)
    }

    /// 409 for a login that is taken.
    #[must_use]
    pub fn login_taken(login: &str) -> Self {
        let msg = format!("there is a user {login} already");
        Self::new(StatusCode::CONFLICT, "puppetlabs.rbac/conflict", msg, json!({ "login": login }))
    }

    /// 429: too many attempts.
    #[must_use]
    pub fn too_many_attempts() -> Self {
        let msg = "too many attempts to log in: wait a minute";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "puppetlabs.rbac/too-many-attempts", msg, json!({}))
    }

    /// 503: try again later.
    #[must_use]
    pub fn unavailable(msg: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "puppetlabs.orchestrator/unavailable", msg, json!({}))
    }

    /// 500 `unknown-error`.
    #[must_use]
    pub fn internal(msg: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "puppetlabs.orchestrator/unknown-error", msg, json!({}))
    }

    /// The methods that a 405 names.
    fn allowed_methods(&self) -> String {
        let methods = self.details["allowed"].as_array().map_or(&[][..], Vec::as_slice);
        methods.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    }

    fn with_details(mut self, details: Value) -> Self {
        self.details = details;
        self.with_details_clipped()
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The kind that clients switch on.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The body of the answer.
    pub(super) fn body(&self) -> String {
        self.shown().to_string()
    }

    /// The `details` object.
    #[must_use]
    pub fn details(&self) -> &Value {
        &self.details
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.msg)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.content_type(JSON);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((RETRY_AFTER, RETRY_AFTER_SECONDS));
        }
        if self.status == StatusCode::REQUEST_TIMEOUT {
            response.force_close();
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            response.insert_header((ALLOW, self.allowed_methods()));
        }
        response.body(self.body())
    }
}

impl From<OrchestratorError> for ApiError {
    fn from(error: OrchestratorError) -> Self {
        let msg = error.to_string();
        let bad_request = |kind, details| Self::new(StatusCode::BAD_REQUEST, kind, msg.clone(), details);
        let not_found = |kind, details| Self::new(StatusCode::NOT_FOUND, kind, msg.clone(), details);
        match error {
            OrchestratorError::UnknownEnvironment(environment) => {
                not_found("puppetlabs.orchestrator/unknown-environment", json!({ "environment": environment }))
            }
            OrchestratorError::EmptyEnvironment(environment) => {
                bad_request("puppetlabs.orchestrator/empty-environment", json!({ "environment": environment }))
            }
            OrchestratorError::EmptyTarget { environment, target } => bad_request(
                "puppetlabs.orchestrator/empty-target",
                json!({ "environment": environment, "target": target }),
            ),
            OrchestratorError::DependencyCycle { environment, cycle } => bad_request(
                "puppetlabs.orchestrator/dependency-cycle",
                json!({ "environment": environment, "cycle": cycle }),
            ),
            OrchestratorError::UnknownTask { task, environment } => {
                not_found("puppetlabs.orchestrator/unknown-task", json!({ "task": task, "environment": environment }))
            }
            OrchestratorError::Invalid { key, message } => Self::invalid(&key, message),
            OrchestratorError::QueryUnsupported(_) => bad_request("puppetlabs.orchestrator/query-error", json!({})),
            OrchestratorError::UnknownJob(job) => Self::unknown_job(&job.to_string()),
            OrchestratorError::OutOfReach { refused, of, example } => {
                Self::not_permitted(msg, json!({ "refused": refused, "of": of, "example": example }))
            }
            OrchestratorError::Busy | OrchestratorError::Unavailable(_) => Self::unavailable(msg),
            // Not a 503: that would invite the client to send the command a second time.
            OrchestratorError::Unknown(_) => Self::internal(msg).with_details(json!({ "outcome": "unknown" })),
            OrchestratorError::Store(error) => error.into(),
            OrchestratorError::Directory(error) => error.into(),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Failed(_) => Self::unavailable(error.to_string()),
            StoreError::Unreadable(_) => Self::internal(error.to_string()),
            StoreError::Refused(refusal) => refusal.into(),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let msg = refusal.to_string();
        match refusal {
            Refusal::UnknownPlan(plan) => Self::unknown_job(&plan.to_string()),
            Refusal::PlanOver(plan) => Self::new(
                StatusCode::BAD_REQUEST,
                "puppetlabs.orchestrator/plan-already-finished",
                msg,
                json!({ "plan_job": plan.to_string() }),
            ),
            Refusal::OtherCommand(key) => {
                let kind = "puppetlabs.orchestrator/idempotency-key-reused";
                Self::new(StatusCode::CONFLICT, kind, msg, json!({ "key": key }))
            }
            Refusal::Repeated(_) | Refusal::Again => Self::new(StatusCode::CONFLICT, REPEATED, msg, json!({})),
        }
    }
}

impl From<DirectoryError> for ApiError {
    fn from(error: DirectoryError) -> Self {
        let msg = error.to_string();
        match error {
            DirectoryError::Unavailable(_) => Self::unavailable(msg),
            DirectoryError::BrokenTask { task, .. } => Self::internal(msg).with_details(json!({ "task": task })),
            DirectoryError::Query(_) => {
                Self::new(StatusCode::BAD_REQUEST, "puppetlabs.orchestrator/query-error", msg, json!({}))
            }
            DirectoryError::PuppetDb(_) => {
                Self::new(StatusCode::BAD_REQUEST, "puppetlabs.orchestrator/puppetdb-error", msg, json!({}))
            }
        }
    }
}

/// 400 for a name that breaks its grammar.
impl From<(&str, InvalidName)> for ApiError {
    fn from((key, error): (&str, InvalidName)) -> Self {
        let details = json!({ "key": key, "value": error.value });
        Self::validation(error.to_string(), details)
    }
}

/// What JSON calls the type of a value.
#[must_use]
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bunraku_actors::model::JobId;

    use super::*;

    #[test]
    fn every_engine_error_has_its_row() {
        let text = || "x".to_owned();
        let rows: Vec<(OrchestratorError, u16, &str)> = vec![
            (OrchestratorError::UnknownEnvironment(text()), 404, "unknown-environment"),
            (OrchestratorError::EmptyEnvironment(text()), 400, "empty-environment"),
            (OrchestratorError::EmptyTarget { environment: text(), target: text() }, 400, "empty-target"),
            (OrchestratorError::DependencyCycle { environment: text(), cycle: vec![] }, 400, "dependency-cycle"),
            (OrchestratorError::UnknownTask { task: text(), environment: text() }, 404, "unknown-task"),
            (OrchestratorError::Invalid { key: text(), message: text() }, 400, "validation-error"),
            (OrchestratorError::QueryUnsupported(text()), 400, "query-error"),
            (OrchestratorError::UnknownJob(JobId(9)), 404, "unknown-job"),
            (OrchestratorError::Busy, 503, "unavailable"),
            (OrchestratorError::Unavailable(text()), 503, "unavailable"),
            (OrchestratorError::Unknown(Duration::from_secs(1)), 500, "unknown-error"),
            (StoreError::Unavailable(text()).into(), 503, "unavailable"),
            (StoreError::Failed(text()).into(), 503, "unavailable"),
            (StoreError::Unreadable(text()).into(), 500, "unknown-error"),
            (DirectoryError::Unavailable(text()).into(), 503, "unavailable"),
            (DirectoryError::BrokenTask { task: text(), reason: text() }.into(), 500, "unknown-error"),
            (DirectoryError::Query(text()).into(), 400, "query-error"),
            (DirectoryError::PuppetDb(text()).into(), 400, "puppetdb-error"),
        ];
        for (error, status, kind) in rows {
            let shown = format!("{error:?}");
            let answer = ApiError::from(error);
            assert_eq!(answer.status().as_u16(), status, "{shown}");
            assert_eq!(answer.kind(), format!("puppetlabs.orchestrator/{kind}"), "{shown}");
            assert!(answer.details().is_object(), "{shown}");
            let retry = answer.error_response().headers().contains_key(RETRY_AFTER);
            assert_eq!(retry, status == 503, "{shown}");
        }
    }
}
