//! A job's life: what is written comes back, as rows, events and live feed alike, also after a restart.

use std::sync::Arc;

use bunraku_actors::model::{
    Cause, EventKind, EventSeq, JobId, JobState, LateAnswer, NodeEnd, NodeIndex, NodeState, StopMode,
};
use bunraku_actors::ports::{JobStore, Write};
use serde_json::{Value, json};

use super::builders::*;

async fn run_a_job(store: &dyn JobStore) -> JobId {
    let spec = deploy_spec(4);
    let job = store.create_job(new_job(spec.clone())).await.unwrap();
    store
        .append(vec![
            Write::JobState { job, state: JobState::Ready, at: at(1) },
            Write::JobState { job, state: JobState::Running, at: at(2) },
            started(&spec, job, 0, 3),
            started(&spec, job, 1, 3),
        ])
        .await
        .unwrap();
    store.append(vec![Write::NodeAccepted { job, node: NodeIndex(0) }]).await.unwrap();
    store.append(vec![ended(job, 0, 10, NodeState::Finished), ended(job, 1, 11, NodeState::Failed)]).await.unwrap();
    let lonely =
        Write::NodeUnstarted { job, node: NodeIndex(2), at: at(12), end: Arc::new(end_of(NodeState::Errored)) };
    store.append(vec![lonely, skipped(job, [3], 13)]).await.unwrap();
    store.append(vec![Write::JobEnded { job, state: JobState::Failed, at: at(14) }]).await.unwrap();
    job
}

#[tokio::test]
async fn a_job_comes_back_as_it_was_written() {
    let fixture = Fixture::new();
    let job = run_a_job(&fixture.store).await;
    let fixture = fixture.reopen().await;
    let record = fixture.store.job(job).await.unwrap().unwrap();
    assert_eq!(record.state, JobState::Failed);
    assert_eq!(record.finished_at, Some(at(14)));
    assert_eq!(*record.header, deploy_spec(4).header());
    let states: Vec<_> = record.history.iter().map(|span| (span.state, span.entered, span.left)).collect();
    let expected = [
        (JobState::New, at(0), Some(at(1))),
        (JobState::Ready, at(1), Some(at(2))),
        (JobState::Running, at(2), Some(at(14))),
        (JobState::Failed, at(14), None),
    ];
    assert_eq!(states, expected);
    for state in [NodeState::Finished, NodeState::Failed, NodeState::Errored, NodeState::Skipped] {
        assert_eq!(record.counts.get(state), 1, "{state:?}");
    }
    assert!(fixture.store.unfinished().await.unwrap().is_empty());
    assert_eq!(fixture.store.stored(job).await.unwrap().unwrap().spec.nodes.len(), 4);
}

#[tokio::test]
async fn nodes_come_back_with_results_and_times() {
    let fixture = Fixture::new();
    let job = run_a_job(&fixture.store).await;
    let nodes = read_nodes(&fixture.store, all_nodes(job)).await;
    let seen: Vec<_> = nodes.iter().map(|node| (node.state, node.started_at, node.finished_at)).collect();
    let expected = [
        (NodeState::Finished, Some(at(3)), Some(at(10))),
        (NodeState::Failed, Some(at(3)), Some(at(11))),
        (NodeState::Errored, None, Some(at(12))),
        (NodeState::Skipped, None, None),
    ];
    assert_eq!(seen, expected);
    assert_eq!(nodes[0].result, result_of(NodeState::Finished));
    assert_eq!(nodes[0].details, json!({"metrics": {"total": 1}}));
    assert_eq!(nodes[0].resource_events, [json!({"resource_type": "File"})]);
    assert_eq!(nodes[3].result, Value::Null);
    assert_eq!(nodes[3].cause, Some(Cause::JobStopped));
    assert_eq!(nodes[3].message, "Skipped puppet run on node000003.example.com: the job was stopped");
    let mut query = all_nodes(job);
    query.with_results = false;
    let light = read_nodes(&fixture.store, query).await;
    assert_eq!((&light[0].result, light[0].resource_events.len()), (&Value::Null, 0));
    assert_eq!(light[0].details, nodes[0].details);
}

#[tokio::test]
async fn events_are_gap_free_and_equal_the_live_feed() {
    let fixture = Fixture::new();
    let mut feed = fixture.store.subscribe();
    let job = run_a_job(&fixture.store).await;
    let events = read_events(&fixture.store, job).await;
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    let expected = [
        EventKind::NodeRunning,
        EventKind::NodeRunning,
        EventKind::NodeFinished,
        EventKind::NodeFailed,
        EventKind::NodeErrored,
        EventKind::NodeSkipped,
        EventKind::JobFinished,
    ];
    assert_eq!(kinds, expected);
    assert_eq!(events.iter().map(|event| event.seq.0).collect::<Vec<_>>(), (1..=7).collect::<Vec<_>>());
    assert_eq!(events[0].detail, json!({"noop": false}));
    assert_eq!(events[2].detail, result_of(NodeState::Finished));
    assert_eq!(events[5].detail, json!({"message": events[5].message}));
    let nodes = json!({"finished": 1, "failed": 1, "errored": 1, "skipped": 1});
    assert_eq!(events[6].detail, json!({"state": "failed", "nodes": nodes}));
    let mut live = Vec::new();
    while live.len() < events.len() {
        live.extend(feed.recv().await.unwrap().iter().cloned());
    }
    assert_eq!(live, events);
    assert_eq!(fixture.store.last_event(job).await.unwrap(), EventSeq(7));
    assert_eq!(fixture.store.last_event(JobId(99)).await.unwrap(), EventSeq(0));
    assert_eq!(fixture.store.events(job, EventSeq(6), 1).await.unwrap().items, events[5..6]);
}

