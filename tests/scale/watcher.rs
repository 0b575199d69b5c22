//! A client that asks and then reads nothing, until it is made to.

use std::sync::Arc;
use std::time::Duration;

use bunraku::tls;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::site::Site;

/// Some events of the largest kind fit, and by far not all.
const RECEIVE_BUFFER: u32 = 256 << 10;
/// When nothing comes for so long, nothing more will.
const SILENCE: Duration = Duration::from_secs(60);

/// The client.
pub(crate) struct Watcher {
    stream: TlsStream<TcpStream>,
    /// As `/proc/net/tcp` writes it.
    port: String,
}

/// What came in the end.
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    /// Whether it came whole.
    pub(crate) whole: bool,
}

impl Watcher {
    /// Sends a request.
    pub(crate) async fn open(site: &Site, path: &str, accept: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(RECEIVE_BUFFER).unwrap();
        let tcp = socket.connect(format!("{}:{}", site.host, Site::API).parse().unwrap()).await.unwrap();
        let port = format!(":{:04X}", tcp.local_addr().unwrap().port());
        let connector = TlsConnector::from(Arc::new(tls::anonymous_client_config(&site.ca()).unwrap()));
        let name = ServerName::try_from(site.host.clone()).unwrap();
        let mut stream = connector.connect(name, tcp).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: {accept}\r\nX-Authentication: {}\r\nConnection: close\r\n\r\n",
            site.host, site.token
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        Self { stream, port }
    }

    /// Whether the service still has its end of the connection.
    pub(crate) fn is_held(&self) -> bool {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let api = format!(":{:04X}", Site::API);
        table.lines().any(|line| {
            let mut words = line.split_whitespace().skip(1);
            let (local, remote) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            // What only waits for its last word to be read is no connection of a process.
            let open = matches!(words.next(), Some("01" | "08"));
            open && local.ends_with(&api) && remote.ends_with(&self.port)
        })
    }

    /// Reads at last.
    pub(crate) async fn read(mut self) -> Body {
        let mut all = Vec::new();
        let mut piece = vec![0; 64 << 10];
        // An error is how a connection ends that was cut off.
        while let Ok(Ok(count @ 1..)) = timeout(SILENCE, self.stream.read(&mut piece)).await {
            all.extend_from_slice(&piece[..count]);
        }
        unchunk(&all)
    }
}

/// The body of a chunked answer.
fn unchunk(answer: &[u8]) -> Body {
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{} bytes came", answer.len());
    let (mut rest, mut bytes) = (&answer[head..], Vec::new());
    while let Some(end) = rest.windows(2).position(|end| end == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return Body { bytes, whole: true };
        }
        let chunk = &rest[end + 2..];
        bytes.extend_from_slice(&chunk[..length.min(chunk.len())]);
        rest = chunk.get(length + 2..).unwrap_or_default();
    }
    Body { bytes, whole: false }
}

/// The numbers of the events that came whole.
pub(crate) fn event_numbers(stream: &[u8]) -> Vec<u64> {
    let text = String::from_utf8_lossy(stream);
    let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
    let ids = whole.split("\n\n").filter_map(|event| event.strip_prefix("id: ")?.lines().next()?.parse().ok());
    ids.collect()
}
