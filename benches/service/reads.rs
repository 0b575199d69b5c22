//! Reads while a job runs on every node, beside bare answers of the same bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bunraku::swarm::{Profile, Span};
use bunraku::tls;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::bare::{Bare, http};
use super::fleet::{Setting, instant};
use super::latency::deploy;
use super::process::cpu;
use super::support::process::TOKEN;
use super::support::service::Site;
use super::table::{Row, Table};

/// Requests at once, each on a connection that stays.
const AT_ONCE: usize = 8;
/// How long each path is read.
const TIME: Duration = Duration::from_secs(4);
/// Runs that are not over before the measurement is.
const LONG: Duration = Duration::from_secs(3_600);

pub(crate) async fn measure(table: &mut Table, nodes: usize) {
    let profile = Profile { run_time: Span { least: LONG, most: LONG }, ..instant() };
    let setting = Setting::new(nodes, profile).await;
    let client = &setting.served.client;
    let names: Vec<String> = setting.swarm.names().iter().map(ToString::to_string).collect();
    // So that the list has its twenty.
    for _ in 0..25 {
        client.deploy(&deploy(&["nobody.example.com".to_owned()])).await;
    }
    let job = client.deploy(&deploy(&names)).await;
    client.until(&format!("/orchestrator/v1/jobs/{job}"), |job| job["node_states"]["running"] == nodes).await;
    let base = format!("https://localhost:{}", client.port());
    let site = Site::new();
    for (what, path) in [
        ("`GET /jobs?limit=20`", "/orchestrator/v1/jobs?limit=20".to_owned()),
        ("`GET /jobs/<id>`", format!("/orchestrator/v1/jobs/{job}")),
        ("`GET /inventory`", "/orchestrator/v1/inventory".to_owned()),
        ("`GET /inventory/<node>`", format!("/orchestrator/v1/inventory/{}", names[0])),
    ] {
        let body = client.request("GET", &path).send().await.unwrap().error_for_status().unwrap();
        let body = body.bytes().await.unwrap();
        let reader = Reader::new(&setting.site.config.ssl.ca, TOKEN);
        let ours = read(&reader, &base, &path, setting.served.id()).await;
        let file = site.dir().join("body");
        std::fs::write(&file, &body).unwrap();
        let bare = Bare::start("http", &site, &[(http::BODY, file.to_str().unwrap())]);
        let reader = Reader::new(&site.config.ssl.ca, TOKEN);
        let base = format!("https://localhost:{}", bare.port);
        let theirs = read(&reader, &base, &path, bare.id()).await;
        table.add(Row {
            what: format!("{what} ({} bytes) while {nodes} nodes run", body.len()),
            measured: format!("{:.0} a second, {:.3} ms of CPU", ours.0, ours.1),
            bare: format!("{:.0} a second, {:.3} ms of CPU", theirs.0, theirs.1),
            goal: Some(("≥ 60 % as many", ours.0 >= 0.6 * theirs.0)),
        });
    }
}

/// Clients with connections of their own.
struct Reader {
    clients: Vec<reqwest::Client>,
    token: String,
}

impl Reader {
    fn new(ca: &std::path::Path, token: &str) -> Self {
        let client = || {
            let config = tls::anonymous_client_config(ca).unwrap();
            reqwest::Client::builder().tls_backend_preconfigured(config).build().unwrap()
        };
        Self { clients: (0..AT_ONCE).map(|_| client()).collect(), token: token.to_owned() }
    }
}

/// Reads a path for a while; answers a second, and the server's CPU of each in milliseconds.
async fn read(reader: &Reader, base: &str, path: &str, server: u32) -> (f64, f64) {
    let done = Arc::new(AtomicU64::new(0));
    let (begun, spent) = (Instant::now(), cpu(server));
    let mut readers = JoinSet::new();
    for client in &reader.clients {
        let (client, done, url) = (client.clone(), Arc::clone(&done), format!("{base}{path}"));
        let token = reader.token.clone();
        readers.spawn(async move {
            while begun.elapsed() < TIME {
                let answer = client.get(&url).header("X-Authentication", &token).send().await.unwrap();
                answer.error_for_status().unwrap().bytes().await.unwrap();
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while readers.join_next().await.is_some() {}
    let answers = done.load(Ordering::Relaxed) as f64;
    (answers / begun.elapsed().as_secs_f64(), (cpu(server) - spent) * 1e3 / answers)
}
