//! The HTTP side of a new connection: the head of the upgrade request, what it asks for, and how it is answered.
//!
//! Parsing and texts only. Everything that may last is refused here, with an HTTP status: agents back off from that,
//! while a close after the upgrade brings them back within a quarter of a second (`docs/pcp.md` §9).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::wire::pxp::{FACTS_HEADER, SPOOL_HEADER};

/// The largest request head that is read; a longer one is refused.
pub(super) const HEAD_LIMIT: usize = 8 * 1024;
const HEADERS_LIMIT: usize = 32;
/// What our agent says about itself is kept up to this length.
const VALUE_LIMIT: usize = 128;

/// What an upgrade request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// The client type in the path; `agent` when there is none.
    pub kind: String,
    /// `Sec-WebSocket-Key`.
    pub key: String,
    /// The spool that our own agent names.
    pub spool: Option<String>,
    /// `User-Agent`.
    pub agent: Option<String>,
    /// Facts that our own agent tells: a JSON object.
    pub facts: Option<Arc<str>>,
}

/// A refusal at HTTP level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    /// For metrics: one word.
    pub reason: &'static str,
    /// For the peer: one sentence.
    pub text: &'static str,
}

macro_rules! refusals {
    ($($name:ident = $status:literal $reason:literal $text:literal;)*) => {
        impl Refusal {
            $(pub const $name: Self = Self { status: $status, reason: $reason, text: $text };)*
        }
    };
}

refusals! {
    BAD_REQUEST = 400 "bad_request" "this is not an HTTP/1.1 request for a WebSocket";
    NO_COMMON_NAME = 403 "no_common_name" "the client certificate has no common name that is a certname";
    REVOKED = 403 "revoked" "the client certificate is not accepted any more";
    TYPE_REFUSED = 403 "type_refused" "this certificate may not connect as this client type";
    UNKNOWN_PATH = 404 "unknown_path" "PCP version 2 is served at /pcp2/ and /pcp2/<client type>";
    VERSION_1 = 404 "version_1" "PCP version 1 is not served; set pcp-version 2 and use /pcp2/";
    NOT_AN_UPGRADE = 426 "not_an_upgrade" "this path speaks WebSocket version 13 only";
    HEAD_TOO_LARGE = 431 "head_too_large" "the head of the request is too large";
    FULL = 503 "connection_limit" "the connection limit is reached; try again later";
    CONTENDED = 503 "contended" "two agents use this certname and keep superseding each other; try again later";
    STOPPING = 503 "stopping" "the broker is stopping; try again later";
}

impl Refusal {
    /// The whole response.
    #[must_use]
    pub fn response(&self) -> String {
        let name = match self.status {
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            426 => "Upgrade Required",
            431 => "Request Header Fields Too Large",
            _ => "Service Unavailable",
        };
        let extra = if self.status == 426 { "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" } else { "" };
        format!(
            "HTTP/1.1 {} {name}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n{extra}\r\n{}\n",
            self.status,
            self.text.len() + 1,
            self.text
        )
    }
}

impl Upgrade {
    /// Reads a request head, complete with its final empty line.
    ///
    /// # Errors
    /// With the refusal to answer when it is no upgrade request for a path that we serve.
    pub fn parse(head: &[u8]) -> Result<Self, Refusal> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_LIMIT];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(head) {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HEAD_TOO_LARGE),
            _ => return Err(Refusal::BAD_REQUEST),
        }
        if request.method != Some("GET") || request.version != Some(1) {
            return Err(Refusal::BAD_REQUEST);
        }
        let kind = client_type(request.path.unwrap_or_default())?.to_owned();
        let value = |name: &str| header(request.headers, name);
        let upgrades = has_token(value("upgrade"), "websocket") && has_token(value("connection"), "upgrade");
        let key = value("sec-websocket-key").filter(|key| key.len() == 24);
        match (upgrades, value("sec-websocket-version"), key) {
            (true, Some("13"), Some(key)) => {
                let kept = |name| value(name).map(|text| text.chars().take(VALUE_LIMIT).collect());
                Ok(Self {
                    kind,
                    key: key.to_owned(),
                    spool: kept(SPOOL_HEADER),
                    agent: kept("user-agent"),
                    facts: value(FACTS_HEADER).and_then(facts),
                })
            }
            _ => Err(Refusal::NOT_AN_UPGRADE),
        }
    }

    /// The response that turns the connection into a WebSocket.
    #[must_use]
    pub fn response(&self) -> String {
        let accept = derive_accept_key(self.key.as_bytes());
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )
    }
}

