//! A plain listener on this machine, for the first look at a service: the dashboard without a certificate to be accepted.
//!
//! The service itself speaks TLS only. This forwards its pages, and `/ui` for the one browser that came by the link, which works
//! once; the token stays here. Everything else is refused, above all what comes under another name or from another page.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderValue, LOCATION,
    ORIGIN, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Bytes};
use actix_web::{App, HttpRequest, HttpResponse, HttpResponseBuilder, HttpServer};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

/// The cookie of the browser that came by the link.
const COOKIE_NAME: &str = "bunraku-loopback";
/// Where the link leads.
const ENTRY: &str = "/enter/";
/// What of a request goes on.
const ASKED: [&str; 5] = ["content-type", "accept", "x-bunraku-csrf", "last-event-id", "idempotency-key"];
/// What of an answer comes back.
const ANSWERED: [&str; 5] =
    ["content-type", "cache-control", "content-security-policy", "x-content-type-options", "x-accel-buffering"];
/// The largest body, as of the API.
const BODY: usize = 16 * 1024 * 1024;

struct Forward {
    /// The base of the service, such as `https://127.0.0.1:8143`.
    target: String,
    http: reqwest::Client,
    /// What the service takes for a browser that has this token.
    cookie: SecretString,
    port: u16,
    entry: [u8; 32],
    entered: AtomicBool,
    /// Somebody logged out: the session is over for good.
    left: AtomicBool,
    session: SecretString,
}

/// Listens on a free port of 127.0.0.1 until the process ends, and forwards to `target` by `http`, as the owner of `token`.
/// Needs a tokio runtime. Returns the link to open in a browser, once.
///
/// # Errors
/// When there is no free port.
pub fn loopback(target: &str, http: reqwest::Client, token: &SecretString) -> io::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let entry = secret();
    let forward = web::Data::from(Arc::new(Forward {
        target: target.trim_end_matches('/').to_owned(),
        http,
        cookie: format!("__Host-bunraku=t.{}", token.expose_secret()).into(),
        port,
        entry: digest(&entry),
        entered: AtomicBool::new(false),
        left: AtomicBool::new(false),
        session: secret().into(),
    }));
    let app = move || {
        let body = web::PayloadConfig::new(BODY);
        App::new().app_data(forward.clone()).app_data(body).default_service(web::to(answer))
    };
    let server = HttpServer::new(app).workers(1).disable_signals().listen(listener)?.run();
    tokio::spawn(server);
    Ok(format!("http://127.0.0.1:{port}{ENTRY}{entry}"))
}

fn secret() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// Secrets are compared by their digests: how long that takes tells nothing of them.
fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

