//! The bound on the rows of a transaction, counted by SQLite itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bunraku_actors::model::{
    Action, Cause, CertName, DeployAction, DeployOptions, JobSpec, JobState, NodeEnd, NodeIndex, NodeState, Owner,
    RunKey,
};
use bunraku_actors::ports::{NewJob, Write};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::sync::oneshot;

use super::*;
use crate::store::request::{PackedJob, PackedWrite, Piece};
use crate::store::schema;

const ROOTS: u32 = 15;
const DEPENDENTS: u32 = 800;

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

fn new_job() -> NewJob {
    let nodes: Arc<[_]> =
        (0..ROOTS * (1 + DEPENDENTS)).map(|n| CertName::parse(&format!("n{n:05}")).unwrap()).collect();
    let action = DeployAction { enforced_environment: None, options: DeployOptions::default() };
    let spec = JobSpec {
        run_key: RunKey(uuid::Uuid::from_u128(7)),
        action: Arc::new(Action::Deploy(action)),
        environment: None,
        options: json!({}).into(),
        owner: Owner { id: String::new(), login: "ops".into(), display_name: "Ops".into(), role: "operator".into() },
        description: String::new(),
        origin: bunraku_actors::model::Origin::default(),
        userdata: json!({}),
        created_at: at(),
        start_deadline: at() + TimeDelta::days(1),
        concurrency: None,
        run_timeout: Duration::from_secs(3_600),
        nodes: Arc::clone(&nodes),
        edges: [].into(),
    };
    NewJob { spec: Arc::new(spec), first_state: JobState::New, ready: vec![true; nodes.len()], once: None }
}

/// Every root fails, and each takes its dependents with it.
fn everything_fails(job: JobId) -> Vec<Write> {
    let end = NodeEnd {
        state: NodeState::Errored,
        cause: Some(Cause::NotConnected),
        message: "not connected".into(),
        result: json!({ "_error": {} }),
        details: json!({}),
        transaction_uuid: None,
        resource_events: Vec::new(),
    };
    let of_root = |root: u32| {
        let first = ROOTS + root * DEPENDENTS;
        let nodes = (first..first + DEPENDENTS).map(NodeIndex).collect();
        let message = "Skipped <node>".to_owned();
        let end = Arc::new(end.clone());
        [
            Write::NodeUnstarted { job, node: NodeIndex(root), at: at(), end },
            Write::NodesSkipped { job, nodes, at: at(), cause: Cause::DependencyFailed, message },
        ]
    };
    (0..ROOTS).flat_map(of_root).collect()
}

fn commit(writer: &mut Writer, request: Request) -> u64 {
    let before = writer.connection.total_changes();
    writer.next_batch(&mut VecDeque::from([request]));
    writer.connection.total_changes() - before
}

#[test]
fn many_small_skips_in_one_group_do_not_make_a_large_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bunraku.db");
    let connection = schema::open_writer(&path, Duration::from_secs(1)).unwrap();
    let (mut writer, outstanding) =
        Writer::new(connection, &path, HighWater::open(&path), Arc::new(Shared::new(None)), chrono::TimeDelta::zero())
            .unwrap();
    let (reply, mut answer) = oneshot::channel();
    commit(&mut writer, Request::Create(Box::new(PackedJob::new(new_job(), None).unwrap()), reply));
    let job = answer.try_recv().unwrap().unwrap();

    let (reply, mut answer) = oneshot::channel();
    let group = Request::Append(PackedWrite::group(everything_fails(job)).unwrap(), reply);
    let (estimate, written) = (group.rows(), commit(&mut writer, group));
    answer.try_recv().unwrap().unwrap();
    assert!(estimate <= TRANSACTION_ROWS && written <= estimate as u64, "{written} rows, {estimate} expected");
    assert!(written > 1_600, "what fits is written at once: {written} rows");

    // All of it counts at once, and the rest follows in chunks that keep the bound.
    assert_eq!(writer.live[&job].counts.get(NodeState::Skipped), ROOTS * DEPENDENTS);
    while !outstanding.borrow().is_empty() {
        let before = writer.connection.total_changes();
        writer.next_chunk();
        let rows = writer.connection.total_changes() - before;
        assert!((1..=2_000).contains(&rows), "{rows} rows");
    }
    let mut statement = writer.connection.prepare("SELECT count(*) FROM events WHERE kind = 'node_skipped'").unwrap();
    let events: u32 = statement.query_row([], |row| row.get(0)).unwrap();
    assert_eq!(events, ROOTS * DEPENDENTS);
}

#[test]
fn a_writer_that_breaks_down_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bunraku.db");
    let connection = schema::open_writer(&path, Duration::from_secs(1)).unwrap();
    let shared = Arc::new(Shared::new(None));
    let (writer, _outstanding) =
        Writer::new(connection, &path, HighWater::open(&path), Arc::clone(&shared), chrono::TimeDelta::zero()).unwrap();
    let (requests, queue) = tokio::sync::mpsc::channel(2);
    let (reply, answer) = oneshot::channel::<Result<(), StoreError>>();
    let work = Piece::boxed(1, false, |_: &rusqlite::Connection| panic!("out of order"), reply);
    requests.blocking_send(Request::Work(work)).unwrap();
    writer.run(queue);
    assert!(answer.blocking_recv().is_err(), "nobody says that it went well");
    assert!(shared.broken_down().unwrap().contains("restart the service"));
    assert_eq!(shared.trouble(), shared.broken_down(), "nothing is taken any more");
}
