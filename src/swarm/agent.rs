//! One simulated agent: connects, answers what it is asked, runs nothing, and comes back when it is cut off.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bunraku_actors::model::CertName;
use futures_util::{SinkExt as _, StreamExt as _};
use rand::RngExt;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use uuid::Uuid;

use super::gauge::Gauge;
use super::profile::Profile;
use crate::wire::pcp::{Message, MessageType, Uri};
use crate::wire::pxp::{
    BUNRAKU_MODULE, BlockingRequest, CANCELED_KEY, CATALOG_READY_KEY, EXECUTION_ERROR_KIND, NO_RESULTS_DIRECTORY,
    NonBlockingRequest, Response, SPOOL_HEADER, STATUS_MODULE, Status, StatusResults, TASK_MODULE,
};

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// How long TCP, TLS and upgrade may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// The first pause after a failure; doubled each time, with chance.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// So many past runs are known; the oldest is forgotten for one more.
const KNOWN: usize = 32;
/// How often a silent session is kept alive.
const PING_EVERY: Duration = Duration::from_secs(120);

/// What all agents of a swarm share.
pub(super) struct Shared {
    pub(super) broker: SocketAddr,
    pub(super) server_name: ServerName<'static>,
    pub(super) profile: Profile,
    pub(super) gauge: Arc<Gauge>,
    pub(super) handshakes: Semaphore,
}

/// A run, as far as it is known.
struct Run {
    transaction: String,
    /// `None` while it goes on.
    results: Option<Value>,
    canceled: bool,
}

/// Something to say later.
struct Due {
    at: Instant,
    message: Message,
    /// The run that is over by it.
    ends: Option<(String, Value)>,
}

/// The agent.
pub(super) struct Agent {
    name: CertName,
    uri: Uri,
    config: Arc<ClientConfig>,
    source: Option<IpAddr>,
    spool: Uuid,
    shared: Arc<Shared>,
    slowness: Duration,
    /// It had a session before.
    returns: bool,
    runs: VecDeque<Run>,
    due: Vec<Due>,
}

impl Agent {
    pub(super) fn new(name: CertName, config: Arc<ClientConfig>, source: Option<IpAddr>, shared: Arc<Shared>) -> Self {
        Self {
            uri: Uri::of(name.as_str(), "agent"),
            slowness: shared.profile.slowness(),
            name,
            config,
            source,
            spool: Uuid::new_v4(),
            shared,
            returns: false,
            runs: VecDeque::new(),
            due: Vec::new(),
        }
    }

