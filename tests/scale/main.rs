//! Thousands of nodes: the real service and real swarms as processes of their own, in the situations that large sites fear.
//! What is asserted are counts, orders and answers, never times; times and memory are measured and shown in a table.
//!
//! `cargo test --test scale` plays everything with 1,000 nodes. `make scale N=10000 CHURN=60` plays it with as many nodes,
//! and that many seconds of sessions that come and go; the figures are kept in `target/tmp/scale/summary.json`. Service
//! and swarm are `SCALE_BINARY` where that is set, else the binary that was built with the test.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod figures;
mod probe;
mod scenarios;
mod server;
mod site;
mod store;
mod swarm;
mod watcher;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bunraku::tls;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::{Instant, sleep};

use self::client::Client;
use self::figures::Figures;
use self::server::Server;
use self::site::Site;

/// Nodes of a plain `cargo test`.
const FEW: usize = 1_000;
/// Seconds of churn of a plain `cargo test`.
const SHORT_CHURN: u64 = 4;
/// Long enough on the busiest machine; what takes longer never happens.
const PATIENCE: Duration = Duration::from_secs(600);
/// Descriptors for everything that is no session.
const SPARE: u64 = 500;
/// More than any machine carries here.
const MOST: u64 = 250_000;
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What the environment asks for.
#[derive(Debug, Clone)]
struct Options {
    nodes: usize,
    churn: Duration,
    binary: PathBuf,
    /// A measurement, not a plain test.
    large: bool,
}

impl Options {
    fn from_env() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let number = |name: &str| {
            let text = text(name)?;
            Some(text.parse::<u64>().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
        };
        let nodes = number("SCALE_N");
        Self {
            nodes: nodes.map_or(FEW, |nodes| usize::try_from(nodes).unwrap()),
            churn: Duration::from_secs(number("SCALE_CHURN").unwrap_or(SHORT_CHURN)),
            binary: text("SCALE_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_bunraku").into(), PathBuf::from),
            large: nodes.is_some(),
        }
    }
}

/// What every scenario plays with.
struct Stage {
    options: Options,
    site: Site,
    server: Server,
    client: Client,
    figures: Figures,
}

#[test]
fn thousands_of_nodes_in_the_situations_that_large_sites_fear() {
    tls::install_provider();
    let options = Options::from_env();
    raise_descriptors(options.nodes);
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scale");
    let site_dir = dir.join(format!("site-{}", std::process::id()));
    let summary = dir.join(if options.large { "summary.json" } else { "summary-few.json" });
    std::fs::create_dir_all(&site_dir).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(Box::pin(play(options, &site_dir, summary)));
    std::fs::remove_dir_all(&site_dir).unwrap();
}

async fn play(options: Options, dir: &Path, summary: PathBuf) {
    let site = Site::create(dir, &options.binary);
    let client = Client::new(&site);
    let server = Server::new(&site);
    let figures = Figures::new(&options, summary);
    let mut stage = Stage { options, site, server, client, figures };
    scenarios::all(&mut stage).await;
    stage.server.kill();
    stage.figures.show();
}

/// Each session is a descriptor at both sides. Lets this process, and those that it starts, have as many as they may ask
/// for, which is often more than they have.
fn raise_descriptors(nodes: usize) {
    let limit = getrlimit(Resource::Nofile);
    let wanted = nodes as u64 + SPARE;
    assert!(
        limit.maximum.is_none_or(|most| most >= wanted),
        "{nodes} nodes need {wanted} descriptors in a process; see `ulimit -Hn`"
    );
    let current = Some(limit.maximum.map_or(MOST, |most| most.min(MOST)));
    setrlimit(Resource::Nofile, Rlimit { current, maximum: limit.maximum }).unwrap();
}

/// Waits for a condition; `what` tells which one never holds.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "{what}: never");
        sleep(LOOK_AGAIN).await;
    }
}

#[expect(clippy::print_stderr, reason = "a measurement tells how far it is, and what it came to")]
fn say(text: &str) {
    eprintln!("{text}");
}
