//! Simulated node agents over real sockets and TLS: they speak PCP v2 and PXP, run nothing, and keep a ledger of what they
//! were asked to start.
//!
//! They follow pxp-agent where the engine can tell: a known transaction id never starts again, answers go to the sender of
//! the request, a final answer that meets no connection is lost, a status query tells what became of a run, and an agent
//! comes back as soon as it can. The spool is in memory. One whose name begins with `broken` fails everything; its tasks
//! print what they were given.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bunraku::tls;
use bunraku::wire::pcp::{Message, MessageType, Uri};
use bunraku::wire::pxp::{
    BlockingRequest, NO_RESULTS_DIRECTORY, NonBlockingRequest, ProvisionalResponse, Response, Status, StatusResults,
};
use futures_util::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;

use super::ca::TestCa;

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// What simulated agents do with a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behavior {
    /// How long a run takes at least.
    pub(crate) shortest: Duration,
    /// How much longer it may take; spread over the nodes by their transaction ids.
    pub(crate) spread: Duration,
}

/// What all agents of a fleet were asked to do.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    inner: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    /// Transaction id → node and how often it was started.
    starts: BTreeMap<String, (String, u32)>,
    running: usize,
    most_running: usize,
    last_start: Option<Instant>,
}

impl Ledger {
    /// Every started transaction with its node and the number of its starts.
    pub(crate) fn starts(&self) -> Vec<(String, String, u32)> {
        let entries = self.inner.lock();
        entries.starts.iter().map(|(id, (node, times))| (id.clone(), node.clone(), *times)).collect()
    }

    /// The most runs that were ever going on at once.
    pub(crate) fn most_running(&self) -> usize {
        self.inner.lock().most_running
    }

    /// How many runs go on.
    pub(crate) fn running(&self) -> usize {
        self.inner.lock().running
    }

    /// When the last run was started.
    pub(crate) fn last_start(&self) -> Instant {
        self.inner.lock().last_start.unwrap_or_else(Instant::now)
    }

    fn start(&self, transaction: &str, node: &str) {
        let mut entries = self.inner.lock();
        entries.last_start = Some(Instant::now());
        entries.starts.entry(transaction.to_owned()).or_insert_with(|| (node.to_owned(), 0)).1 += 1;
        entries.running += 1;
        entries.most_running = entries.most_running.max(entries.running);
    }

    fn end(&self) {
        self.inner.lock().running -= 1;
    }
}

/// Connected agents; dropping it disconnects them all.
pub(crate) struct Fleet {
    pub(crate) ledger: Arc<Ledger>,
    _agents: JoinSet<()>,
}

/// The pause before an agent tries again to connect.
const RECONNECT: Duration = Duration::from_millis(100);

impl Fleet {
    /// Connects one agent per name; all are connected when it returns, and they stay so as far as the broker lets them.
    pub(crate) async fn connect(ca: &TestCa, broker: SocketAddr, names: &[String], behavior: Behavior) -> Self {
        let ledger = Arc::new(Ledger::default());
        let mut agents = JoinSet::new();
        for name in names {
            let config = Arc::new(tls::client_config(&ca.issue(name)).unwrap());
            let socket = upgrade(broker, &config).await.unwrap();
            let agent = Agent { name: name.clone(), ledger: Arc::clone(&ledger), behavior, runs: BTreeMap::new() };
            agents.spawn(agent.live(broker, config, socket));
        }
        Self { ledger, _agents: agents }
    }
}

async fn upgrade(broker: SocketAddr, config: &Arc<rustls::ClientConfig>) -> anyhow::Result<Socket> {
    let tcp = TcpStream::connect(broker).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from("localhost")?;
    let stream = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await?;
    let url = format!("wss://localhost:{}/pcp2/agent", broker.port());
    let (socket, _) = tokio_tungstenite::client_async(url, stream).await?;
    Ok(socket)
}

struct Agent {
    name: String,
    ledger: Arc<Ledger>,
    behavior: Behavior,
    /// Transaction id → results, once it is over.
    runs: BTreeMap<String, Option<Value>>,
}

/// A run that is over: whom to tell, and what.
struct Over {
    requester: Uri,
    transaction: String,
    results: Value,
}

impl Agent {
    async fn live(mut self, broker: SocketAddr, config: Arc<rustls::ClientConfig>, mut socket: Socket) {
        let (over, mut ended) = mpsc::unbounded_channel();
        loop {
            self.drive(socket, &over, &mut ended).await;
            socket = loop {
                match upgrade(broker, &config).await {
                    Ok(socket) => break socket,
                    Err(_) => sleep(RECONNECT).await,
                }
            };
        }
    }

