//! `make bench`: the release binary with 200 simulated agents over real sockets and TLS, each row beside a bare baseline
//! of the same run. Prints one table; asserts nothing about time.

#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot be set up ends here")]

#[path = "../tests/it/support/mod.rs"]
#[expect(dead_code, reason = "the suites use more of it")]
mod support;

use std::time::Duration;

use bunraku::tls;
use serde_json::{Value, json};
use support::fleet::{Behavior, Fleet};
use support::process::Served;
use support::service::{Site, names};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::{TlsAcceptor, TlsConnector};

const NODES: usize = 200;
const POSTS: usize = 200;

/// Resident memory of a process in bytes.
fn memory(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
}

/// CPU time of a process in seconds, user and system.
fn cpu_seconds(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

fn deploy(nodes: &[String]) -> Value {
    json!({"environment": "production", "scope": {"nodes": nodes}})
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
    let no_limit =
        [("limits.concurrent_compiles", "100000"), ("limits.concurrent_runs", "100000"), ("log.level", "warn")];
    let mut served = Served::prepare(&site, &no_limit).await;
    served.start();
    served.ready().await;
    let (process, client) = (served.id(), &served.client);
    let address = ([127, 0, 0, 1], served.broker).into();
    let instant = Behavior { shortest: Duration::ZERO, spread: Duration::ZERO };

    let before = memory(process);
    let nodes = names(NODES);
    let fleet = Fleet::connect(&site.ca, address, &nodes, instant).await;
    let per_session = (memory(process) - before) / NODES as u64;

    let mut latencies = Vec::new();
    for round in 0..POSTS {
        let node = &nodes[round % NODES..=round % NODES];
        let begun = Instant::now();
        let job = client.deploy(&deploy(node)).await;
        let first = fleet.ledger.last_start().duration_since(begun);
        client.over(&job).await;
        let first = if first.is_zero() { fleet.ledger.last_start().duration_since(begun) } else { first };
        latencies.push(first);
    }
    latencies.sort();

    let (begun, cpu) = (Instant::now(), cpu_seconds(process));
    let rounds = 10;
    for _ in 0..rounds {
        let job = client.deploy(&deploy(&nodes)).await;
        assert_eq!(client.over(&job).await["state"], "finished");
    }
    let runs = (rounds * NODES) as f64;
    let (wall, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds(process) - cpu);

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
