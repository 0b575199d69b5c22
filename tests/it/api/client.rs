//! A client of the API, and the recording of answers.

use std::fmt::Write as _;

use bunraku::api::openapi::slug;
use bunraku::tls::{TlsPaths, anonymous_client_config, client_config};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::world::World;

pub(crate) struct Client {
    http: reqwest::Client,
    origin: String,
    token: Option<String>,
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Client {
    pub(crate) fn new(world: &World, token: Option<&str>, certificate: Option<&TlsPaths>) -> Self {
        let config = match certificate {
            Some(paths) => client_config(paths).unwrap(),
            None => anonymous_client_config(&world.ca.ca()).unwrap(),
        };
        let http = reqwest::Client::builder().tls_backend_preconfigured(config).build().unwrap();
        let origin = format!("https://localhost:{}", world.server.addr.port());
        Self { http, origin, token: token.map(str::to_owned) }
    }

    /// What stands before the path in all its requests.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// A request with the client's token.
    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.http.request(method, format!("{}{path}", self.origin));
        match &self.token {
            Some(token) => request.header("X-Authentication", token),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request("GET", path)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request("PUT", path).body(body.to_string())).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.request("DELETE", path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request("POST", path).body(body.to_string())).await
    }
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        assert_safe(&headers);
        Self { status, headers, text: response.text().await.unwrap() }
    }

    /// The same for what is no answer of the API: it may be kept.
    pub(crate) async fn of_page(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Records the answer as one of this endpoint: `GET /path/{of}/the/table`.
    #[track_caller]
    pub(crate) fn record(&self, endpoint: &str, case: &str) {
        let mut shown = format!("{}\n{}\n", self.status, self.header("content-type"));
        for name in ["retry-after", "allow"] {
            if self.headers.contains_key(name) {
                writeln!(shown, "{name}: {}", self.header(name)).unwrap();
            }
        }
        match serde_json::from_str::<Value>(&self.text) {
            Ok(mut value) => {
                redact(&mut value);
                shown.push_str(&serde_json::to_string_pretty(&value).unwrap());
            }
            Err(_) => shown.push_str(&self.text),
        }
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(format!("{}@{case}", slug(endpoint)), shown);
        });
    }
}

/// What every answer has and has not, whatever it is about.
pub(crate) fn assert_safe(headers: &HeaderMap) {
    let expected = [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ];
    for (name, value) in expected {
        assert_eq!(headers.get(name).map(|value| value.to_str().unwrap()), Some(value), "{name} in {headers:?}");
    }
    // A page allows itself what it is made of, and nobody to frame it.
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; ") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("http") && !policy.contains("script-src 'self' 'unsafe"), "{policy}");
    let absent =
        |name: &str| name.starts_with("access-control-") || ["strict-transport-security", "server"].contains(&name);
    let stray: Vec<_> = headers.keys().map(reqwest::header::HeaderName::as_str).filter(|name| absent(name)).collect();
    assert!(stray.is_empty(), "{stray:?}");
}

/// Hides what differs from run to run: new ids, token texts, the version.
fn redact(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                let hidden = match key.as_str() {
                    // Written lazily: null or a time.
                    "last_used_at" => true,
                    "token" | "service_version" => value.is_string(),
                    "id" | "token_id" => value.as_str().is_some_and(|text| uuid::Uuid::parse_str(text).is_ok()),
                    _ => false,
                };
                if hidden {
                    *value = Value::from(format!("[{key}]"));
                } else {
                    redact(value);
                }
            }
        }
        _ => {}
    }
}
