//! What everybody says afterwards: the runs themselves, the agents' ledgers, the database as its file holds it, the API, and
//! the client. Read here, judged in `checks`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::types::FromSql;
use rusqlite::{Connection, OpenFlags, Row};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::client::Client;
use super::orders::{Order, Orders, Told, Watched};
use super::runs_log::{self, Execution};
use super::site::{Node, Site};
use super::timeline::now;

/// A line of an agent's ledger.
#[derive(Debug, Clone)]
pub(crate) struct LedgerLine {
    pub(crate) node: String,
    pub(crate) run: String,
}

/// A row of `job_nodes`. Times are microseconds since 1970.
#[derive(Debug, Clone)]
pub(crate) struct NodeRow {
    pub(crate) state: String,
    pub(crate) cause: Option<String>,
    pub(crate) run: Option<String>,
    pub(crate) started: Option<i64>,
    pub(crate) finished: Option<i64>,
    pub(crate) latest_event: i64,
}

/// A row of `events`.
#[derive(Debug, Clone)]
pub(crate) struct EventRow {
    pub(crate) seq: i64,
    pub(crate) job: u64,
    pub(crate) kind: String,
    pub(crate) node: Option<usize>,
}

/// What the database holds of a job.
#[derive(Debug, Clone, Default)]
pub(crate) struct JobRow {
    pub(crate) state: String,
    pub(crate) stop: Option<String>,
    pub(crate) finished: Option<i64>,
    /// State and time of entry, oldest first.
    pub(crate) states: Vec<(String, i64)>,
    /// By place.
    pub(crate) nodes: Vec<NodeRow>,
}

/// A job as the API shows it, and as the database holds it.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) number: u64,
    pub(crate) shown: Value,
    /// In the order of their names, which is that of their places in the database.
    pub(crate) shown_nodes: Vec<Value>,
    pub(crate) shown_events: Vec<Value>,
    pub(crate) row: JobRow,
}

impl Job {
    pub(crate) fn tag(&self) -> u64 {
        self.shown["userdata"]["tag"].as_u64().unwrap_or_default()
    }

    pub(crate) fn kind(&self) -> &str {
        self.shown["type"].as_str().unwrap_or_default()
    }

    pub(crate) fn name(&self, place: usize) -> &str {
        self.shown_nodes.get(place).and_then(|node| node["name"].as_str()).unwrap_or_default()
    }

    /// Names and rows of all nodes.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&str, &NodeRow)> {
        self.row.nodes.iter().enumerate().map(|(place, row)| (self.name(place), row))
    }

    /// When it was created, in microseconds.
    pub(crate) fn created(&self) -> i64 {
        self.row.states.first().map_or(0, |(_, at)| *at)
    }
}

/// Everything.
pub(crate) struct Evidence {
    pub(crate) site_nodes: Vec<Node>,
    pub(crate) executions: Vec<Execution>,
    pub(crate) ledgers: Vec<LedgerLine>,
    /// When a scripted agent called a run unknown, in nanoseconds.
    pub(crate) unknowns: BTreeMap<String, i64>,
    pub(crate) jobs: BTreeMap<u64, Job>,
    pub(crate) events: Vec<EventRow>,
    /// What is wrong with the file as such.
    pub(crate) store_faults: Vec<String>,
    pub(crate) orders: Vec<(Order, Told)>,
    pub(crate) stops: Vec<(u64, bool)>,
    pub(crate) watched: BTreeMap<u64, Watched>,
    /// When the service last took commands.
    pub(crate) last_ready: DateTime<Utc>,
}

/// How long streams may take to show what is committed.
const PATIENCE: Duration = Duration::from_secs(30);

impl Evidence {
    /// What is not over: jobs, outstanding rows, holds in the database; runs in the spools of our own agents.
    pub(crate) fn unfinished(site: &Site) -> u64 {
        let store = open(&site.database());
        let count = |sql: &str| store.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap();
        let rows = count("SELECT count(*) FROM jobs WHERE finished_at IS NULL")
            + count("SELECT count(*) FROM decisions")
            + count("SELECT count(*) FROM holds");
        let natives = site.nodes.iter().filter(|node| node.native);
        let runs = natives.flat_map(|node| entries(&node.spool())).filter(|dir| {
            let metadata = fs::read_to_string(Path::new(dir).join("metadata")).unwrap_or_default();
            serde_json::from_str::<Value>(&metadata).is_ok_and(|metadata| metadata["status"] == "running")
        });
        u64::from(rows) + runs.count() as u64
    }

    /// Asks the service about everything, while it runs.
    pub(crate) async fn collect(site: &Site, client: &Client, orders: &Orders) -> Result<Self, String> {
        let until = Instant::now() + PATIENCE;
        while !orders.open().is_empty() {
            if Instant::now() >= until {
                return Err(format!("streams of jobs {:?} never end although the jobs are over", orders.open()));
            }
            sleep(Duration::from_millis(20)).await;
        }
        let mut jobs = BTreeMap::new();
        for shown in list(client, "/orchestrator/v1/jobs?order_by=name").await? {
            let number: u64 = shown["name"].as_str().and_then(|name| name.parse().ok()).unwrap();
            let shown_nodes = list(client, &format!("/orchestrator/v1/jobs/{number}/nodes?order_by=name")).await?;
            let shown_events = client.events(number).await.map_err(|error| error.to_string())?;
            jobs.insert(number, Job { number, shown, shown_nodes, shown_events, row: JobRow::default() });
        }
        Ok(Self {
            site_nodes: site.nodes.clone(),
            executions: Vec::new(),
            ledgers: Vec::new(),
            unknowns: BTreeMap::new(),
            jobs,
            events: Vec::new(),
            store_faults: Vec::new(),
            orders: orders.orders(),
            stops: orders.stops(),
            watched: orders.watched(),
            last_ready: now(),
        })
    }

