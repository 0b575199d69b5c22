//! `/ui/…` is the API for the pages of this service, by cookie.
//!
//! A cookie goes along with whatever some page makes a browser send, so more is asked of a caller who has one than of one
//! who shows a token: the request comes from our own pages, and what changes something is JSON with a header that no form
//! can send. Behind `/ui` the path is the API's own. Everywhere else cookies mean nothing.

use actix_web::Error;
use actix_web::HttpMessage as _;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_TYPE, COOKIE, HOST, HeaderMap, ORIGIN};
use actix_web::http::uri::PathAndQuery;
use actix_web::http::{Method, Uri};
use actix_web::middleware::Next;
use actix_web::web;
use secrecy::{ExposeSecret as _, SecretString};

use super::auth::TOKEN_HEADER;
use super::error::ApiError;
use super::state::State;

/// What stands before the API's path.
const PREFIX: &str = "/ui";
/// What there is behind it.
const BEHIND: [&str; 2] = ["/orchestrator/", "/bunraku/v1/"];
/// The cookie. Browsers take one of this prefix only over TLS, for the whole host, and from nobody else.
const COOKIE_NAME: &str = "__Host-bunraku";
/// The header that shows that a script of ours sends the request: no form can, and no other origin may.
pub(crate) const CSRF_HEADER: &str = "X-Bunraku-CSRF";

/// What a browser shows to be known.
#[derive(Clone)]
pub(crate) struct Session {
    token: SecretString,
    /// Made by logging in with a password: it ends with the log-out. A token that somebody brought does not.
    pub(crate) made_here: bool,
}

impl Session {
    /// A session by this token.
    pub(crate) fn new(token: String, made_here: bool) -> Self {
        Self { token: token.into(), made_here }
    }

    /// The token's text.
    pub(crate) fn token(&self) -> &str {
        self.token.expose_secret()
    }

    /// The value of the header that gives the cookie to a browser, until it is closed.
    pub(crate) fn cookie(&self) -> String {
        let kind = if self.made_here { 's' } else { 't' };
        format!("{COOKIE_NAME}={kind}.{}; Path=/; Secure; HttpOnly; SameSite=Strict", self.token())
    }

    /// The same, taking it away.
    pub(crate) fn no_cookie() -> String {
        format!("{COOKIE_NAME}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0")
    }

    fn of(headers: &HeaderMap) -> Option<Self> {
        let lines = headers.get_all(COOKIE).filter_map(|line| line.to_str().ok());
        let mut cookies = lines.flat_map(|line| line.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
        let (_, value) = cookies.find(|(name, _)| *name == COOKIE_NAME)?;
        let (kind, token) = value.split_once('.')?;
        Some(Self::new(token.to_owned(), kind == "s")).filter(|session| !session.token().is_empty())
    }
}

/// Stands with every request that came by `/ui`.
#[derive(Clone, Default)]
pub(crate) struct Browser {
    /// `None` before the login.
    pub(crate) session: Option<Session>,
    refusal: Option<ApiError>,
}

/// Takes `/ui` off the path. What is wrong with the request is noted: it is refused where all requests are.
pub(super) async fn ui<B: MessageBody>(mut req: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    if let Some(inner) = behind(req.uri()) {
        let refusal = check(&req).err();
        let session = Session::of(req.headers());
        req.extensions_mut().insert(Browser { session, refusal });
        req.match_info_mut().get_mut().update(&inner);
        req.head_mut().uri = inner;
    }
    next.call(req).await
}

/// Why a request that came by `/ui` is refused.
pub(super) fn refusal(req: &ServiceRequest) -> Option<ApiError> {
    req.extensions().get::<Browser>().and_then(|browser| browser.refusal.clone())
}

fn behind(uri: &Uri) -> Option<Uri> {
    let inner = uri.path_and_query()?.as_str().strip_prefix(PREFIX)?;
    // What answers callers on this machine, or nodes, is not for everybody who may look at pages.
    if !BEHIND.iter().any(|prefix| inner.starts_with(prefix)) {
        return None;
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(inner).ok()?);
    Uri::from_parts(parts).ok()
}

fn check(req: &ServiceRequest) -> Result<(), ApiError> {
    let text = |name: &str| req.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    if text(TOKEN_HEADER).is_some() {
        return Err(ApiError::invalid(TOKEN_HEADER, "paths under /ui are for browsers: tokens go to the API itself"));
    }
    let site = text("Sec-Fetch-Site").is_none_or(|site| site == "same-origin" || site == "none");
    if !site || !text(ORIGIN.as_str()).is_none_or(|origin| is_ours(req, origin)) {
        return Err(ApiError::invalid("Origin", "paths under /ui are for the pages of this service"));
    }
    if req.method() == Method::GET || req.method() == Method::HEAD {
        return Ok(());
    }
    if text(CSRF_HEADER).is_none() {
        return Err(ApiError::missing(CSRF_HEADER));
    }
    let media = text(CONTENT_TYPE.as_str()).unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case("application/json") {
        return Err(ApiError::invalid("Content-Type", "Content-Type must be application/json"));
    }
    Ok(())
}

/// Whether a page of this origin is one of ours.
fn is_ours(req: &ServiceRequest, origin: &str) -> bool {
    let host = req.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let of_host = origin.strip_prefix("https://").is_some_and(|of| of.eq_ignore_ascii_case(host));
    let state = req.app_data::<web::Data<State>>();
    of_host || state.and_then(|state| state.options.public_url.as_deref()) == Some(origin)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn session(cookie: &str) -> Option<(String, bool)> {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(cookie).unwrap());
        Session::of(&headers).map(|session| (session.token().to_owned(), session.made_here))
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        assert_eq!(session("a=b; __Host-bunraku=s.abc; c=d"), Some(("abc".to_owned(), true)));
        assert_eq!(session("__Host-bunraku=t.a-_b"), Some(("a-_b".to_owned(), false)));
        for nothing in ["", "bunraku=s.abc", "__Host-bunraku=", "__Host-bunraku=s.", "__Host-bunraku"] {
            assert_eq!(session(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_cookie_comes_back_as_it_was_given() {
        let given = Session::new("abc".to_owned(), true).cookie();
        assert_eq!(session(given.split(';').next().unwrap()), Some(("abc".to_owned(), true)));
    }

    #[test]
    fn only_paths_under_ui_are_changed() {
        let inner = |path: &'static str| behind(&Uri::from_static(path)).map(|uri| uri.to_string());
        assert_eq!(inner("/ui/bunraku/v1/jobs?limit=1"), Some("/bunraku/v1/jobs?limit=1".to_owned()));
        for path in ["/ui", "/uix/y", "/", "/orchestrator/ui/x", "/ui/ui/x", "/ui/metrics", "/ui/livez", "/ui/jobs"] {
            assert_eq!(inner(path), None, "{path}");
        }
    }
}