#[tokio::test]
async fn recovery_finds_everything_about_a_started_node() {
    let fixture = Fixture::new();
    let spec = deploy_spec(2);
    let job = fixture.store.create_job(new_job(spec.clone())).await.unwrap();
    fixture.store.append(vec![started(&spec, job, 1, 5)]).await.unwrap();
    fixture.store.append(vec![Write::NodeResent { job, node: NodeIndex(1), deadline: at(9_999) }]).await.unwrap();
    fixture.store.append(vec![Write::NodeAccepted { job, node: NodeIndex(1) }]).await.unwrap();
    let fixture = fixture.reopen().await;
    let found = fixture.store.unfinished().await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(*found[0].spec, spec);
    let node = &found[0].nodes[1];
    assert_eq!((node.state, node.started_at, node.deadline), (NodeState::Running, Some(at(5)), Some(at(9_999))));
    assert!(node.accepted);
    assert_eq!(node.spool.as_deref(), Some("spool"));
    assert_eq!(found[0].nodes[0].state, NodeState::Ready);
    assert_eq!(fixture.store.open_runs(spec.node(NodeIndex(1))).await.unwrap().len(), 1, "also after a restart");
    assert!(fixture.store.open_runs(spec.node(NodeIndex(0))).await.unwrap().is_empty());
    fixture.store.append(vec![ended(job, 1, 20, NodeState::Finished)]).await.unwrap();
    assert!(fixture.store.open_runs(spec.node(NodeIndex(1))).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_hold_is_left_by_the_end_and_ends_by_its_own_write() {
    let fixture = Fixture::new();
    let spec = task_spec("exec", 1);
    let job = fixture.store.create_job(new_job(spec.clone())).await.unwrap();
    let end = Arc::new(NodeEnd { cause: Some(Cause::ContactLost), ..end_of(NodeState::Errored) });
    let lost = Write::NodeEnded { job, node: NodeIndex(0), at: at(9), end, hold: Some(at(609)) };
    let over = Write::JobEnded { job, state: JobState::Failed, at: at(10) };
    fixture.store.append(vec![started(&spec, job, 0, 1), lost, over]).await.unwrap();
    let fixture = fixture.reopen().await;
    let holds = fixture.store.holds().await.unwrap();
    assert_eq!(holds.len(), 1);
    let transaction = spec.transaction(NodeIndex(0), bunraku_actors::model::Attempt::FIRST);
    assert_eq!((holds[0].transaction, holds[0].job, holds[0].until), (transaction, job, at(609)));
    assert_eq!((&holds[0].node, &holds[0].action), (spec.node(NodeIndex(0)), &spec.action));
    let record = fixture.store.job(job).await.unwrap().unwrap();
    let events = read_events(&fixture.store, job).await.len();
    let late = LateAnswer::of(end_of(NodeState::Finished), at(99));
    let over = Write::HoldEnded { transaction, late: Some(Box::new(late.clone())) };
    fixture.store.append(vec![over.clone()]).await.unwrap();
    fixture.store.append(vec![over]).await.unwrap();
    assert!(fixture.store.holds().await.unwrap().is_empty());
    let fixture = fixture.reopen().await;
    let after = fixture.store.job(job).await.unwrap().unwrap();
    assert_eq!((after.counts, &after.causes, after.history), (record.counts, &record.causes, record.history));
    assert_eq!(after.causes.get(Cause::ContactLost), 1);
    assert_eq!(read_events(&fixture.store, job).await.len(), events, "a late answer is no event");
    let node = read_nodes(&fixture.store, all_nodes(job)).await.remove(0);
    assert_eq!((node.state, node.late), (NodeState::Errored, Some(late)));
}

#[tokio::test]
async fn a_stop_is_announced_once_and_force_is_remembered() {
    let fixture = Fixture::new();
    let job = fixture.store.create_job(new_job(deploy_spec(1))).await.unwrap();
    let stop = |mode, seconds| vec![Write::StopAccepted { job, mode, at: at(seconds) }];
    for (mode, seconds, remembered) in [
        (StopMode::Plain, 1, StopMode::Plain),
        (StopMode::Force, 2, StopMode::Force),
        (StopMode::Plain, 3, StopMode::Force),
    ] {
        fixture.store.append(stop(mode, seconds)).await.unwrap();
        assert_eq!(fixture.store.job(job).await.unwrap().unwrap().stop, Some(remembered));
    }
    let record = fixture.store.job(job).await.unwrap().unwrap();
    assert_eq!(record.state, JobState::Stopping);
    assert_eq!(record.history.len(), 2);
    let events = read_events(&fixture.store, job).await;
    assert_eq!(events.iter().map(|event| event.kind).collect::<Vec<_>>(), [EventKind::JobStopping]);
}

#[tokio::test]
async fn a_broken_job_ends_with_its_message() {
    let fixture = Fixture::new();
    let job = fixture.store.create_job(new_job(deploy_spec(1))).await.unwrap();
    let message = "it could not be carried on".to_owned();
    let aborted = Write::JobAborted { job, state: JobState::Failed, at: at(3), message: message.clone() };
    fixture.store.append(vec![skipped(job, [0], 2), aborted]).await.unwrap();
    let events = read_events(&fixture.store, job).await;
    assert_eq!(events.last().unwrap().kind, EventKind::JobAborted);
    assert_eq!(events.last().unwrap().detail, json!({ "message": message }));
    assert_eq!(fixture.store.job(job).await.unwrap().unwrap().state, JobState::Failed);
}