/// What an agent tells of its node. Of what is trusted only its certificate could tell.
fn facts(header: &str) -> Option<Arc<str>> {
    let text = STANDARD.decode(header).ok()?;
    let mut facts: Map<String, Value> = serde_json::from_slice(&text).ok()?;
    facts.remove("trusted");
    Some(Value::Object(facts).to_string().into())
}

fn header<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(found.value).ok().map(str::trim)
}

fn has_token(value: Option<&str>, token: &str) -> bool {
    value.is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token)))
}

/// The client type that a path stands for (`docs/pcp.md` §1.2).
fn client_type(path: &str) -> Result<&str, Refusal> {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let below = |mount: &str| path.strip_prefix(mount).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    if below("/pcp").is_some() {
        return Err(Refusal::VERSION_1);
    }
    let rest = below("/pcp2").ok_or(Refusal::UNKNOWN_PATH)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    match rest.strip_prefix('/').unwrap_or_default() {
        "" => Ok("agent"),
        "server" => Err(Refusal::TYPE_REFUSED),
        kind if kind.bytes().all(allowed) => Ok(kind),
        _ => Err(Refusal::UNKNOWN_PATH),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(path: &str, extra: &str) -> Vec<u8> {
        format!(
            "GET {path} HTTP/1.1\r\nHost: h:8142\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extra}\r\n"
        )
        .into_bytes()
    }

    #[test]
    fn paths_follow_the_mount_points() {
        let kind = |path: &str| Upgrade::parse(&request(path, "")).map(|upgrade| upgrade.kind);
        for agent in ["/pcp2", "/pcp2/", "/pcp2/agent", "/pcp2/agent?x=/y"] {
            assert_eq!(kind(agent).as_deref(), Ok("agent"), "{agent}");
        }
        assert_eq!(kind("/pcp2/controller").as_deref(), Ok("controller"));
        assert_eq!(kind("/pcp2/server"), Err(Refusal::TYPE_REFUSED));
        for v1 in ["/pcp", "/pcp/", "/pcp/agent"] {
            assert_eq!(kind(v1), Err(Refusal::VERSION_1), "{v1}");
        }
        for unknown in ["/", "/pcp3", "/pcp2x", "/pcp2/a/b", "/pcp2/agent/", "/pcp2/*", "/pcp2/a%2fb"] {
            assert_eq!(kind(unknown), Err(Refusal::UNKNOWN_PATH), "{unknown}");
        }
    }

    #[test]
    fn facts_are_an_object_in_base64_and_nobody_trusts_himself() {
        let told = |value: &str| {
            let head = request("/pcp2/", &format!("X-Bunraku-Facts: {value}\r\n"));
            Upgrade::parse(&head).unwrap().facts
        };
        let encoded = |text: &str| STANDARD.encode(text);
        assert_eq!(told(&encoded(r#"{"a":1,"trusted":{"b":2}}"#)).as_deref(), Some(r#"{"a":1}"#));
        for bad in ["", "{}", "!!", &encoded("[1]"), &encoded("{")] {
            assert_eq!(told(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_version_13_upgrades_are_taken() {
        let good = String::from_utf8(request("/pcp2/", "User-Agent: a/1\r\nX-Bunraku-Spool: s1\r\n")).unwrap();
        let upgrade = Upgrade::parse(good.as_bytes()).unwrap();
        assert_eq!((upgrade.agent.as_deref(), upgrade.spool.as_deref()), (Some("a/1"), Some("s1")));
        // The key and its answer are the example of RFC 6455 §1.3.
        assert!(upgrade.response().contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        for (from, to) in [("13", "8"), ("WebSocket\r", "h2c\r"), ("nonce", "n"), (", Upgrade", "")] {
            let refused = Upgrade::parse(good.replace(from, to).as_bytes());
            assert!(refused.is_ok() == good.replace(from, to).eq(&good) || refused == Err(Refusal::NOT_AN_UPGRADE));
        }
        assert_eq!(Upgrade::parse(good.replace("GET", "POST").as_bytes()), Err(Refusal::BAD_REQUEST));
        assert_eq!(Upgrade::parse(format!("{good}early").as_bytes()), Err(Refusal::BAD_REQUEST));
        assert!(Refusal::FULL.response().starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
    }

    proptest! {
        #[test]
        fn arbitrary_heads_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Upgrade::parse(&bytes);
        }
    }
}