    /// Stays connected as far as the broker lets it.
    pub(super) async fn live(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.connect().await {
                Some(socket) => {
                    pause = FIRST_PAUSE;
                    self.returns = true;
                    self.shared.gauge.connected.fetch_add(1, Ordering::Relaxed);
                    self.serve(socket).await;
                    self.shared.gauge.connected.fetch_sub(1, Ordering::Relaxed);
                    self.shared.gauge.lost.fetch_add(1, Ordering::Relaxed);
                }
                None => {
                    self.shared.gauge.failed.fetch_add(1, Ordering::Relaxed);
                }
            }
            let chance = rand::rng().random_range(0.5..1.0);
            sleep(pause.mul_f64(chance)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn connect(&self) -> Option<Socket> {
        let _turn = self.shared.handshakes.acquire().await.ok()?;
        let begun = Instant::now();
        let socket = timeout(CONNECT_TIMEOUT, self.dial()).await.ok()?;
        match socket {
            Ok(socket) => {
                let gauge = &self.shared.gauge;
                let times = if self.returns { &gauge.reconnects } else { &gauge.handshakes };
                times.add(begun.elapsed());
                Some(socket)
            }
            Err(error) => {
                tracing::debug!(node = %self.name, error = %error, "no connection");
                None
            }
        }
    }

    async fn dial(&self) -> anyhow::Result<Socket> {
        let broker = self.shared.broker;
        let socket = if broker.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(source) = self.source {
            socket.bind((source, 0).into())?;
        }
        let tcp = socket.connect(broker).await?;
        tcp.set_nodelay(true)?;
        let tls = TlsConnector::from(Arc::clone(&self.config));
        let stream = tls.connect(self.shared.server_name.clone(), tcp).await?;
        let mut request = format!("wss://{broker}/pcp2/agent").into_client_request()?;
        if !self.shared.profile.pxp {
            let spool = HeaderValue::from_str(&self.spool.to_string())?;
            request.headers_mut().insert(HeaderName::from_static(SPOOL_HEADER), spool);
        }
        let limits = WebSocketConfig::default().read_buffer_size(4 << 10).write_buffer_size(0);
        Ok(client_async_with_config(request, stream, Some(limits)).await?.0)
    }

    /// One session, until it ends.
    async fn serve(&mut self, mut socket: Socket) {
        let cut = self.shared.profile.lifetime().map(|lifetime| Instant::now() + lifetime);
        let mut ping = Instant::now() + PING_EVERY;
        loop {
            let next = self.due.iter().map(|due| due.at).min();
            let wake = [next, cut, Some(ping)].into_iter().flatten().min().unwrap_or(ping);
            let sent = tokio::select! {
                frame = socket.next() => match frame {
                    Some(Ok(Frame::Text(text))) => {
                        self.take(&text);
                        Ok(())
                    }
                    Some(Ok(Frame::Close(_)) | Err(_)) | None => return,
                    Some(Ok(Frame::Binary(_) | Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => Ok(()),
                },
                () = sleep_until(wake) => {
                    let now = Instant::now();
                    if cut.is_some_and(|cut| cut <= now) {
                        return;
                    }
                    if ping <= now {
                        ping = now + PING_EVERY;
                        socket.send(Frame::Ping(Vec::new().into())).await
                    } else {
                        self.say(now, &mut socket).await
                    }
                }
            };
            if sent.is_err() {
                return;
            }
        }
    }

    /// Says everything that is due, with one flush.
    async fn say(&mut self, now: Instant, socket: &mut Socket) -> Result<(), tokio_tungstenite::tungstenite::Error> {
        let mut due: Vec<Due> = self.due.extract_if(.., |due| due.at <= now).collect();
        // What is over is over, also where the session ends before it can be told: a status query finds it.
        due.iter_mut().filter_map(|due| due.ends.take()).for_each(|(id, results)| self.end(&id, results));
        for Due { message, .. } in due {
            socket.feed(Frame::text(message.encode())).await?;
        }
        socket.flush().await
    }

    fn end(&mut self, transaction: &str, results: Value) {
        // One that is forgotten has ended as well.
        self.shared.gauge.ended();
        if let Some(run) = self.runs.iter_mut().find(|run| run.transaction == transaction) {
            run.results = Some(results);
        }
    }

    /// Takes a request; the answers fall due at once, or later.
    fn take(&mut self, text: &str) {
        let Ok(request) = Message::decode(text) else { return };
        let Some(from) = request.sender.clone() else { return };
        match request.message_type {
            MessageType::NonBlockingRequest => {
                if let Ok(run) = request.data_as::<NonBlockingRequest>() {
                    self.start(run, &from);
                }
            }
            MessageType::BlockingRequest => {
                if let Ok(query) = request.data_as::<BlockingRequest>() {
                    self.answer(&query, &from);
                }
            }
            _ => {}
        }
    }

    fn start(&mut self, run: NonBlockingRequest, from: &Uri) {
        self.shared.gauge.requested();
        let now = Instant::now() + self.slowness;
        let id = run.transaction_id;
        self.push(now, MessageType::ProvisionalResponse, from, &json!({ "transaction_id": id }));
        if self.runs.iter().any(|known| known.transaction == id) {
            self.shared.gauge.repeated.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.shared.gauge.started();
        if self.runs.len() >= KNOWN {
            self.runs.pop_front();
        }
        self.runs.push_back(Run { transaction: id.clone(), results: None, canceled: false });
        let profile = self.shared.profile;
        let takes = profile.run_time.draw();
        if !profile.pxp && run.module != TASK_MODULE {
            let ready = json!({ "transaction_id": id, CATALOG_READY_KEY: true });
            self.push(now + takes / 2, MessageType::ProvisionalResponse, from, &ready);
        }
        let results = results(&run.module, &id, profile.fails(), profile.output);
        self.finish(now + takes, id, results, from);
    }

    /// Lets a run be over at that time.
    fn finish(&mut self, at: Instant, id: String, results: Value, from: &Uri) {
        let data = Response { transaction_id: id.clone(), results: results.clone() };
        let message = self.message(MessageType::NonBlockingResponse, from, &data);
        self.due.push(Due { at, message, ends: Some((id, results)) });
    }

    fn answer(&mut self, query: &BlockingRequest, from: &Uri) {
        let about = query.params.get("transaction_id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let results = match query.module.as_str() {
            STATUS_MODULE => self.status(&about),
            BUNRAKU_MODULE if !self.shared.profile.pxp => {
                json!({ "transaction_id": about, "canceled": self.cancel(&about, from) })
            }
            _ => json!({}),
        };
        let data = Response { transaction_id: query.transaction_id.clone(), results };
        self.push(Instant::now() + self.slowness, MessageType::BlockingResponse, from, &data);
    }

    fn status(&self, about: &str) -> Value {
        let (status, exitcode, stdout, canceled) = match self.runs.iter().find(|run| run.transaction == about) {
            None => {
                let error = json!({ "kind": EXECUTION_ERROR_KIND, "details": {}, "msg": NO_RESULTS_DIRECTORY });
                (Status::Unknown, None, Some(json!({ "_error": error }).to_string()), false)
            }
            Some(Run { results: None, .. }) => (Status::Running, None, None, false),
            Some(Run { results: Some(results), canceled, .. }) => {
                let exitcode = results.get("exitcode").and_then(Value::as_i64).unwrap_or_default();
                let status = if exitcode == 0 { Status::Success } else { Status::Failure };
                let text = match results.get("stdout").and_then(Value::as_str) {
                    Some(text) => text.to_owned(),
                    None => results.to_string(),
                };
                (status, Some(exitcode), Some(text), *canceled)
            }
        };
        let transaction_id = about.to_owned();
        let answer =
            StatusResults { transaction_id, status, exitcode, stdout, stderr: None, canceled, catalog_ready: false };
        serde_json::to_value(answer).unwrap_or_default()
    }

    /// Ends a run that goes on; whether it did.
    fn cancel(&mut self, about: &str, from: &Uri) -> bool {
        let Some(run) = self.runs.iter_mut().find(|run| run.transaction == about && run.results.is_none()) else {
            return false;
        };
        run.canceled = true;
        self.due.retain(|due| due.ends.as_ref().is_none_or(|(id, _)| id != about));
        let results = json!({ CANCELED_KEY: true, "exitcode": 143 });
        self.finish(Instant::now(), about.to_owned(), results, from);
        true
    }

    fn push(&mut self, at: Instant, kind: MessageType, to: &Uri, data: &impl serde::Serialize) {
        let message = self.message(kind, to, data);
        self.due.push(Due { at, message, ends: None });
    }

    fn message(&self, kind: MessageType, to: &Uri, data: &impl serde::Serialize) -> Message {
        Message::new(kind, Some(self.uri.clone()), Some(to.clone()), Some(data))
    }
}

/// What a run leaves behind: as much output as asked for.
fn results(module: &str, id: &str, fails: bool, output: usize) -> Value {
    let exitcode = i32::from(fails);
    let text = "x".repeat(output);
    if module == TASK_MODULE {
        return json!({ "exitcode": exitcode, "stdout": text });
    }
    let mut results = json!({
        "time": "2031-05-04T10:20:43.796866343+00:00", "transaction_uuid": id, "environment": "production",
        "status": if fails { "failed" } else { "unchanged" }, "exitcode": exitcode, "version": 1,
        "metrics": { "total": 8, "failed": exitcode, "changed": 0, "skipped": 0, "out_of_sync": 0, "restarted": 0,
                     "failed_to_restart": 0, "scheduled": 0, "corrective_change": 0 },
    });
    if output > 0 {
        results["resource_events"] = json!([{ "resource_type": "Notify", "resource_title": "swarm", "message": text }]);
    }
    results
}
