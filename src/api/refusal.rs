//! What a client gets that is refused before it made a request: the HTTP layer answers with a bare status, and here it
//! gets the words of all other answers.

use actix_web::http::StatusCode;
use bytes::Bytes;

use super::error::ApiError;
use super::{JSON, headers};

/// Every answer of ours has it; the bare ones do not.
const OURS: &[u8] = b"x-request-id";

/// The HTTP layer's own answer with a body and our headers; `None` for anything else, which stays as it is.
pub(super) fn with_words(bare: &[u8]) -> Option<Bytes> {
    let head = bare.strip_suffix(b"\r\n\r\n").filter(|_| bare.starts_with(b"HTTP/1."))?;
    if head.windows(OURS.len()).any(|part| part.eq_ignore_ascii_case(OURS)) {
        return None;
    }
    let text = std::str::from_utf8(head).ok()?;
    let (first, rest) = text.split_once("\r\n")?;
    let status = first.split(' ').nth(1).and_then(|code| StatusCode::from_bytes(code.as_bytes()).ok())?;
    let error = words(status)?;
    let date = rest.split("\r\n").find(|line| line.to_ascii_lowercase().starts_with("date:"));
    Some(answer(first, date, &error))
}

/// The refusal of a head that does not come to its end.
pub(super) fn slow_head() -> Bytes {
    let status = StatusCode::REQUEST_TIMEOUT;
    answer(&format!("HTTP/1.1 {status}"), None, &ApiError::slow_head())
}

fn words(status: StatusCode) -> Option<ApiError> {
    match status {
        StatusCode::BAD_REQUEST => Some(ApiError::validation("the request is no valid HTTP", serde_json::json!({}))),
        StatusCode::REQUEST_TIMEOUT => Some(ApiError::slow_head()),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Some(ApiError::head_too_large()),
        _ => None,
    }
}

fn answer(first: &str, date: Option<&str>, error: &ApiError) -> Bytes {
    metrics::counter!(
        "bunraku_http_requests_total",
        "route" => "unread", "method" => "other", "status" => error.status().as_u16().to_string()
    )
    .increment(1);
    let date = date.map(|line| format!("{line}\r\n")).unwrap_or_default();
    let (fixed, body) = (headers::lines(), error.body());
    let length = body.len();
    let head = format!("{first}\r\n{date}content-type: {JSON}\r\ncontent-length: {length}\r\nconnection: close\r\n");
    format!("{head}{fixed}\r\n{body}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_refusals_get_words() {
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\ndate: now\r\n\r\n";
        let worded = String::from_utf8(with_words(bare.as_bytes()).unwrap().to_vec()).unwrap();
        let (head, body) = worded.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\ndate: now\r\n"), "{worded}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())) && head.contains("nosniff"), "{worded}");
        assert!(body.contains("\"kind\":\"puppetlabs.orchestrator/validation-error\""), "{worded}");
        for other in [
            "HTTP/1.1 400 Bad Request\r\nX-Request-Id: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n",
            "HTTP/1.1 400\r\n\r\n",
            "data: HTTP/1.1 400 Bad Request\r\n\r\n",
            "\r\n\r\n",
            "",
        ] {
            assert_eq!(with_words(other.as_bytes()), None, "{other:?}");
        }
    }
}
