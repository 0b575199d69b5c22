//! Dialing a broker: TCP, mutual TLS, the WebSocket upgrade. One attempt, one connection; no retries here.

use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::USER_AGENT;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Uri};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, handshake::client::Request};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use uuid::Uuid;

use super::config::AgentConfig;
use super::facts;
use crate::tls::{self, TlsError};
use crate::wire::pxp::{FACTS_HEADER, SPOOL_HEADER};

/// TCP, TLS and upgrade together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Where brokers listen.
const DEFAULT_PORT: u16 = 8142;

/// An established connection.
pub(super) type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("'{uri}' is no usable broker URI: {reason}")]
    Uri { uri: String, reason: String },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot reach {host}:{port}: {source}")]
    Reach { host: String, port: u16, source: std::io::Error },
    #[error("the broker answered with HTTP status {0}")]
    Refused(u16),
    #[error("the upgrade failed: {0}")]
    Upgrade(Box<WsError>),
    #[error("no connection within {CONNECT_TIMEOUT:?}")]
    TimedOut,
}

/// Connects to one broker as client type `agent`.
pub(super) async fn connect(config: &AgentConfig, uri: &str, spool: Uuid) -> Result<Socket, ConnectError> {
    match tokio::time::timeout(CONNECT_TIMEOUT, dial(config, uri, spool)).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::TimedOut),
    }
}

async fn dial(config: &AgentConfig, uri: &str, spool: Uuid) -> Result<Socket, ConnectError> {
    let invalid = |reason: String| ConnectError::Uri { uri: uri.to_owned(), reason };
    let (mut request, host, port) = upgrade_request(uri, spool).map_err(invalid)?;
    let facts =
        HeaderValue::from_str(&facts::header(&config.facts_dirs)).map_err(|error| invalid(error.to_string()))?;
    request.headers_mut().insert(HeaderName::from_static(FACTS_HEADER), facts);
    let tls = TlsConnector::from(Arc::new(tls::client_config(&config.ssl.paths())?));
    let reach = |source| ConnectError::Reach { host: host.clone(), port, source };
    let tcp = TcpStream::connect((host.as_str(), port)).await.map_err(reach)?;
    tcp.set_nodelay(true).map_err(reach)?;
    let name = ServerName::try_from(host.clone()).map_err(|error| invalid(error.to_string()))?;
    let stream = tls.connect(name, tcp).await.map_err(reach)?;
    let limits = WebSocketConfig::default()
        .read_buffer_size(8 << 10)
        .write_buffer_size(0)
        .max_message_size(Some(config.max_message_size))
        .max_frame_size(Some(config.max_message_size));
    match client_async_with_config(request, stream, Some(limits)).await {
        Ok((socket, _)) => Ok(socket),
        Err(WsError::Http(response)) => Err(ConnectError::Refused(response.status().as_u16())),
        Err(error) => Err(ConnectError::Upgrade(Box::new(error))),
    }
}

/// The request, and where it goes: `<uri>/agent`.
fn upgrade_request(uri: &str, spool: Uuid) -> Result<(Request, String, u16), String> {
    let slash = if uri.ends_with('/') { "" } else { "/" };
    let parsed: Uri = format!("{uri}{slash}agent").parse().map_err(|error| format!("{error}"))?;
    let host = parsed.host().ok_or("it names no host")?.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = parsed.port_u16().unwrap_or(DEFAULT_PORT);
    let mut request = parsed.into_client_request().map_err(|error| error.to_string())?;
    let headers = request.headers_mut();
    let spool = HeaderValue::from_str(&spool.to_string()).map_err(|error| error.to_string())?;
    headers.insert(HeaderName::from_static(SPOOL_HEADER), spool);
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("bunraku-agent/", env!("CARGO_PKG_VERSION"))));
    Ok((request, host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_type_is_appended_and_the_spool_named() {
        let spool = Uuid::new_v4();
        for (uri, expected) in [("wss://h:18142/pcp2/", 18142), ("wss://h/pcp2", 8142)] {
            let (request, host, port) = upgrade_request(uri, spool).unwrap();
            assert_eq!((request.uri().path(), host.as_str(), port), ("/pcp2/agent", "h", expected));
            assert_eq!(request.headers()[SPOOL_HEADER], spool.to_string().as_str());
            assert!(request.headers()["user-agent"].to_str().unwrap().starts_with("bunraku-agent/"));
        }
        let (_, host, _) = upgrade_request("wss://[::1]:8142/pcp2/", spool).unwrap();
        assert_eq!(host, "::1");
    }
}
