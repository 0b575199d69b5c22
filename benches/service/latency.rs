//! From a request to the first frame at an agent, with a fleet of two hundred.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::support::fleet::{Behavior, Fleet};
use super::support::process::Served;
use super::support::service::{Site, names};
use super::table::{Row, Table};

const NODES: usize = 200;
const POSTS: usize = 200;
const GOAL: &str = "p50 < 5 ms, p99 < 20 ms";

/// Limits that bind nothing.
pub(crate) const NO_LIMITS: [(&str, &str); 4] = [
    ("limits.concurrent_compiles", "1000000"),
    ("limits.concurrent_runs", "1000000"),
    ("limits.concurrent_tasks", "1000000"),
    ("log.level", "warn"),
];

/// A deploy on these nodes.
pub(crate) fn deploy(nodes: &[String]) -> Value {
    json!({"environment": "production", "scope": {"nodes": nodes}})
}

pub(crate) async fn measure(table: &mut Table) {
    let site = Site::new();
    let mut served = Served::prepare(&site, &NO_LIMITS).await;
    served.start();
    served.ready().await;
    let client = &served.client;
    let instant = Behavior { shortest: Duration::ZERO, spread: Duration::ZERO };
    let nodes = names(NODES);
    let fleet = Fleet::connect(&site.ca, ([127, 0, 0, 1], served.broker).into(), &nodes, instant).await;
    let mut latencies = Vec::new();
    for round in 0..POSTS {
        let node = &nodes[round % NODES..=round % NODES];
        let begun = Instant::now();
        let job = client.deploy(&deploy(node)).await;
        client.over(&job).await;
        latencies.push(fleet.ledger.last_start().duration_since(begun));
    }
    latencies.sort();
    let at = |share: usize| latencies[(latencies.len() - 1) * share / 100];
    let (half, most) = (at(50), at(99));
    table.add(Row {
        what: format!("`POST /command/deploy` to the first frame at the agent, {NODES} sessions"),
        measured: format!("p50 {half:.1?}, p99 {most:.1?}"),
        bare: format!("one synced commit {:.2?}", bare_commit(&site)),
        goal: Some((GOAL, half < Duration::from_millis(5) && most < Duration::from_millis(20))),
    });
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
