//! A broker with its transport on a port of its own, and an agent that says whatever a test wants.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bunraku::broker::{Broker, Options, Sessions};
use bunraku::tls::{self, TlsPaths};
use bunraku::transport::{self, PxpTransport};
use bunraku::wire::pcp::{Message, MessageType, Uri};
use bunraku_actors::inbox::Inbox;
use bunraku_actors::model::{Action, CertName, DeployAction, DeployOptions, JobId, JobKind, TransactionId};
use bunraku_actors::ports::{RunRequest, RunSignal, SignalOutlet, Transport};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use uuid::Uuid;

use crate::support::ca::TestCa;

/// Long enough on the busiest machine; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something that has to happen.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Waits until a condition holds that no signal announces.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    soon(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

pub(crate) fn name(text: &str) -> CertName {
    CertName::parse(text).unwrap()
}

pub(crate) fn orchestrator() -> Uri {
    Uri::of("orch.example.com", "orchestrator")
}

/// A broker, its transport, and the CA of both sides.
pub(crate) struct Rig {
    pub(crate) ca: TestCa,
    pub(crate) broker: Broker,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) transport: Arc<PxpTransport>,
    pub(crate) inbox: Inbox<(u64, RunSignal)>,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        tls::install_provider();
        let ca = TestCa::new();
        let paths = ca.issue("orch.example.com");
        let mut options = Options::new("127.0.0.1:0".parse().unwrap(), orchestrator());
        change(&mut options);
        let sessions = Sessions::new();
        let transport_options = transport::Options {
            output_limit: 1000,
            files_at: vec!["https://orch.example.com:8143".to_owned()],
            ..transport::Options::new(orchestrator())
        };
        let transport = PxpTransport::new(Arc::clone(&sessions), transport_options);
        let broker = Broker::start(options, paths, Arc::clone(&sessions), Arc::clone(&transport) as _).await.unwrap();
        Self { ca, broker, sessions, transport, inbox: Inbox::default() }
    }

    /// An agent with a fresh certificate, connected.
    pub(crate) async fn agent(&self, cn: &str) -> Agent {
        self.connect(&self.ca.issue(cn), "/pcp2/agent", &[]).await.unwrap()
    }

    /// An agent of our own making, connected.
    pub(crate) async fn own_agent(&self, cn: &str) -> Agent {
        self.connect(&self.ca.issue(cn), "/pcp2/agent", &[("x-bunraku-spool", "spool-1")]).await.unwrap()
    }

    pub(crate) async fn connect(
        &self,
        paths: &TlsPaths,
        path: &str,
        headers: &[(&'static str, &'static str)],
    ) -> Result<Agent, tungstenite::Error> {
        Agent::connect(self.broker.address(), paths, path, headers).await
    }

    /// The HTTP status and text with which a connection is refused.
    pub(crate) async fn refusal(&self, paths: &TlsPaths, path: &str) -> (u16, String) {
        match self.connect(paths, path, &[]).await.map(|_| ()) {
            Err(tungstenite::Error::Http(response)) => {
                let text = response.body().as_deref().map(|body| String::from_utf8_lossy(body).into_owned());
                (response.status().as_u16(), text.unwrap_or_default())
            }
            other => panic!("expected an HTTP refusal of {path}, got {other:?}"),
        }
    }

    pub(crate) fn outlet(&self, key: u64) -> SignalOutlet {
        SignalOutlet::new(self.inbox.outlet(), key)
    }

    /// Waits for a run of this node under `key` and sends it.
    pub(crate) fn run(&self, node: &str, key: u64) -> TransactionId {
        let transaction = TransactionId(Uuid::new_v4());
        self.transport.expect(&name(node), transaction, JobKind::Deploy, self.outlet(key));
        let spool = self.transport.connection(&name(node)).and_then(|session| session.spool);
        self.transport.send(RunRequest { spool, ..request(node, transaction) });
        transaction
    }

    /// The next signals, as many as asked for.
    pub(crate) async fn signals<const N: usize>(&self) -> [(u64, RunSignal); N] {
        let mut seen = Vec::new();
        while seen.len() < N {
            let batch = soon(&format!("{N} signals; so far {seen:?}"), self.inbox.take()).await;
            seen.extend(batch);
        }
        seen.try_into().unwrap_or_else(|seen| panic!("more than {N} signals: {seen:?}"))
    }

    /// The next signal.
    pub(crate) async fn signal(&self) -> RunSignal {
        let [(_, signal)] = self.signals::<1>().await;
        signal
    }
}

