//! Reads a request body as a JSON object, whatever its content type says (API §1.2).

use actix_web::web;
use serde_json::{Value, json};

use super::Object;
use crate::api::error::ApiError;
use crate::api::state::Options;

/// Reads the body. No body at all counts as `{}`, so that the answer can name the missing key.
///
/// # Errors
/// 413 beyond the limit; 400 for malformed JSON, with line and column, and for JSON that is not an object.
pub(crate) async fn read(payload: web::Payload, options: &Options) -> Result<Object, ApiError> {
    let limited = payload.to_bytes_limited(options.body_limit).await;
    let bytes = limited.map_err(|_| ApiError::body_too_large(options.body_limit))?;
    let bytes = bytes.map_err(|error| ApiError::validation(format!("the body did not arrive: {error}"), json!({})))?;
    parse(&bytes)
}

pub(super) fn parse(bytes: &[u8]) -> Result<Object, ApiError> {
    // Some Windows clients put a byte order mark first.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Object::default());
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => Ok(Object::new(map)),
        Ok(other) => Err(ApiError::wrong_type("the request body", "an object", &other)),
        Err(error) => {
            let details = json!({ "line": error.line(), "column": error.column() });
            Err(ApiError::validation(format!("the request body is not valid JSON: {error}"), details))
        }
    }
}
