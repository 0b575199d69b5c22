//! `make bench`: the release binary with 200 simulated agents over real sockets and TLS, each row beside a bare baseline
//! of the same run. Prints one table; asserts nothing about time.

#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot be set up ends here")]

#[path = "../tests/it/support/mod.rs"]
#[expect(dead_code, reason = "the suites use more of it")]
mod support;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bunraku::api::accounts::{Accounts as _, NewToken, Role, TokenHash};
use bunraku::config::template;
use bunraku::store::{Options, Store};
use bunraku::tls;
use chrono::Utc;
use serde_json::{Value, json};
use support::fleet::{Behavior, Fleet};
use support::service::{Site, names};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::{TlsAcceptor, TlsConnector};

const NODES: usize = 200;
const POSTS: usize = 200;
const TOKEN: &str = "a-token-that-only-this-bench-knows-0123456789";

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // An error says that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Resident memory in bytes.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
    }

    /// CPU time in seconds, user and system.
    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        ticks / 100.0
    }
}

struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    async fn get(&self, path: &str) -> reqwest::Result<Value> {
        let request = self.http.get(format!("{}{path}", self.base)).header("X-Authentication", TOKEN);
        request.send().await?.error_for_status()?.json().await
    }

    async fn deploy(&self, nodes: &[String]) -> String {
        let body = json!({"environment": "production", "scope": {"nodes": nodes}});
        let url = format!("{}/orchestrator/v1/command/deploy", self.base);
        let answer = self.http.post(url).header("X-Authentication", TOKEN).json(&body).send().await.unwrap();
        let answer: Value = answer.error_for_status().unwrap().json().await.unwrap();
        answer["job"]["name"].as_str().unwrap().to_owned()
    }

    async fn over(&self, job: &str) -> Value {
        loop {
            let record = self.get(&format!("/orchestrator/v1/jobs/{job}")).await.unwrap();
            if record["finished_timestamp"].is_string() {
                return record;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn start(site: &Site) -> (Process, Client, u16) {
    let port = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (api, broker) = (port(), port());
    let show = |path: &Path| template::quote(&path.display().to_string());
    let ssl = &site.config.ssl;
    let values = [
        ("data_dir", show(&site.config.data_dir)),
        ("environments_dir", show(&site.config.environments_dir)),
        ("server.listen", format!("\"127.0.0.1:{api}\"")),
        ("broker.listen", format!("\"127.0.0.1:{broker}\"")),
        ("ssl.cert", show(&ssl.cert)),
        ("ssl.key", show(&ssl.key)),
        ("ssl.ca", show(&ssl.ca)),
        ("ssl.crl", show(ssl.crl.as_deref().unwrap())),
        ("limits.concurrent_compiles", "100000".to_owned()),
        ("limits.concurrent_runs", "100000".to_owned()),
        ("log.level", "warn".to_owned()),
    ];
    let file = site.dir().join("bunraku.yaml");
    std::fs::write(&file, template::render(&values)).unwrap();
    std::fs::create_dir_all(&site.config.data_dir).unwrap();
    let store = Store::open(site.config.data_dir.join("bunraku.db"), Options::default()).unwrap();
    let (login, none) = ("bench".to_owned(), String::new());
    let token =
        NewToken { login, display_name: none.clone(), role: Role::Operator, description: none, expires_at: None };
    store.create_token(token, TokenHash::of(TOKEN), Utc::now()).await.unwrap();
    store.close().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_bunraku"));
    command.args(["serve", "--config"]).arg(&file).stdin(Stdio::null());
    let process = Process(command.spawn().unwrap());
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured(tls::anonymous_client_config(&site.config.ssl.ca).unwrap())
        .build()
        .unwrap();
    let client = Client { http, base: format!("https://localhost:{api}") };
    while client.get("/orchestrator/v1/jobs").await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (process, client, broker)
}

/// Round trips of one frame's worth of bytes over a bare TLS socket in this process: the least that a run can cost.
async fn bare_round_trip(site: &Site) -> Duration {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let server = tls::ReloadableServer::load(site.config.tls_paths(), false).unwrap().config();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let mut stream = TlsAcceptor::from(std::sync::Arc::new(server)).accept(tcp).await.unwrap();
        let mut frame = [0; 512];
        while stream.read_exact(&mut frame).await.is_ok() {
            stream.write_all(&frame).await.unwrap();
            stream.flush().await.unwrap();
        }
    });
    let config = std::sync::Arc::new(tls::anonymous_client_config(&site.config.ssl.ca).unwrap());
    let tcp = TcpStream::connect(address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(config).connect(name, tcp).await.unwrap();
    let mut frame = [7; 512];
    let begun = Instant::now();
    for _ in 0..1_000 {
        stream.write_all(&frame).await.unwrap();
        stream.flush().await.unwrap();
        stream.read_exact(&mut frame).await.unwrap();
    }
    begun.elapsed() / 1_000
}

/// One synced transaction on bare SQLite, as `synchronous=FULL` in WAL mode makes it.
fn bare_commit(site: &Site) -> Duration {
    let connection = rusqlite::Connection::open(site.dir().join("bare.db")).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    connection.execute("CREATE TABLE t (v TEXT)", []).unwrap();
    let begun = Instant::now();
    for _ in 0..200 {
        connection.execute("INSERT INTO t VALUES (?1)", ["x".repeat(300)]).unwrap();
    }
    begun.elapsed() / 200
}

fn percentile(sorted: &[Duration], share: usize) -> Duration {
    sorted[(sorted.len() - 1) * share / 100]
}

#[tokio::main]
async fn main() {
    let site = Site::new();
    let (process, client, broker) = start(&site).await;
    let address = ([127, 0, 0, 1], broker).into();
    let instant = Behavior { shortest: Duration::ZERO, spread: Duration::ZERO };

    let before = process.memory();
    let nodes = names(NODES);
    let fleet = Fleet::connect(&site.ca, address, &nodes, instant).await;
    let per_session = (process.memory() - before) / NODES as u64;

    let mut latencies = Vec::new();
    for round in 0..POSTS {
        let node = &nodes[round % NODES..=round % NODES];
        let begun = Instant::now();
        let job = client.deploy(node).await;
        let first = fleet.ledger.last_start().duration_since(begun);
        client.over(&job).await;
        let first = if first.is_zero() { fleet.ledger.last_start().duration_since(begun) } else { first };
        latencies.push(first);
    }
    latencies.sort();

    let (begun, cpu) = (Instant::now(), process.cpu());
    let rounds = 10;
    for _ in 0..rounds {
        let job = client.deploy(&nodes).await;
        assert_eq!(client.over(&job).await["state"], "finished");
    }
    let runs = (rounds * NODES) as f64;
    let (wall, cpu) = (begun.elapsed().as_secs_f64(), process.cpu() - cpu);

    let echo = bare_round_trip(&site).await;
    let commit = bare_commit(&site);
    println!("\n| what | measured | bare baseline |\n| --- | --- | --- |");
    let (half, most) = (percentile(&latencies, 50), percentile(&latencies, 99));
    println!(
        "| POST to first frame at the agent | p50 {half:.1?}, p99 {most:.1?} | synced commit {commit:.1?}, TLS echo {echo:.1?} |"
    );
    println!(
        "| no-op runs, 200 sessions, stored | {:.0} a second | TLS echo {:.0} a second |",
        runs / wall,
        1.0 / echo.as_secs_f64()
    );
    println!("| server CPU per run | {:.3} ms | |", cpu * 1_000.0 / runs);
    println!("| server memory per session | {:.1} KiB | |", per_session as f64 / 1_024.0);
}
