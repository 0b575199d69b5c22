//! One life of the scripted agent, from its start to the moment at which it is killed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bunraku::tls::{self, TlsPaths};
use futures_util::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::USER_AGENT;

use super::answers;
use super::spool::{Spool, exitcode};
use crate::signs::{Sign, Signs};
use crate::site::Site;
use bunraku_actors::testing::Chance;

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Records its process id, runs the work, and writes the exit code last.
const WRAPPER: &str = "echo $$ > \"$1/pid.new\" && mv \"$1/pid.new\" \"$1/pid\" || exit 1\n\
    dir=$1; shift\n\"$@\" > \"$dir/stdout\" 2> \"$dir/stderr\"\n\
    echo $? > \"$dir/exitcode.new\" && mv \"$dir/exitcode.new\" \"$dir/exitcode\"\n";

/// A living agent.
pub(super) struct Life {
    pub(super) name: String,
    pub(super) broker: String,
    pub(super) tls: TlsPaths,
    pub(super) spool: Spool,
    pub(super) work: PathBuf,
    /// Transactions that a thread of this life looks after.
    pub(super) workers: Mutex<BTreeSet<String>>,
    /// The present connection.
    pub(super) out: Mutex<Option<mpsc::UnboundedSender<String>>>,
    pub(super) chance: Mutex<Chance>,
    pub(super) signs: Signs,
    pub(super) cut: Arc<Notify>,
}

impl Life {
    /// Connects, serves and connects again.
    pub(super) async fn live(self: Arc<Self>) {
        // Dropped, and so killed, with this life.
        let mut threads = JoinSet::new();
        loop {
            if let Ok(socket) = self.connect().await {
                self.serve(socket, &mut threads).await;
                *self.out.lock() = None;
            }
            let pause = self.chance.lock().millis(50, 300);
            sleep(pause).await;
        }
    }

    async fn connect(&self) -> anyhow::Result<Socket> {
        let config = Arc::new(tls::client_config(&self.tls)?);
        let tcp = TcpStream::connect((self.broker.as_str(), Site::BROKER)).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(self.broker.clone())?;
        let stream = TlsConnector::from(config).connect(name, tcp).await?;
        let mut request = format!("wss://{}:{}/pcp2/agent", self.broker, Site::BROKER).into_client_request()?;
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("WebSocket++/0.8.2"));
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
        Ok(socket)
    }

    async fn serve(self: &Arc<Self>, socket: Socket, threads: &mut JoinSet<()>) {
        let (mut sink, mut frames) = socket.split();
        let (out, mut queue) = mpsc::unbounded_channel::<String>();
        *self.out.lock() = Some(out);
        let write = async {
            while let Some(frame) = queue.recv().await {
                if sink.send(Frame::Text(frame.into())).await.is_err() {
                    return;
                }
            }
        };
        let read = async {
            while let Some(Ok(frame)) = frames.next().await {
                if let Frame::Text(text) = frame {
                    self.handle(serde_json::from_str(&text).unwrap(), threads).await;
                }
            }
        };
        tokio::select! {
            () = write => {}
            () = read => {}
            () = self.cut.notified() => {}
        }
    }

    /// Sends on the present connection; without one the frame is lost.
    fn send(&self, frame: String) {
        if let Some(out) = &*self.out.lock() {
            // A connection that is ending loses it as well.
            let _ = out.send(frame);
        }
    }

    fn uri(&self) -> String {
        format!("pcp://{}/agent", self.name)
    }

    /// A moment in which the agent can be killed.
    async fn breathe(&self) {
        let pause = self.chance.lock().millis(0, 3);
        sleep(pause).await;
    }

    async fn handle(self: &Arc<Self>, request: Value, threads: &mut JoinSet<()>) {
        let kind =
            request["message_type"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned();
        match kind.as_str() {
            "rpc_non_blocking_request" => {
                self.signs.give(Sign::Request);
                self.accept(request, threads).await;
            }
            "rpc_blocking_request" => self.answer(&request),
            _ => {}
        }
    }

    fn answer(&self, request: &Value) {
        let data = &request["data"];
        let frame = match (data["module"].as_str(), data["action"].as_str()) {
            (Some("ping"), Some("ping")) => answers::blocking(&self.uri(), request, &json!({ "request_hops": [] })),
            (Some("status"), Some("query")) => {
                let about = data["params"]["transaction_id"].as_str().unwrap_or_default();
                let working = self.workers.lock().contains(about);
                let known = self.spool.known(about, working);
                answers::blocking(&self.uri(), request, &answers::status(&self.spool, about, &known))
            }
            (module, _) => {
                let text = format!("unknown module: {}", module.unwrap_or_default());
                answers::error(&self.uri(), request, &text)
            }
        };
        self.send(frame);
    }

    /// §10.4: a known transaction starts nothing; a new one gets its directory, its metadata, a thread, and an answer.
    async fn accept(self: &Arc<Self>, request: Value, threads: &mut JoinSet<()>) {
        let transaction = request["data"]["transaction_id"].as_str().unwrap().to_owned();
        if self.workers.lock().contains(&transaction) || self.spool.dir(&transaction).exists() {
            return self.send(answers::provisional(&self.uri(), &request));
        }
        self.breathe().await;
        self.spool.create(&transaction);
        self.breathe().await;
        self.spool.write_metadata(&transaction, &request, "running");
        self.workers.lock().insert(transaction.clone());
        self.breathe().await;
        let provisional = answers::provisional(&self.uri(), &request);
        threads.spawn(Arc::clone(self).run(transaction, request));
        // It is sent by the receiving thread, which may be overtaken by the worker's final answer.
        let late = self.chance.lock().percent(25);
        let pause = if late { self.chance.lock().millis(100, 900) } else { Duration::ZERO };
        let sender = Arc::clone(self);
        threads.spawn(async move {
            sleep(pause).await;
            sender.send(provisional);
        });
    }

    /// The worker thread of one run.
    async fn run(self: Arc<Self>, transaction: String, request: Value) {
        let dir = self.spool.dir(&transaction);
        let mut wrapper = wrapper(&dir, &self.work, &request["data"]);
        // Not dropped with this life: the run survives it.
        wrapper.spawn().unwrap().wait().await.unwrap();
        // Only a reboot ends a wrapper before that, and it is about to end this agent as well.
        let Some(exitcode) = exitcode(&dir) else { return };
        self.send(answers::outcome(&self.uri(), &request, &self.spool, &transaction, exitcode));
        let status = if exitcode == 0 { "success" } else { "failure" };
        self.breathe().await;
        self.spool.write_metadata(&transaction, &request, status);
        self.workers.lock().remove(&transaction);
    }
}

fn wrapper(dir: &Path, work: &Path, data: &Value) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", WRAPPER, "wrapper"]).arg(dir).arg(work).process_group(0).kill_on_drop(false);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let params = &data["params"];
    if data["module"] == "pxp-module-puppet" {
        command.arg("pxp");
        command.args(params["flags"].as_array().unwrap().iter().map(|flag| flag.as_str().unwrap()));
    } else {
        let text =
            |key: &str| params["input"][key].as_str().map_or_else(|| params["input"][key].to_string(), str::to_owned);
        command.env("PT_tag", text("tag")).env("PT_base", text("base"));
    }
    command
}