    /// Serves one connection until it ends.
    async fn drive(
        &mut self,
        socket: Socket,
        over: &mpsc::UnboundedSender<Over>,
        ended: &mut mpsc::UnboundedReceiver<Over>,
    ) {
        let (mut sink, mut frames) = socket.split();
        loop {
            let answers = tokio::select! {
                frame = frames.next() => match frame {
                    Some(Ok(Frame::Text(text))) => self.answer(&Message::decode(&text).unwrap(), over),
                    Some(Ok(_)) => Vec::new(),
                    Some(Err(_)) | None => return,
                },
                Some(run) = ended.recv() => vec![self.end(run)],
            };
            for answer in answers {
                if sink.send(Frame::Text(answer.encode().into())).await.is_err() {
                    return;
                }
            }
        }
    }

    fn end(&mut self, run: Over) -> Message {
        self.ledger.end();
        self.runs.insert(run.transaction.clone(), Some(run.results.clone()));
        let data = Response { transaction_id: run.transaction, results: run.results };
        self.message(MessageType::NonBlockingResponse, run.requester, &data)
    }

    fn message(&self, kind: MessageType, target: Uri, data: &impl serde::Serialize) -> Message {
        Message::new(kind, Some(Uri::of(&self.name, "agent")), Some(target), Some(data))
    }

    fn answer(&mut self, request: &Message, over: &mpsc::UnboundedSender<Over>) -> Vec<Message> {
        let requester = request.sender.clone().expect("the broker fills the sender in");
        match request.message_type {
            MessageType::NonBlockingRequest => {
                let run: NonBlockingRequest = request.data_as().unwrap();
                let answer = ProvisionalResponse { transaction_id: run.transaction_id.clone() };
                if !self.runs.contains_key(&run.transaction_id) {
                    self.start(run, requester.clone(), over.clone());
                }
                vec![self.message(MessageType::ProvisionalResponse, requester, &answer)]
            }
            MessageType::BlockingRequest => {
                let query: BlockingRequest = request.data_as().unwrap();
                let results = self.status(&query);
                let data = Response { transaction_id: query.transaction_id, results };
                vec![self.message(MessageType::BlockingResponse, requester, &data)]
            }
            _ => Vec::new(),
        }
    }

    fn start(&mut self, run: NonBlockingRequest, requester: Uri, over: mpsc::UnboundedSender<Over>) {
        self.ledger.start(&run.transaction_id, &self.name);
        self.runs.insert(run.transaction_id.clone(), None);
        let share = run.transaction_id.bytes().map(u32::from).sum::<u32>() % 100;
        let time = self.behavior.shortest + self.behavior.spread * share / 100;
        let fails = self.name.starts_with("broken");
        let results = if run.module == "task" { task_results(&run, fails) } else { puppet_results(&run, fails) };
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            // The agent may have disconnected meanwhile; then nobody listens.
            let _ = over.send(Over { requester, transaction: run.transaction_id, results });
        });
    }

    fn status(&self, query: &BlockingRequest) -> Value {
        let asked = query.params.get("transaction_id").and_then(Value::as_str).unwrap_or_default();
        let (status, exitcode, stdout) = match self.runs.get(asked) {
            None => {
                let error = json!({"_error": {"kind": "puppetlabs.pxp-agent/execution-error", "details": {}, "msg": NO_RESULTS_DIRECTORY}});
                (Status::Unknown, None, Some(error.to_string()))
            }
            Some(None) => (Status::Running, None, None),
            Some(Some(results)) => (Status::Success, Some(0), Some(results.to_string())),
        };
        serde_json::to_value(StatusResults {
            transaction_id: asked.to_owned(),
            status,
            exitcode,
            stdout,
            stderr: None,
            canceled: false,
            catalog_ready: false,
        })
        .unwrap()
    }
}

fn task_results(run: &NonBlockingRequest, fails: bool) -> Value {
    let printed = if fails { json!(run.params).to_string() } else { "{\"done\":true}\n".to_owned() };
    json!({"exitcode": i32::from(fails), "stdout": printed})
}

fn puppet_results(run: &NonBlockingRequest, fails: bool) -> Value {
    let (status, failed) = if fails { ("failed", 1) } else { ("changed", 0) };
    json!({
        "time": "2031-05-04T10:20:43.796866343+00:00", "transaction_uuid": run.transaction_id,
        "environment": "production", "status": status, "exitcode": failed, "version": 1,
        "metrics": {"total": 8, "skipped": 0, "failed": failed, "failed_to_restart": 0, "restarted": 0, "changed": 1,
                    "out_of_sync": 1, "scheduled": 0, "corrective_change": 0},
    })
}
