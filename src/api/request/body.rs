//! Reads a request body as a JSON object, whatever its content type says (API §1.2).

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::web::{self, BytesMut};
use actix_web::{Error, FromRequest, HttpRequest};
use bunraku_actors::model::{MAX_NESTING, Nesting};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Object;
use super::strict::Strict;
use crate::api::error::ApiError;
use crate::api::state::Options;

/// A whole body may take so many times the longest silence: one byte now and then is no progress.
const WHOLE_BODY: u32 = 10;

/// The body of a request, not read yet.
pub(crate) struct Body {
    /// Its length, where the client says it beforehand.
    announced: Option<u64>,
    payload: web::Payload,
}

impl FromRequest for Body {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let length = req.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let announced = length.and_then(|length| length.parse().ok());
        ready(web::Payload::from_request(req, payload).into_inner().map(|payload| Self { announced, payload }))
    }
}

/// Reads the body. No body at all counts as `{}`, so that the answer can name the missing key.
///
/// # Errors
/// 413 beyond the limit, at once where the length is announced; 408 when nothing more of it arrives for
/// [`Options::body_silence`], or it never ends; 400 for malformed JSON and JSON that nests deeper than [`MAX_NESTING`],
/// with line and column, and for JSON that is not an object.
pub(crate) async fn read(body: Body, options: &Options) -> Result<Object, ApiError> {
    if body.announced.is_some_and(|length| length > options.body_limit as u64) {
        return Err(ApiError::body_too_large(options.body_limit));
    }
    let whole = options.body_silence * WHOLE_BODY;
    let arrived = timeout(whole, collect(body.payload, options)).await;
    parse(&arrived.map_err(|_| ApiError::request_timeout(whole))??)
}

async fn collect(mut payload: web::Payload, options: &Options) -> Result<BytesMut, ApiError> {
    let mut body = BytesMut::new();
    loop {
        let next = timeout(options.body_silence, payload.next()).await;
        match next.map_err(|_| ApiError::request_timeout(options.body_silence))? {
            None => return Ok(body),
            Some(Ok(bytes)) if body.len() + bytes.len() <= options.body_limit => body.extend_from_slice(&bytes),
            Some(Ok(_)) => return Err(ApiError::body_too_large(options.body_limit)),
            Some(Err(error)) => {
                return Err(ApiError::validation(format!("the body did not arrive: {error}"), json!({})));
            }
        }
    }
}

pub(super) fn parse(bytes: &[u8]) -> Result<Object, ApiError> {
    // Some Windows clients put a byte order mark first.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Object::default());
    }
    if let Some(place) = Nesting::beyond(bytes, MAX_NESTING) {
        return Err(too_deep(&bytes[..place]));
    }
    match serde_json::from_slice(bytes) {
        Ok(Strict(Value::Object(map))) => Ok(Object::new(map)),
        Ok(Strict(other)) => Err(ApiError::wrong_type("the request body", "an object", &other)),
        Err(error) => {
            let details = json!({ "line": error.line(), "column": error.column() });
            Err(ApiError::validation(format!("the request body is not valid JSON: {error}"), details))
        }
    }
}

/// The refusal of a body in which one bracket too many opens after `before`.
fn too_deep(before: &[u8]) -> ApiError {
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
    let msg =
        format!("the request body nests deeper than {MAX_NESTING} arrays and objects, at line {line} column {column}");
    ApiError::validation(msg, json!({ "line": line, "column": column, "limit": MAX_NESTING }))
}