async fn answer(req: HttpRequest, forward: web::Data<Forward>, body: Bytes) -> HttpResponse {
    if !forward.is_ours(&req) {
        return plain(StatusCode::FORBIDDEN, "This address is for a browser on this machine.");
    }
    if let Some(entry) = req.path().strip_prefix(ENTRY) {
        // Whoever only looks whether a link is good must not use it up.
        let is_visit = req.method() == Method::GET && !req.headers().contains_key("Sec-Purpose");
        return if is_visit {
            forward.enter(entry)
        } else {
            plain(StatusCode::METHOD_NOT_ALLOWED, "Open it in a browser.")
        };
    }
    let known = forward.knows(req.headers());
    if req.path().starts_with("/ui/") {
        if known {
            let mut answer = forward.send(&req, body, true).await;
            if req.method() == Method::DELETE && req.path() == "/ui/bunraku/v1/session" {
                let gone = HeaderValue::from_static("bunraku-loopback=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
                answer.headers_mut().insert(SET_COOKIE, gone);
                forward.left.store(true, Ordering::Release);
            }
            return answer;
        }
        let msg = "open the link that the demo prints, or log in at its URL with the token";
        let error = serde_json::json!({ "kind": "puppetlabs.rbac/user-unauthenticated", "msg": msg, "details": {} });
        return HttpResponse::Unauthorized().insert_header((CACHE_CONTROL, "no-store")).json(error);
    }
    if is_page(&req) {
        forward.send(&req, Bytes::new(), false).await
    } else {
        plain(StatusCode::NOT_FOUND, "There is no such page.")
    }
}

/// The pages and what they are made of, and nothing whose path could be read in two ways.
fn is_page(req: &HttpRequest) -> bool {
    const PAGES: [&str; 5] = ["/login", "/jobs", "/run", "/nodes", "/schedules"];
    let path = req.path();
    let plain = !path.contains("//") && !path.contains("..") && !path.contains(['%', '\\']);
    let known = path == "/" || path == "/favicon.ico" || path.starts_with("/assets/");
    let page =
        PAGES.iter().any(|page| path.strip_prefix(page).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    req.method() == Method::GET && plain && (known || page)
}

fn plain(status: StatusCode, text: &'static str) -> HttpResponse {
    let mut answer = HttpResponseBuilder::new(status);
    answer.insert_header((CACHE_CONTROL, "no-store")).insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
    answer.insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"));
    answer.content_type("text/plain; charset=utf-8").body(text)
}

impl Forward {
    /// Whether a request is for this listener by one of its names, and sent by no page of somebody else.
    fn is_ours(&self, req: &HttpRequest) -> bool {
        let text = |name: &str| req.headers().get(name).and_then(|value| value.to_str().ok());
        let names = [format!("127.0.0.1:{}", self.port), format!("localhost:{}", self.port)];
        let Some(host) = text(HOST.as_str()).filter(|host| names.iter().any(|name| name == host)) else { return false };
        let origin = text(ORIGIN.as_str()).is_none_or(|origin| origin.strip_prefix("http://") == Some(host));
        // The link itself may be opened from anywhere, such as a terminal.
        let site = text("Sec-Fetch-Site").is_none_or(|site| site == "same-origin" || site == "none");
        origin && (site || req.path().starts_with(ENTRY))
    }

    fn enter(&self, entry: &str) -> HttpResponse {
        if digest(entry) != self.entry {
            return plain(StatusCode::FORBIDDEN, "This link is not the one that was printed.");
        }
        if self.entered.swap(true, Ordering::AcqRel) {
            let text = "This link was used already: it works once. Log in at the URL that is printed beside it, with the token.";
            return plain(StatusCode::GONE, text);
        }
        let cookie = format!("{COOKIE_NAME}={}; Path=/; HttpOnly; SameSite=Strict", self.session.expose_secret());
        let mut answer = HttpResponse::SeeOther();
        answer.insert_header((LOCATION, "/")).insert_header((CACHE_CONTROL, "no-store"));
        answer.insert_header((SET_COOKIE, cookie)).finish()
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let lines = headers.get_all(COOKIE).filter_map(|line| line.to_str().ok());
        let mut cookies = lines.flat_map(|line| line.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
        let own = cookies.find(|(name, _)| *name == COOKIE_NAME);
        !self.left.load(Ordering::Acquire)
            && own.is_some_and(|(_, value)| digest(value) == digest(self.session.expose_secret()))
    }

    async fn send(&self, req: &HttpRequest, body: Bytes, known: bool) -> HttpResponse {
        let method = reqwest::Method::from_bytes(req.method().as_str().as_bytes()).unwrap_or(reqwest::Method::GET);
        let mut request = self.http.request(method, format!("{}{}", self.target, req.uri())).body(body);
        for name in ASKED {
            if let Some(value) = req.headers().get(name) {
                request = request.header(name, value.as_bytes());
            }
        }
        if known {
            request = request.header(COOKIE.as_str(), self.cookie.expose_secret());
        } else if !req.headers().contains_key(ACCEPT) {
            request = request.header(ACCEPT.as_str(), "*/*");
        }
        match request.send().await {
            Ok(response) => given_back(response),
            // As a proxy says it: the page shows that the connection is lost, and comes back.
            Err(_) => plain(StatusCode::BAD_GATEWAY, "The service does not answer."),
        }
    }
}

fn given_back(response: reqwest::Response) -> HttpResponse {
    let status = StatusCode::from_u16(response.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut answer = HttpResponseBuilder::new(status);
    for name in ANSWERED {
        let value = response.headers().get(name).and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok());
        if let Some(value) = value {
            answer.insert_header((name, value));
        }
    }
    if status == StatusCode::NO_CONTENT || !response.headers().contains_key(CONTENT_TYPE.as_str()) {
        return answer.finish();
    }
    answer.streaming(response.bytes_stream())
}
