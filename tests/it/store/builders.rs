//! Jobs, writes and reads in short form. Times are whole seconds after a fixed moment.

use std::sync::Arc;
use std::time::Duration;

use bunraku::store::{Options, Store};
use bunraku_actors::model::{
    Action, Attempt, Cause, CertName, DeployAction, DeployOptions, EnvironmentName, EventRecord, EventSeq, JobId,
    JobSpec, JobState, NodeEnd, NodeIndex, NodeState, Owner, RunKey, TaskAction, TaskName,
};
use bunraku_actors::ports::{JobOrder, JobQuery, JobStore, NewJob, NodeQuery, NodeRecord, StoreError, Write};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

/// A store in a folder of its own.
pub(crate) struct Fixture {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder);
        Self { folder, store }
    }

    /// Opens what an earlier store left in a folder.
    pub(crate) fn over(folder: TempDir) -> Self {
        let store = open(&folder);
        Self { folder, store }
    }

    /// Closes the store and opens the file again.
    pub(crate) async fn reopen(self) -> Self {
        self.store.close().await;
        drop(self.store);
        let store = open(&self.folder);
        Self { folder: self.folder, store }
    }
}

fn open(folder: &TempDir) -> Store {
    let options = Options { busy_timeout: Duration::from_millis(100), ..Options::default() };
    Store::open(folder.path().join("bunraku.db"), options).unwrap()
}

pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap() + TimeDelta::seconds(seconds)
}

pub(crate) fn names(count: usize) -> Arc<[CertName]> {
    (0..count).map(|n| CertName::parse(&format!("node{n:06}.example.com")).unwrap()).collect()
}

pub(crate) fn deploy_spec(nodes: usize) -> JobSpec {
    let action = DeployAction { enforced_environment: None, options: DeployOptions::default() };
    JobSpec {
        run_key: RunKey(Uuid::from_u128(7)),
        action: Arc::new(Action::Deploy(action)),
        environment: Some(EnvironmentName::parse("production").unwrap()),
        options: json!({"environment": "production", "noop": false}).into(),
        owner: Owner {
            id: Uuid::nil().to_string(),
            login: "ops".into(),
            display_name: "Ops".into(),
            role: "operator".into(),
        },
        description: "roll out".into(),
        origin: bunraku_actors::model::Origin::default(),
        userdata: json!({"ticket": 7}),
        created_at: at(0),
        start_deadline: at(86_400),
        concurrency: None,
        run_timeout: Duration::from_secs(3_600),
        nodes: names(nodes),
        edges: [].into(),
    }
}

pub(crate) fn task_spec(task: &str, nodes: usize) -> JobSpec {
    let action = TaskAction {
        task: TaskName::parse(task).unwrap(),
        input: serde_json::Map::new(),
        sensitive: Vec::new(),
        secrets: Default::default(),
        metadata: json!({}),
        files: Vec::new(),
        noop: true,
        environment: "production".into(),
    };
    JobSpec { action: Arc::new(Action::Task(action)), ..deploy_spec(nodes) }
}

pub(crate) fn new_job(spec: JobSpec) -> NewJob {
    let ready = vec![true; spec.nodes.len()];
    NewJob { spec: Arc::new(spec), first_state: JobState::New, ready, once: None }
}

pub(crate) fn started(spec: &JobSpec, job: JobId, node: u32, seconds: i64) -> Write {
    let node = NodeIndex(node);
    Write::NodeStarted {
        job,
        node,
        attempt: Attempt::FIRST,
        transaction: spec.transaction(node, Attempt::FIRST),
        at: at(seconds),
        deadline: at(seconds + 3_600),
        spool: Some("spool".into()),
        message: format!("Started puppet run on {} ...", spec.node(node)),
    }
}

pub(crate) fn end_of(state: NodeState) -> NodeEnd {
    NodeEnd {
        state,
        cause: (state != NodeState::Finished).then_some(Cause::RunFailed),
        message: format!("it is {}", state.name()),
        result: json!({"status": state.name()}),
        details: json!({"metrics": {"total": 1}}),
        transaction_uuid: Some(Uuid::from_u128(9).to_string()),
        resource_events: vec![json!({"resource_type": "File"})],
    }
}

pub(crate) fn ended(job: JobId, node: u32, seconds: i64, state: NodeState) -> Write {
    Write::NodeEnded { job, node: NodeIndex(node), at: at(seconds), end: Arc::new(end_of(state)), hold: None }
}

pub(crate) fn skipped(job: JobId, nodes: impl IntoIterator<Item = u32>, seconds: i64) -> Write {
    Write::NodesSkipped {
        job,
        nodes: nodes.into_iter().map(NodeIndex).collect(),
        at: at(seconds),
        cause: Cause::JobStopped,
        message: "Skipped puppet run on <node>: the job was stopped".into(),
    }
}

pub(crate) fn all_nodes(job: JobId) -> NodeQuery {
    NodeQuery::all(job)
}

pub(crate) fn all_jobs(order: JobOrder, descending: bool) -> JobQuery {
    JobQuery::all(order, descending)
}

/// Follows pages to the last one.
pub(crate) async fn read_nodes(store: &dyn JobStore, mut query: NodeQuery) -> Vec<NodeRecord> {
    let mut items = Vec::new();
    loop {
        let page = store.nodes(query.clone()).await.unwrap();
        items.extend(page.items);
        let Some(next) = page.next else { return items };
        query.after = Some(next);
    }
}

pub(crate) async fn read_events(store: &dyn JobStore, job: JobId) -> Vec<EventRecord> {
    let mut events = Vec::new();
    let mut start = EventSeq(0);
    loop {
        let page = store.events(job, start, 1_000).await.unwrap();
        start = page.items.last().map_or(start, |last| last.seq.next());
        events.extend(page.items);
        if !page.more {
            return events;
        }
    }
}

/// The message of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Failed(message)) => message,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

pub(crate) fn result_of(state: NodeState) -> Value {
    json!({"status": state.name()})
}