    /// Reads files and database, after the service has ended.
    pub(crate) fn read_store(&mut self, site: &Site) {
        self.executions = runs_log::read(&site.runs_log());
        for node in &site.nodes {
            self.read_ledgers(node);
            self.read_unknowns(node);
        }
        let store = open(&site.database());
        self.read_jobs(&store);
        self.events = rows(&store, "SELECT seq, job, kind, node FROM events ORDER BY seq", |row| EventRow {
            seq: get(row, 0),
            job: number(row, 1),
            kind: get(row, 2),
            node: get::<Option<u32>>(row, 3).map(|place| place as usize),
        });
        self.check_file(&store);
    }

    fn read_ledgers(&mut self, node: &Node) {
        // The present spool, and those that were taken away.
        for dir in entries(&node.dir) {
            let Ok(text) = fs::read_to_string(Path::new(&dir).join("ledger")) else { continue };
            for line in text.lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                let run = line["transaction_id"].as_str().unwrap().to_owned();
                self.ledgers.push(LedgerLine { node: node.name.clone(), run });
            }
        }
    }

    fn read_unknowns(&mut self, node: &Node) {
        let text = fs::read_to_string(node.dir.join("unknowns.log")).unwrap_or_default();
        for line in text.lines() {
            let (run, time) = line.split_once(' ').unwrap();
            self.unknowns.insert(run.to_owned(), time.parse().unwrap());
        }
    }

    fn read_jobs(&mut self, store: &Connection) {
        let jobs = rows(store, "SELECT id, state, stop, finished_at FROM jobs ORDER BY id", |row| {
            let job = JobRow { state: get(row, 1), stop: get(row, 2), finished: get(row, 3), ..JobRow::default() };
            (number(row, 0), job)
        });
        for (number, row) in jobs {
            match self.jobs.get_mut(&number) {
                Some(job) => job.row = row,
                None => {
                    self.store_faults.push(format!("job {number} is in the database, but the API does not show it"))
                }
            }
        }
        let states = "SELECT job, state, entered FROM job_states ORDER BY job, position";
        for (job, state) in rows(store, states, |row| (number(row, 0), (get(row, 1), get(row, 2)))) {
            self.jobs.get_mut(&job).unwrap().row.states.push(state);
        }
        let nodes = "SELECT job, state, cause, transaction_id, started_at, finished_at, latest_event FROM job_nodes \
                     ORDER BY job, node";
        for (job, node) in rows(store, nodes, |row| (number(row, 0), node_row(row))) {
            self.jobs.get_mut(&job).unwrap().row.nodes.push(node);
        }
    }

    fn check_file(&mut self, store: &Connection) {
        let verdict: String = store.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        if verdict != "ok" {
            self.store_faults.push(format!("the database is damaged: {verdict}"));
        }
        let counted: i64 =
            store.query_row("SELECT value FROM counters WHERE name = 'event'", [], |row| row.get(0)).unwrap();
        let last = self.events.last().map_or(0, |event| event.seq);
        if counted != last {
            self.store_faults.push(format!("the counter of events is at {counted}, the last event is {last}"));
        }
        let numbers: i64 =
            store.query_row("SELECT value FROM counters WHERE name = 'job'", [], |row| row.get(0)).unwrap();
        if usize::try_from(numbers).ok() != Some(self.jobs.len()) {
            self.store_faults.push(format!("job numbers go to {numbers}, and there are {} jobs", self.jobs.len()));
        }
    }
}

async fn list(client: &Client, path: &str) -> Result<Vec<Value>, String> {
    let mut answer = client.get(path).await.map_err(|error| format!("{path}: {error}"))?;
    match answer["items"].take() {
        Value::Array(items) => Ok(items),
        _ => Err(format!("{path} has no items")),
    }
}

fn open(path: &Path) -> Connection {
    let store = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    store.pragma_update(None, "query_only", true).unwrap();
    store.busy_timeout(Duration::from_secs(10)).unwrap();
    store
}

fn rows<T>(store: &Connection, sql: &str, read: impl Fn(&Row<'_>) -> T) -> Vec<T> {
    let mut statement = store.prepare(sql).unwrap();
    statement.query_map([], |row| Ok(read(row))).unwrap().map(Result::unwrap).collect()
}

fn get<T: FromSql>(row: &Row<'_>, column: usize) -> T {
    row.get(column).unwrap()
}

fn number(row: &Row<'_>, column: usize) -> u64 {
    get::<i64>(row, column).cast_unsigned()
}

fn node_row(row: &Row<'_>) -> NodeRow {
    NodeRow {
        state: get(row, 1),
        cause: get(row, 2),
        run: get::<Option<Vec<u8>>>(row, 3).map(|bytes| uuid::Uuid::from_slice(&bytes).unwrap().to_string()),
        started: get(row, 4),
        finished: get(row, 5),
        latest_event: get(row, 6),
    }
}

/// The paths in a directory, none when there is no such directory.
fn entries(dir: &Path) -> Vec<String> {
    let found = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<String> = found.map(|entry| entry.path().to_string_lossy().into_owned()).collect();
    paths.sort();
    paths
}
