//! The store alone, beside bare SQLite that writes as many rows of the same size in transactions as large.

use bunraku::store::{Options, Store};
use bunraku_actors::model::{JobId, JobSpec, NodeState};
use bunraku_actors::ports::JobStore as _;
use rusqlite::{Connection, params};
use tokio::time::Instant;

use super::builders::{deploy_spec, ended, new_job, started};
use super::process::own_cpu;
use super::table::{Row, Table};

const NODES: u32 = 20_000;
/// Rows that a run takes: its start and its end, each with its event.
const ROWS: u32 = 4;

pub(crate) async fn measure(table: &mut Table) {
    for group in [1, 10, 100, 400] {
        let runs = (group * 2_000).min(NODES);
        let (wall, cost) = ours(group, runs).await;
        let (bare_wall, bare_cost) = bare(group, runs);
        table.add(Row {
            what: format!("starts and ends of runs stored, {group} in a transaction"),
            measured: format!("{:.0} runs a second, {:.1} µs of CPU each", f64::from(runs) / wall, cost * 1e6),
            bare: format!("{:.0} a second, {:.1} µs", f64::from(runs) / bare_wall, bare_cost * 1e6),
            goal: None,
        });
    }
}

/// Wall time, and CPU time per run.
async fn ours(group: u32, runs: u32) -> (f64, f64) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("bunraku.db"), Options::default()).unwrap();
    let spec = deploy_spec(runs as usize);
    let job = store.create_job(new_job(spec.clone())).await.unwrap();
    store.settled(job).await.unwrap();
    let (begun, spent) = (Instant::now(), own_cpu());
    run_all(&store, &spec, job, group, runs).await;
    let took = (begun.elapsed().as_secs_f64(), (own_cpu() - spent) / f64::from(runs));
    store.close().await;
    took
}

/// Starts and ends that many nodes of a job, in groups.
pub(crate) async fn run_all(store: &Store, spec: &JobSpec, job: JobId, group: u32, runs: u32) {
    for first in (0..runs).step_by(group as usize) {
        let nodes = first..(first + group).min(runs);
        store.append(nodes.clone().map(|node| started(spec, job, node, 1)).collect()).await.unwrap();
        store.append(nodes.map(|node| ended(job, node, 2, NodeState::Finished)).collect()).await.unwrap();
    }
}

fn bare(group: u32, runs: u32) -> (f64, f64) {
    let folder = tempfile::tempdir().unwrap();
    let connection = Connection::open(folder.path().join("bare.db")).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    connection
        .execute_batch(
            "CREATE TABLE nodes (job INTEGER, node INTEGER, state TEXT, body TEXT, PRIMARY KEY (job, node)) WITHOUT ROWID;
             CREATE TABLE events (id INTEGER PRIMARY KEY, job INTEGER, node INTEGER, body TEXT);
             CREATE INDEX by_job ON events (job, id)",
        )
        .unwrap();
    for node in 0..runs {
        connection.execute("INSERT INTO nodes VALUES (1, ?1, 'ready', NULL)", [node]).unwrap_or_default();
        if node == 0 {
            // The rest of them in one transaction.
            connection.execute_batch("BEGIN").unwrap();
        }
    }
    connection.execute_batch("COMMIT").unwrap();
    let body = "x".repeat(300);
    let (begun, spent) = (Instant::now(), own_cpu());
    for first in (0..runs).step_by(group as usize) {
        for state in ["running", "finished"] {
            connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            let mut update = connection
                .prepare_cached("UPDATE nodes SET state = ?3, body = ?4 WHERE job = ?1 AND node = ?2")
                .unwrap();
            let mut insert =
                connection.prepare_cached("INSERT INTO events (job, node, body) VALUES (?1, ?2, ?3)").unwrap();
            for node in first..(first + group).min(runs) {
                update.execute(params![1, node, state, body]).unwrap();
                insert.execute(params![1, node, body]).unwrap();
            }
            connection.execute_batch("COMMIT").unwrap();
        }
    }
    assert_eq!(ROWS, 4, "two of each run are updated, two are new");
    (begun.elapsed().as_secs_f64(), (own_cpu() - spent) / f64::from(runs))
}
