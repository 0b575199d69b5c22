//! A broker that does what the test says: it accepts one agent at a time and shows every frame. And a server of files.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bunraku::tls::{self, ReloadableVerifier, TlsPaths};
use bunraku::wire::pcp::{Message, MessageType, Uri};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::Message as Frame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use uuid::Uuid;

/// Far beyond anything that happens; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Listens for agents.
pub(super) struct FakeBroker {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

/// An agent's connection.
pub(super) struct Connection {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    /// Path, spool and name of the agent, as the upgrade request tells them.
    pub(super) path: String,
    pub(super) spool: String,
    pub(super) user_agent: String,
}

fn acceptor(paths: &TlsPaths) -> TlsAcceptor {
    let verifier = ReloadableVerifier::load(paths, true).unwrap();
    TlsAcceptor::from(Arc::new(tls::server_config(paths, verifier).unwrap()))
}

impl FakeBroker {
    pub(super) async fn start(paths: &TlsPaths) -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), acceptor: acceptor(paths) }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The next connection of an agent.
    pub(super) async fn accept(&self) -> Connection {
        timeout(PATIENCE, self.upgrade()).await.expect("an agent connects")
    }

    /// The next TLS handshake, and the first read after it: only then is a refusal of the peer seen in TLS 1.3.
    pub(super) async fn try_handshake(&self) -> std::io::Result<()> {
        let (tcp, _) = timeout(PATIENCE, self.listener.accept()).await.expect("an agent connects")?;
        let mut stream = self.acceptor.accept(tcp).await?;
        stream.read_u8().await.map(|_| ())
    }

    #[expect(clippy::result_large_err, reason = "the type of the library's callback")]
    async fn upgrade(&self) -> Connection {
        let (tcp, _) = self.listener.accept().await.unwrap();
        let stream = self.acceptor.accept(tcp).await.unwrap();
        let mut seen = (String::new(), String::new(), String::new());
        let callback = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            let header = |name: &str| {
                request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
            };
            seen = (request.uri().path().to_owned(), header("x-bunraku-spool"), header("user-agent"));
            Ok(response)
        };
        let socket = accept_hdr_async(stream, callback).await.unwrap();
        let (path, spool, user_agent) = seen;
        Connection { socket, path, spool, user_agent }
    }
}

fn orchestrator() -> Uri {
    Uri::of("orch.example.com", "orchestrator")
}

impl Connection {
    pub(super) async fn send_text(&mut self, text: &str) {
        self.socket.send(Frame::text(text.to_owned())).await.unwrap();
    }

    /// Sends a request; its message id.
    pub(super) async fn send(&mut self, kind: MessageType, data: &Value) -> Uuid {
        let target = Uri::of("web1.example.com", "agent");
        let message = Message::new(kind, Some(orchestrator()), Some(target), Some(data));
        self.send_text(&message.encode()).await;
        message.id
    }

    /// The next message of the agent.
    pub(super) async fn receive(&mut self) -> (MessageType, Value, Message) {
        loop {
            let frame = timeout(PATIENCE, self.socket.next()).await.expect("a frame").expect("a connection").unwrap();
            if let Frame::Text(text) = frame {
                let message = Message::decode(text.as_str()).unwrap();
                assert_eq!(message.sender, Some(Uri::of("web1.example.com", "agent")));
                assert_eq!(message.target, Some(orchestrator()));
                return (message.message_type.clone(), message.data_as().unwrap(), message);
            }
        }
    }

    /// What the agent said last, once it is gone.
    pub(super) async fn last_text(&mut self) -> Option<String> {
        let mut last = None;
        while let Some(Ok(frame)) = timeout(PATIENCE, self.socket.next()).await.expect("the connection ends") {
            if let Frame::Text(text) = frame {
                last = Some(text.as_str().to_owned());
            }
        }
        last
    }

    /// The next message, which must be of this type.
    pub(super) async fn expect(&mut self, kind: MessageType) -> Value {
        let (actual, data, _) = self.receive().await;
        assert_eq!(actual, kind, "{data}");
        data
    }

    /// A blocking request and its results.
    pub(super) async fn ask(&mut self, module: &str, action: &str, params: Value) -> Value {
        let id = Uuid::new_v4();
        let data = json!({"transaction_id": id, "module": module, "action": action, "params": params});
        self.send(MessageType::BlockingRequest, &data).await;
        let answer = self.expect(MessageType::BlockingResponse).await;
        assert_eq!(answer["transaction_id"], id.to_string());
        answer["results"].clone()
    }

    pub(super) async fn status(&mut self, transaction: Uuid) -> Value {
        self.ask("status", "query", json!({"transaction_id": transaction})).await
    }

    pub(super) async fn cancel(&mut self, transaction: Uuid) -> Value {
        self.ask("bunraku", "cancel", json!({"transaction_id": transaction})).await["canceled"].clone()
    }

    /// A non-blocking request; nothing is awaited.
    pub(super) async fn start(&mut self, transaction: Uuid, module: &str, params: &Value) -> Uuid {
        let data = json!({
            "transaction_id": transaction, "module": module, "action": "run", "params": params, "notify_outcome": true,
        });
        self.send(MessageType::NonBlockingRequest, &data).await
    }

    /// A non-blocking request, its provisional and its final answer; notices of the catalog between them are skipped.
    pub(super) async fn run(&mut self, transaction: Uuid, module: &str, params: &Value) -> Value {
        self.start(transaction, module, params).await;
        self.expect(MessageType::ProvisionalResponse).await;
        self.results(transaction).await
    }

    /// The results of the final answer.
    pub(super) async fn results(&mut self, transaction: Uuid) -> Value {
        loop {
            let (kind, data, _) = self.receive().await;
            assert_eq!(data["transaction_id"], transaction.to_string());
            if kind != MessageType::ProvisionalResponse {
                assert_eq!(kind, MessageType::NonBlockingResponse, "{data}");
                return data["results"].clone();
            }
        }
    }
}

/// Serves files over HTTPS, as often as asked, and counts.
pub(super) async fn serve_files(paths: &TlsPaths, files: BTreeMap<String, String>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = acceptor(paths);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(tcp).await {
                serve_file(stream, &files).await;
            }
        }
    });
    address
}

async fn serve_file(mut stream: TlsStream<TcpStream>, files: &BTreeMap<String, String>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap_or_default();
    let (status, body) = files.get(target).map_or(("404 Not Found", "not found"), |body| ("200 OK", body.as_str()));
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    // An agent that has heard enough closes early.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}
