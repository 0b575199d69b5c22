//! Headers that every answer has, whoever makes it, for the browsers among the clients.
//!
//! A handler that needs another value sets its own; only what is absent is added. There is no `Access-Control-*`: no
//! other origin's page may read an answer. There is no `Strict-Transport-Security` either: this port speaks nothing but
//! TLS, and the header would bind every other port of the host, also those of other people's services.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

const EVERYWHERE: [(HeaderName, &str); 5] = [
    // States and secrets: nobody in between keeps them.
    (header::CACHE_CONTROL, "no-store"),
    // Nothing here is a page: whatever takes it for one runs no script, loads nothing, and stands in no frame.
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // An address may carry a token.
    (header::REFERRER_POLICY, "no-referrer"),
];

/// Adds what is absent.
pub(super) fn complete(headers: &mut HeaderMap) {
    for (name, value) in EVERYWHERE {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

/// The same, as lines of a head.
pub(super) fn lines() -> String {
    EVERYWHERE.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}
