//! The HTTP client of the command line: one server, one token, JSON in and out, errors that say what to do.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use rustls::CertificateError;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::deep;
use super::error::{CliError, Distrust};
use super::settings::Settings;
use crate::tls;
use crate::web::loopback;

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an ordinary request may take. Lists of very large jobs take their time.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
/// How long an event stream may be silent; the server sends a comment far more often.
const SILENCE: Duration = Duration::from_secs(60);
/// The largest page that is asked for at once.
pub(crate) const PAGE: usize = 1000;

/// A connection to one server. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<HeaderValue>,
    origin: Arc<Origin>,
}

/// Where the settings came from, for messages.
#[derive(Debug)]
struct Origin {
    url_from: String,
    token_from: Option<String>,
    ca: Option<PathBuf>,
}

/// A text as one part of a path.
pub(crate) fn segment(text: &str) -> String {
    let mut url = reqwest::Url::parse("https://localhost/").expect("it is a URL");
    url.path_segments_mut().expect("it has a path").pop_if_empty().push(text);
    url.path()[1..].to_owned()
}

impl Client {
    /// A link to the pages of this server without TLS, for a browser on this machine, as the owner of `token`.
    ///
    /// # Errors
    /// When there is no free port.
    pub(crate) fn loopback(&self, token: &SecretString) -> std::io::Result<String> {
        loopback(&self.url, self.http.clone(), token)
    }

    /// A client for the server of these settings; nothing is sent yet. Proxies are ignored: the server is an internal
    /// one, and a token must not travel through somebody else's machine.
    ///
    /// # Errors
    /// A usage error when the CA file or the token cannot be used.
    pub(crate) fn new(settings: &Settings) -> Result<Self, CliError> {
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE)
            .user_agent(concat!("bunraku/", env!("CARGO_PKG_VERSION")));
        if let Some(ca) = &settings.ca {
            let config = tls::anonymous_client_config(ca).map_err(|error| CliError::Usage(error.to_string()))?;
            builder = builder.tls_backend_preconfigured(config);
        }
        let http = builder.build().map_err(|error| CliError::Other(error.into()))?;
        let token = settings.token.as_ref().map(|token| {
            let mut header = HeaderValue::from_str(token.expose_secret())
                .map_err(|_| CliError::Usage("the token holds characters that no token has".to_owned()))?;
            header.set_sensitive(true);
            Ok::<_, CliError>(header)
        });
        let origin = Origin {
            url_from: settings.url_from.clone(),
            token_from: settings.token_from.clone().filter(|_| settings.token.is_some()),
            ca: settings.ca.clone(),
        };
        Ok(Self { http, url: settings.url.clone(), token: token.transpose()?, origin: origin.into() })
    }

    /// The server's address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// `GET path` with these query parameters.
    ///
    /// # Errors
    /// See [`CliError`].
    pub(crate) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, CliError> {
        let wrong = |error| CliError::Usage(format!("the server address '{}' is wrong: {error}", self.url));
        let mut url: reqwest::Url = format!("{}{path}", self.url).parse().map_err(wrong)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.json(self.authorized(self.http.get(url))).await
    }

    /// `POST path` with this body.
    ///
    /// # Errors
    /// See [`CliError`].
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        self.post_once(path, body, None).await
    }

    /// `POST path` with this body, under an idempotency key where one is given.
    ///
    /// # Errors
    /// See [`CliError`].
    pub(crate) async fn post_once(&self, path: &str, body: &Value, key: Option<&str>) -> Result<Value, CliError> {
        let mut request = self.request(Method::POST, path).json(body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        self.json(request).await
    }

    /// `PUT path` with this body.
    ///
    /// # Errors
    /// See [`CliError`].
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        self.json(self.request(Method::PUT, path).json(body)).await
    }

    /// `DELETE path`.
    ///
    /// # Errors
    /// See [`CliError`].
    pub(crate) async fn delete(&self, path: &str) -> Result<Value, CliError> {
        self.json(self.request(Method::DELETE, path)).await
    }

    /// Opens an event stream, after the event with that id.
    ///
    /// # Errors
    /// See [`CliError`].
    pub(crate) async fn stream(&self, path: &str, after: Option<&str>) -> Result<Response, CliError> {
        let mut request = self.request(Method::GET, path).header(ACCEPT, "text/event-stream");
        if let Some(id) = after {
            request = request.header("Last-Event-ID", id);
        }
        self.checked(request).await
    }

    /// Every item of a paged collection, page by page.
    ///
    /// # Errors
    /// See [`CliError`].
    pub(crate) async fn all(&self, path: &str, query: &[(&str, String)]) -> Result<Vec<Value>, CliError> {
        let mut items = Vec::new();
        loop {
            let mut query = query.to_vec();
            query.extend([("limit", PAGE.to_string()), ("offset", items.len().to_string())]);
            let page = items_of(self.get(path, &query).await?)?;
            let last = page.len() < PAGE;
            items.extend(page);
            if last {
                return Ok(items);
            }
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.authorized(self.http.request(method, format!("{}{path}", self.url)))
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.header("X-Authentication", token.clone()),
            None => request,
        }
    }

    async fn json(&self, request: RequestBuilder) -> Result<Value, CliError> {
        let response = self.checked(request.timeout(REQUEST_TIMEOUT)).await?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        deep::parse(&body)
            .map_err(|error| CliError::Server(format!("{} answered {status} with no JSON: {error}", self.url)))
    }

    async fn checked(&self, request: RequestBuilder) -> Result<Response, CliError> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.bytes().await.unwrap_or_default();
        Err(self.refusal(status, &deep::parse(&body).unwrap_or(Value::Null)))
    }

    fn refusal(&self, status: StatusCode, body: &Value) -> CliError {
        let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
        let msg = text("msg").unwrap_or_else(|| format!("{} answered {status}", self.url));
        let kind = text("kind").unwrap_or_default();
        match status.as_u16() {
            code @ (401 | 403) => {
                CliError::NotPermitted { status: code, kind, msg, token_from: self.origin.token_from.clone() }
            }
            502..=504 => CliError::NotReady { url: self.url.clone(), msg },
            code @ 400..=499 => {
                let details = body.get("details").cloned().unwrap_or(Value::Null);
                CliError::Refused { status: code, kind, msg, details }
            }
            _ => CliError::Server(msg),
        }
    }

    /// What a connection that cannot be made, or breaks off, means.
    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> CliError {
        match distrust(error, self.origin.ca.as_deref()) {
            Some(trouble) => CliError::Untrusted { url: self.url.clone(), reason: innermost(error), trouble },
            None => self.given_up(innermost(error)),
        }
    }

    /// The server is away, for that reason.
    pub(crate) fn given_up(&self, reason: String) -> CliError {
        CliError::Unreachable { url: self.url.clone(), reason, named_by: self.origin.url_from.clone() }
    }
}

