//! Jobs in known states, written through the store's port as the engine would write them.

use std::sync::Arc;
use std::time::Duration;

use bunraku_actors::model::{
    Action, Attempt, Cause, CertName, DeployAction, DeployOptions, EnvironmentName, JobId, JobSpec, JobState, NodeEnd,
    NodeIndex, NodeState, Owner, RunKey, StopMode, TaskAction, TaskName,
};
use bunraku_actors::ports::{JobStore, NewJob, Write};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::fakes::{kept_file, node};

/// Seconds after 2026-03-01 12:00.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_772_366_400, 0).unwrap() + TimeDelta::seconds(seconds)
}

/// The nodes of the first job, by the state in which they are: sorted by name.
const NODES: [&str; 7] = [
    "errored.example.com",
    "failed.example.com",
    "finished.example.com",
    "new.example.com",
    "ready.example.com",
    "running.example.com",
    "skipped.example.com",
];

fn owner() -> Owner {
    let id = "7d7a1c4e-0d2b-4a0e-9c56-0a4a0a4b9f11".to_owned();
    Owner { id, login: "ops".into(), display_name: "Ops".into(), role: "operator".into() }
}

fn spec(action: Action, nodes: &[&str], created: i64) -> JobSpec {
    let nodes: Arc<[CertName]> = nodes.iter().map(|name| node(name)).collect();
    JobSpec {
        run_key: RunKey(Uuid::from_u128(7)),
        action: Arc::new(action),
        environment: Some(EnvironmentName::parse("production").unwrap()),
        options: json!({ "environment": "production", "scope": { "nodes": nodes } }).into(),
        owner: owner(),
        description: "roll out".into(),
        origin: bunraku_actors::model::Origin::default(),
        userdata: json!({ "ticket": 7 }),
        created_at: at(created),
        start_deadline: at(created + 86_400),
        concurrency: None,
        run_timeout: Duration::from_secs(3_600),
        nodes,
        edges: [].into(),
    }
}

pub(crate) fn deploy(nodes: &[&str], created: i64) -> JobSpec {
    spec(Action::Deploy(DeployAction { enforced_environment: None, options: DeployOptions::default() }), nodes, created)
}

fn task(nodes: &[&str], created: i64) -> JobSpec {
    let action = TaskAction {
        task: TaskName::parse("greet").unwrap(),
        input: Map::new(),
        sensitive: Vec::new(),
        secrets: Default::default(),
        metadata: json!({}),
        files: vec![kept_file()],
        noop: false,
        environment: "production".into(),
    };
    spec(Action::Task(action), nodes, created)
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
        spool: None,
        message: format!("Started {} on {} ...", spec.kind().run_word(), spec.node(node)),
    }
}

fn end(state: NodeState, cause: Option<Cause>, message: &str, result: Value) -> Arc<NodeEnd> {
    Arc::new(NodeEnd {
        state,
        cause,
        message: message.to_owned(),
        result,
        details: json!({}),
        transaction_uuid: None,
        resource_events: Vec::new(),
    })
}

fn puppet_end(state: NodeState, cause: Option<Cause>, message: &str) -> Arc<NodeEnd> {
    let status = if state == NodeState::Finished { "changed" } else { "failed" };
    let metrics = json!({ "total": 171, "changed": 2, "failed": 0, "skipped": 0 });
    let result = json!({ "status": status, "hash": "9f2c", "environment": "production",
        "configuration_version": "1772366405", "noop": { "noop": false, "no_noop": false }, "metrics": metrics });
    let event = json!({ "resource_type": "File", "resource_title": "/etc/motd", "property": "content",
        "old_value": "a", "new_value": "b", "status": "success", "message": "changed" });
    Arc::new(NodeEnd {
        details: json!({ "metrics": metrics, "hash": "9f2c", "environment": "production",
            "configuration_version": "1772366405" }),
        transaction_uuid: Some("0b0c8e0e-52b1-4a51-8f69-7f4d0e3a9a77".into()),
        resource_events: vec![event],
        ..Arc::unwrap_or_clone(end(state, cause, message, result))
    })
}

fn ended(job: JobId, node: u32, seconds: i64, end: Arc<NodeEnd>) -> Write {
    Write::NodeEnded { job, node: NodeIndex(node), at: at(seconds), end, hold: None }
}

pub(crate) async fn create(
    store: &dyn JobStore,
    spec: &Arc<JobSpec>,
    first_state: JobState,
    ready: Vec<bool>,
) -> JobId {
    store.create_job(NewJob { spec: Arc::clone(spec), first_state, ready, once: None }).await.unwrap()
}

