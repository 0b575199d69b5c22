//! A client that writes bytes as it likes, for requests that no HTTP library would send.

use std::sync::Arc;
use std::time::Duration;

use bunraku::tls::{anonymous_client_config, client_config};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::client::{Answer, assert_safe};
use super::world::World;

/// Longer than any server may wait.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A connection.
pub(crate) struct Raw(TlsStream<TcpStream>);

impl Raw {
    pub(crate) async fn connect(world: &World) -> Self {
        Self::try_connect(world).await.unwrap()
    }

    pub(crate) async fn try_connect(world: &World) -> std::io::Result<Self> {
        Self::with(world, anonymous_client_config(&world.ca.ca()).unwrap()).await
    }

    /// A connection with the certificate of a node.
    pub(crate) async fn node(world: &World, name: &str) -> Self {
        Self::with(world, client_config(&world.ca.issue(name)).unwrap()).await.unwrap()
    }

    async fn with(world: &World, mut config: ClientConfig) -> std::io::Result<Self> {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tcp = TcpStream::connect(world.server.addr).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map(Self)
    }

    /// Sends this, and fails when the other side does not take it.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.0.write_all(bytes.as_ref()).await?;
        self.0.flush().await
    }

    /// Reads one answer, which must have a length or no body at all.
    pub(crate) async fn answer(&mut self) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.expect("the connection ends before the answer"));
        }
        let (status, headers) = parse(std::str::from_utf8(&head).unwrap());
        let length = headers.get("content-length").map_or(0, |length| length.to_str().unwrap().parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        if status != 100 {
            assert_safe(&headers);
        }
        Answer { status, headers, text: String::from_utf8(body).unwrap() }
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request).await.unwrap();
        self.answer().await
    }

    /// Sends a byte now and then until the other side closes, and returns what it said.
    pub(crate) async fn drip(self) -> Answer {
        let (mut read, mut write) = tokio::io::split(self.0);
        let mut all = Vec::new();
        let drops = async {
            while write.write_all(b"x").await.is_ok() && write.flush().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = read.read_to_end(&mut all) => {}
            () = drops => {}
            () = tokio::time::sleep(PATIENCE) => panic!("the other side never has enough"),
        }
        let all = String::from_utf8(all).unwrap();
        let (head, body) = all.split_once("\r\n\r\n").unwrap();
        let (status, headers) = parse(head);
        assert_safe(&headers);
        Answer { status, headers, text: body.to_owned() }
    }

    /// Reads until the other side closes, and returns what still came.
    pub(crate) async fn end(mut self) -> String {
        let mut rest = Vec::new();
        // Closed with or without the TLS farewell: both are an end.
        let end = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut rest)).await;
        assert!(end.is_ok(), "the other side does not close: {}", String::from_utf8_lossy(&rest));
        String::from_utf8_lossy(&rest).into_owned()
    }
}

/// One request on a connection of its own.
pub(crate) async fn ask(world: &World, request: impl AsRef<[u8]>) -> Answer {
    Raw::connect(world).await.ask(request).await
}

fn parse(head: &str) -> (u16, HeaderMap) {
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let field = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value.trim()).unwrap())
    };
    (status, lines.map(field).collect())
}
