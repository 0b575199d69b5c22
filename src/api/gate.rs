//! What a request must hold before any handler sees it: bounds of its head, one meaning, and room for its connection.
//!
//! The HTTP layer has bounds of its own, some times larger (96 fields, 128 KiB), beyond which it does not listen.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::http::header::{HeaderMap, UPGRADE};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError as _, web};

use super::auth::TOKEN_HEADER;
use super::connection::{Peer, Room};
use super::error::ApiError;
use super::seats::Seats;
use super::ui;

/// The longest target of a request, with its query.
pub(super) const TARGET_BYTES: usize = 8 * 1024;
/// The most parameters of a query.
pub(super) const PARAMETERS: usize = 100;
/// The most header fields.
pub(super) const FIELDS: usize = 64;
/// The most that names and values of all header fields may be together.
pub(super) const FIELD_BYTES: usize = 32 * 1024;

/// Answered also on a connection for which there is no room: a crowd must not look like a hang, and must be seen.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// Refuses what breaks a bound; what is within goes on.
pub(super) async fn gate<B: MessageBody>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let seats = req.app_data::<web::Data<Seats>>().cloned();
    let extra = req.conn_data::<Peer>().is_some_and(|peer| peer.activity.room() == Room::None);
    let refusal = check(&req, extra);
    let lost = extra || refusal.as_ref().is_some_and(|(_, lost)| *lost);
    let mut response = match refusal {
        None => next.call(req).await?.map_into_left_body(),
        Some((error, _)) => req.into_response(error.error_response()).map_into_right_body(),
    };
    if lost || seats.is_some_and(|seats| seats.are_scarce()) {
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    Ok(response)
}

/// Why a request is refused, and whether its connection is of no more use.
fn check(req: &ServiceRequest, extra: bool) -> Option<(ApiError, bool)> {
    if extra && !PROBES.contains(&req.path()) {
        return Some((ApiError::unavailable("there are too many connections"), true));
    }
    let target = req.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > TARGET_BYTES {
        return Some((ApiError::target_too_long(TARGET_BYTES), false));
    }
    if req.headers().len() > FIELDS || field_bytes(req.headers()) > FIELD_BYTES {
        return Some((ApiError::head_too_large(), false));
    }
    let parameters = req.query_string().split('&').filter(|part| !part.is_empty()).count();
    if parameters > PARAMETERS {
        let msg = format!("the query must have at most {PARAMETERS} parameters, not {parameters}");
        return Some((ApiError::invalid("query", msg), false));
    }
    if let Some(error) = ui::refusal(req) {
        return Some((error, false));
    }
    ambiguity(req).map(|error| (error, true))
}

fn field_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// Requests that someone between the client and us may understand in another way than we do.
fn ambiguity(req: &ServiceRequest) -> Option<ApiError> {
    if req.headers().get_all(TOKEN_HEADER).count() > 1 {
        return Some(ApiError::invalid(TOKEN_HEADER, format!("{TOKEN_HEADER} is given more than once")));
    }
    // The HTTP layer takes all that follows such a head for the body, whatever length it states.
    if req.headers().get_all(UPGRADE).any(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket")) {
        return Some(ApiError::invalid(
            "Upgrade",
            "there is nothing to upgrade to: agents connect to the broker's port",
        ));
    }
    None
}
