//! One span, one log line and two metrics per request. Queries are never logged: they may carry a token.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest};
use bunraku_actors::model::JobId;
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

/// The header that names a request, in both directions.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The job that a request is about, once a handler knows it.
struct AboutJob(JobId);

/// Remembers the job that a request is about, for the log line.
pub(super) fn note_job(req: &HttpRequest, job: JobId) {
    req.extensions_mut().insert(AboutJob(job));
    tracing::Span::current().record("job", job.0);
}

/// Wraps every request: id, span, log line, metrics.
pub(super) async fn observe<B: MessageBody>(req: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    let begun = Instant::now();
    let id = request_id(&req);
    let route = req.match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    let method = method_word(req.method());
    let span = tracing::info_span!("request", id = %id, method, route, job = tracing::field::Empty);
    let mut response = next.call(req).instrument(span.clone()).await?;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let status = response.status().as_u16();
    let elapsed = begun.elapsed();
    let job = response.request().extensions().get::<AboutJob>().map(|about| about.0.0);
    let path = response.request().path();
    span.in_scope(|| tracing::info!(path, status, job, elapsed_ms = elapsed.as_millis() as u64, "http.request"));
    metrics::counter!("bunraku_http_requests_total", "route" => route.clone(), "method" => method, "status" => status.to_string())
        .increment(1);
    metrics::histogram!("bunraku_http_request_seconds", "route" => route).record(elapsed.as_secs_f64());
    Ok(response)
}

/// The caller's own id when it is short and plain, else a new one.
fn request_id(req: &ServiceRequest) -> String {
    let given = req.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let plain = |text: &&str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    given.filter(plain).map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
}

/// Methods as a label: callers must not be able to make up new ones.
fn method_word(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        _ => "other",
    }
}