/// The array under `items`.
///
/// # Errors
/// When the answer has none.
pub(crate) fn items_of(mut answer: Value) -> Result<Vec<Value>, CliError> {
    match answer.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => Ok(items),
        _ => Err(CliError::Server("the server's answer has no 'items'".to_owned())),
    }
}

/// Whether a connection failed because of the server's certificate, and why that is.
fn distrust(error: &(dyn Error + 'static), ca: Option<&Path>) -> Option<Distrust> {
    let mut next = Some(error);
    while let Some(error) = next {
        // An I/O error passes over the error that it wraps when it is asked for its source.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(trouble) = wrapped.and_then(|error| distrust(error, ca)) {
            return Some(trouble);
        }
        if let Some(rustls::Error::InvalidCertificate(reason)) = error.downcast_ref() {
            return Some(match reason {
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Distrust::Name,
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Distrust::Time,
                _ => Distrust::Issuer { ca: ca.map(Path::to_owned) },
            });
        }
        next = error.source();
    }
    None
}

/// The reason at the bottom: "connection refused" says more than "error sending request for url".
pub(crate) fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn client() -> Client {
        tls::install_provider();
        let url_from = "--url".to_owned();
        let settings = Settings { url: "https://orch:8143".into(), token: None, ca: None, url_from, token_from: None };
        Client::new(&settings).unwrap()
    }

    #[test]
    fn statuses_become_the_right_errors() {
        let client = client();
        let body =
            json!({"kind": "puppetlabs.orchestrator/unknown-job", "msg": "Unknown job 9", "details": {"job": "9"}});
        let exit = |status: u16| client.refusal(StatusCode::from_u16(status).unwrap(), &body).exit().code();
        let table = [(400, 2), (401, 6), (403, 6), (404, 2), (409, 2), (500, 1), (502, 5), (503, 5)];
        for (status, code) in table {
            assert_eq!(exit(status), code, "{status}");
        }
        let foreign = client.refusal(StatusCode::NOT_FOUND, &Value::Null).to_string();
        assert!(foreign.contains("https://orch:8143") && foreign.contains("404"), "{foreign}");
    }

    #[test]
    fn a_certificate_that_is_not_trusted_is_found_below_what_wraps_it() {
        let wrapped = |reason| std::io::Error::other(std::io::Error::other(rustls::Error::InvalidCertificate(reason)));
        let ca = Some(Path::new("/ca.pem"));
        let name = wrapped(CertificateError::NotValidForName);
        assert_eq!(distrust(&name, ca), Some(Distrust::Name));
        assert_eq!(distrust(&wrapped(CertificateError::Expired), ca), Some(Distrust::Time));
        let issuer = wrapped(CertificateError::UnknownIssuer);
        assert_eq!(distrust(&issuer, ca), Some(Distrust::Issuer { ca: Some("/ca.pem".into()) }));
        assert_eq!(distrust(&std::io::Error::other("certificate"), ca), None);
    }

    #[test]
    fn an_answer_without_items_is_refused() {
        assert_eq!(items_of(json!({"items": [1, 2]})).unwrap().len(), 2);
        assert!(items_of(json!({"items": 1})).is_err());
        assert!(items_of(json!([])).is_err());
    }
}
