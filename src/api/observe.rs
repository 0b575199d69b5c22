//! One span, one log line and two metrics per request. Queries are never logged: they may carry a token.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest};
use bunraku_actors::model::{CertName, JobId};
use bytes::Bytes;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, Span};
use uuid::Uuid;

use super::connection::{Answering, Peer};
use super::headers;

/// The header that names a request, in both directions.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The job that a request is about, once a handler knows it.
struct AboutJob(JobId);

/// Remembers the job that a request is about, for the log line.
pub(super) fn note_job(req: &HttpRequest, job: JobId) {
    req.extensions_mut().insert(AboutJob(job));
    Span::current().record("job", job.0);
}

/// The job that was remembered.
pub(super) fn noted_job(extensions: &actix_web::dev::Extensions) -> Option<JobId> {
    extensions.get::<AboutJob>().map(|about| about.0)
}

/// Remembers the node that a request comes from, for the log.
pub(super) fn note_node(node: &CertName) {
    Span::current().record("node", node.as_str());
}

/// Wraps every request: id, span, log line, metrics.
pub(super) async fn observe<B: MessageBody>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<Spanned<B>>, Error> {
    let begun = Instant::now();
    let answering = req.conn_data::<Peer>().map(|peer| peer.activity.answer());
    let id = request_id(&req);
    let route = req.match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    let method = method_word(req.method());
    // At the level of errors, so that no filter takes the ids from a line that it lets through.
    let span = tracing::error_span!("http", request = %id, method, route, job = Empty, node = Empty);
    let mut response = next.call(req).instrument(span.clone()).await?;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    headers::complete(response.headers_mut());
    let status = response.status().as_u16();
    let elapsed = begun.elapsed();
    let job = response.request().extensions().get::<AboutJob>().map(|about| about.0.0);
    let path = response.request().path();
    // Only what is not the caller's fault: errors of callers may quote what they sent.
    let error = response.response().error().filter(|_| status >= 500).map(tracing::field::display);
    span.in_scope(|| tracing::info!(path, status, job, error, elapsed_ms = elapsed.as_millis() as u64, "http.request"));
    metrics::counter!("bunraku_http_requests_total", "route" => route.clone(), "method" => method, "status" => status.to_string())
        .increment(1);
    metrics::histogram!("bunraku_http_request_seconds", "route" => route).record(elapsed.as_secs_f64());
    Ok(response.map_body(|_, body| Spanned { span, body: Box::pin(body), _answering: answering }))
}

/// A body whose making is logged as a part of its request, also after the head was sent.
pub(super) struct Spanned<B> {
    span: Span,
    body: Pin<Box<B>>,
    /// The request is being answered until here.
    _answering: Option<Answering>,
}

impl<B: MessageBody> MessageBody for Spanned<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = &mut *self;
        this.span.in_scope(|| this.body.as_mut().poll_next(ctx))
    }
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

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;

    use actix_web::middleware::from_fn;
    use actix_web::{App, HttpResponse, test, web};
    use futures_util::stream;
    use parking_lot::Mutex;
    use serde_json::Value;

    use super::*;
    use crate::api::ApiError;

    /// What is logged on this thread.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A body that says something while it is made, after the head of the answer.
    async fn long() -> HttpResponse {
        let pieces = stream::once(async {
            tracing::warn!("a piece");
            Ok::<_, Error>(Bytes::from_static(b"x"))
        });
        HttpResponse::Ok().streaming(pieces)
    }

    async fn broken() -> Result<HttpResponse, ApiError> {
        Err(bunraku_actors::ports::StoreError::Failed("no such table".to_owned()).into())
    }

    #[actix_web::test]
    async fn whatever_is_logged_for_a_request_names_it() {
        let log = Log::default();
        let writer = log.clone();
        let lines = tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone());
        let _here = tracing::subscriber::set_default(lines.finish());
        let routes = App::new().wrap(from_fn(observe));
        let app =
            test::init_service(routes.route("/long", web::get().to(long)).route("/broken", web::get().to(broken)))
                .await;
        for path in ["/long", "/broken"] {
            let request = test::TestRequest::get().uri(path).insert_header(("x-request-id", "r-1")).to_request();
            let response = test::call_service(&app, request).await;
            test::read_body(response).await;
        }
        let text = String::from_utf8(log.0.lock().clone()).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |message: &str| lines.iter().filter(|line| line["message"] == message).collect::<Vec<_>>();
        assert_eq!((of("a piece").len(), of("http.request").len()), (1, 2), "{text}");
        assert!(lines.iter().all(|line| line["span"]["request"] == "r-1"), "{text}");
        let failed = of("http.request").into_iter().find(|line| line["status"] == 503).unwrap();
        assert!(failed["error"].as_str().unwrap().contains("no such table"), "{text}");
    }
}