/// Job 1: a deploy that runs, with a node in every state.
pub(crate) async fn running_deploy(store: &dyn JobStore) -> JobId {
    let spec = Arc::new(deploy(&NODES, 0));
    let job = create(store, &spec, JobState::New, vec![true, true, true, false, true, true, false]).await;
    let not_connected =
        "Error running puppet on errored.example.com: errored.example.com is not connected to the PCP broker";
    let error = json!({ "_error": { "kind": "puppetlabs.orchestrator/execution-failure",
        "msg": "errored.example.com is not connected to the PCP broker", "details": { "node": "errored.example.com" } } });
    let writes = vec![
        Write::JobState { job, state: JobState::Ready, at: at(0) },
        Write::JobState { job, state: JobState::Running, at: at(1) },
        started(&spec, job, 1, 5),
        started(&spec, job, 2, 5),
        started(&spec, job, 5, 18),
        ended(
            job,
            1,
            17,
            puppet_end(
                NodeState::Failed,
                Some(Cause::RunFailed),
                "Finished puppet run on failed.example.com - Failed! ",
            ),
        ),
        ended(
            job,
            2,
            39,
            puppet_end(NodeState::Finished, None, "Finished puppet run on finished.example.com - Success! "),
        ),
        Write::NodesSkipped {
            job,
            nodes: vec![NodeIndex(6)],
            at: at(40),
            cause: Cause::DependencyFailed,
            message: "Skipped puppet run on <node>: failed.example.com did not finish".into(),
        },
        Write::NodeUnstarted {
            job,
            node: NodeIndex(0),
            at: at(41),
            end: end(NodeState::Errored, Some(Cause::NotConnected), not_connected, error),
        },
    ];
    store.append(writes).await.unwrap();
    job
}

/// A deploy on two nodes whose agents send no resource events, with the transaction uuid of both reports.
pub(crate) async fn deploy_without_events(store: &dyn JobStore, uuid: &str) -> JobId {
    let spec = Arc::new(deploy(&["a.example.com", "b.example.com"], 0));
    let job = create(store, &spec, JobState::New, vec![true, true]).await;
    let run = |node: u32, status: &str| {
        let end = NodeEnd {
            transaction_uuid: Some(uuid.to_owned()),
            ..Arc::unwrap_or_clone(end(NodeState::Finished, None, "Finished", json!({ "status": status })))
        };
        [started(&spec, job, node, 1), ended(job, node, 9, Arc::new(end))]
    };
    store.append([run(0, "changed"), run(1, "unchanged")].concat()).await.unwrap();
    job
}

/// Job 2: a task that is over, on two nodes.
pub(crate) async fn finished_task(store: &dyn JobStore) -> JobId {
    let spec = Arc::new(task(&["a.example.com", "b.example.com"], 10));
    let job = create(store, &spec, JobState::Ready, vec![true, true]).await;
    let failure = json!({ "_error": { "kind": "puppetlabs.tasks/task-error", "msg": "the task failed",
        "details": { "exit_code": 3 } }, "_output": "no\n" });
    let writes = vec![
        Write::JobState { job, state: JobState::Running, at: at(10) },
        started(&spec, job, 0, 11),
        started(&spec, job, 1, 11),
        ended(
            job,
            0,
            12,
            end(
                NodeState::Finished,
                None,
                "Finished task on a.example.com - Success! ",
                json!({ "_output": "hello\n" }),
            ),
        ),
        ended(
            job,
            1,
            13,
            end(NodeState::Failed, Some(Cause::RunFailed), "Finished task on b.example.com - Failed! ", failure),
        ),
        Write::JobEnded { job, state: JobState::Failed, at: at(13) },
    ];
    store.append(writes).await.unwrap();
    job
}

/// Job 3: a deploy that was stopped before anything ran.
pub(crate) async fn stopped_deploy(store: &dyn JobStore) -> JobId {
    let spec = Arc::new(deploy(&["c.example.com"], 20));
    let job = create(store, &spec, JobState::New, vec![true]).await;
    let writes = vec![
        Write::StopAccepted { job, mode: StopMode::Plain, at: at(21) },
        Write::NodesSkipped {
            job,
            nodes: vec![NodeIndex(0)],
            at: at(21),
            cause: Cause::JobStopped,
            message: "Skipped puppet run on <node>: the job was stopped".into(),
        },
    ];
    store.append(writes).await.unwrap();
    store.settled(job).await.unwrap();
    store.append(vec![Write::JobEnded { job, state: JobState::Stopped, at: at(21) }]).await.unwrap();
    job
}

/// A task that runs on one node: it may fetch the file that the task names.
pub(crate) async fn open_task(store: &dyn JobStore, on: &str) -> JobId {
    let spec = Arc::new(task(&[on], 30));
    let job = create(store, &spec, JobState::Ready, vec![true]).await;
    let running = Write::JobState { job, state: JobState::Running, at: at(30) };
    store.append(vec![running, started(&spec, job, 0, 30)]).await.unwrap();
    job
}