pub(crate) fn request(node: &str, transaction: TransactionId) -> RunRequest {
    let deploy = DeployAction { enforced_environment: None, options: DeployOptions::default() };
    RunRequest { job: JobId(8), node: name(node), transaction, action: Arc::new(Action::Deploy(deploy)), spool: None }
}

/// Results of a Puppet run without changes.
pub(crate) fn unchanged() -> Value {
    json!({"time": "2031-05-04T10:20:43+00:00", "transaction_uuid": "00000039-0000-4000-8000-000000000000",
           "environment": "production", "status": "unchanged", "metrics": {"total": 8}, "exitcode": 0, "version": 1})
}

/// The far end of a session, driven by hand.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) uri: Uri,
    pub(crate) socket: WebSocketStream<TlsStream<TcpStream>>,
}

impl Agent {
    pub(crate) async fn connect(
        address: SocketAddr,
        paths: &TlsPaths,
        path: &str,
        headers: &[(&'static str, &'static str)],
    ) -> Result<Self, tungstenite::Error> {
        let config = tls::client_config(paths).unwrap();
        let tcp = TcpStream::connect(address).await?;
        let stream = TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), tcp).await?;
        let mut request = format!("wss://localhost:{}{path}", address.port()).into_client_request()?;
        for (header, value) in headers {
            request.headers_mut().insert(*header, value.parse().unwrap());
        }
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
        let chain = tls::read_certificates(&paths.cert).unwrap();
        let kind = path.trim_end_matches('/').rsplit('/').next().filter(|kind| *kind != "pcp2").unwrap_or("agent");
        Ok(Self { uri: Uri::of(tls::common_name(&chain[0]).unwrap().as_str(), kind), socket })
    }

    pub(crate) async fn send(&mut self, frame: Frame) {
        soon("a frame to be sent", self.socket.send(frame)).await.unwrap();
    }

    /// Sends a message of this type with this data to the orchestrator; returns its id.
    pub(crate) async fn say(&mut self, kind: MessageType, data: Value) -> Uuid {
        let message = Message::new(kind, Some(self.uri.clone()), Some(orchestrator()), Some(&data));
        self.send(Frame::text(message.encode())).await;
        message.id
    }

    /// Sends the final answer of a Puppet run.
    pub(crate) async fn finish(&mut self, transaction: TransactionId, results: Value) {
        let data = json!({"transaction_id": transaction, "results": results});
        self.say(MessageType::NonBlockingResponse, data).await;
    }

    /// The next message.
    pub(crate) async fn hear(&mut self) -> Message {
        loop {
            match soon("a message", self.socket.next()).await {
                Some(Ok(Frame::Text(text))) => return Message::decode(&text).unwrap(),
                Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                other => panic!("expected a message, got {other:?}"),
            }
        }
    }

    /// The text of the PCP error that comes next, and what it answers.
    pub(crate) async fn hear_error(&mut self) -> (String, Option<Uuid>) {
        let message = self.hear().await;
        assert_eq!(message.message_type, MessageType::ErrorMessage);
        (message.data_as().unwrap(), message.in_reply_to)
    }

    /// Data of the request that comes next, and its message id.
    pub(crate) async fn hear_request(&mut self) -> (Value, Uuid) {
        let message = self.hear().await;
        assert_eq!((message.sender.as_ref(), message.target.as_ref()), (Some(&orchestrator()), Some(&self.uri)));
        (message.data_as().unwrap(), message.id)
    }

    /// The code with which the broker closes; 1006 when it ends the connection without one.
    pub(crate) async fn close_code(&mut self) -> u16 {
        loop {
            match soon("the end of the session", self.socket.next()).await {
                Some(Ok(Frame::Close(Some(close)))) => return close.code.into(),
                Some(Ok(Frame::Close(None))) => return 1005,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return 1006,
            }
        }
    }
}
