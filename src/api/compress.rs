//! Compressed answers, for clients that accept gzip: lists of thousands of nodes shrink to a tenth.
//!
//! Only answers to GET are: secrets, such as a new token, are given out by POST alone, and must not be compressed together
//! with what the request says (BREACH). Streams of events are not: compression would hold events back. Nor are the
//! files of tasks, whose agents compare sizes.

use actix_http::encoding::Encoder;
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{AcceptEncoding, CONTENT_TYPE, ContentEncoding, Encoding, HeaderMap, HeaderValue, VARY};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _};

/// What is smaller is sent as it is.
pub(super) const SMALLEST: u64 = 1024;
/// What is worth it; streams of events are text as well, and not among them.
const TYPES: [&str; 6] =
    ["application/json", "application/javascript", "text/css", "text/html", "text/javascript", "text/plain"];

/// Compresses the answer where that is agreed and worth it.
pub(super) async fn compress<B: MessageBody>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<Encoder<B>>, Error> {
    let possible = req.method() == Method::GET;
    let wanted = possible && accepts_gzip(&req);
    let response = next.call(req).await?;
    Ok(response.map_body(|head, body| {
        let large = match body.size() {
            BodySize::None => false,
            BodySize::Sized(size) => size >= SMALLEST,
            BodySize::Stream => true,
        };
        let worth_it = possible && large && is_text(head.headers());
        if worth_it && !wanted {
            head.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
        }
        let encoding = if worth_it && wanted { ContentEncoding::Gzip } else { ContentEncoding::Identity };
        Encoder::response(encoding, head, body)
    }))
}

/// Whether the client likes gzip better than no compression. Whoever accepts neither gets none: better than no answer.
fn accepts_gzip(req: &ServiceRequest) -> bool {
    let offered = [Encoding::identity(), Encoding::gzip()];
    req.get_header::<AcceptEncoding>().and_then(|accepted| accepted.negotiate(offered.iter())) == Some(Encoding::gzip())
}

fn is_text(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    TYPES.contains(&media.split(';').next().unwrap_or_default().trim())
}
