//! Impossible writes: refused alone, with names in the message, leaving no trace and burning no number.

use std::sync::Arc;

use bunraku_actors::model::{Attempt, JobId, JobState, NodeIndex, NodeState, StopMode};
use bunraku_actors::ports::{JobStore, NewJob, Write};

use super::builders::*;

#[tokio::test]
async fn a_refused_group_leaves_no_trace_and_burns_no_number() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let spec = deploy_spec(2);
    let job = store.create_job(new_job(spec.clone())).await.unwrap();
    let group = vec![started(&spec, job, 0, 1), skipped(job, [1], 1), started(&spec, job, 1, 2)];
    let message = refusal(store.append(group).await);
    assert_eq!(message, "node node000001.example.com of job 1 is skipped: it cannot start");
    let record = store.job(job).await.unwrap().unwrap();
    assert_eq!(record.counts.get(NodeState::Ready), 2);
    assert!(read_events(store, job).await.is_empty());
    assert!(store.open_runs(spec.node(NodeIndex(0))).await.unwrap().is_empty());
    let mismatch = NewJob { ready: vec![true], ..new_job(deploy_spec(2)) };
    assert!(refusal(store.create_job(mismatch).await).contains("2 nodes"));
    store.append(vec![started(&spec, job, 0, 1)]).await.unwrap();
    assert_eq!(read_events(store, job).await[0].seq.0, 1, "the refused group's event numbers are used again");
    assert_eq!(store.create_job(new_job(deploy_spec(1))).await.unwrap(), JobId(2));
}

#[tokio::test]
async fn neighbors_in_the_same_transaction_are_not_harmed() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let spec = deploy_spec(60);
    let job = store.create_job(new_job(spec.clone())).await.unwrap();
    // Every third group starts a node a second time.
    let groups = (0..60).map(|n| vec![started(&spec, job, if n % 3 == 2 { n - 1 } else { n }, 1)]);
    let answers = futures_util::future::join_all(groups.map(|group| store.append(group))).await;
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_err(), n % 3 == 2, "group {n}: {answer:?}");
    }
    assert_eq!(store.job(job).await.unwrap().unwrap().counts.get(NodeState::Running), 40);
    let seqs: Vec<_> = read_events(store, job).await.iter().map(|event| event.seq.0).collect();
    assert_eq!(seqs, (1..=40).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_first_committed_end_wins() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let spec = deploy_spec(1);
    let job = store.create_job(new_job(spec.clone())).await.unwrap();
    store.append(vec![started(&spec, job, 0, 1), ended(job, 0, 2, NodeState::Finished)]).await.unwrap();
    let end = Arc::new(end_of(NodeState::Errored));
    let late = Write::NodeEnded { job, node: NodeIndex(0), at: at(3), end, hold: Some(at(99)) };
    store.append(vec![late, Write::NodeAccepted { job, node: NodeIndex(0) }, skipped(job, [0], 4)]).await.unwrap();
    let node = &read_nodes(store, all_nodes(job)).await[0];
    assert_eq!((node.state, node.finished_at), (NodeState::Finished, Some(at(2))));
    assert_eq!(read_events(store, job).await.len(), 2);
    assert!(store.holds().await.unwrap().is_empty());
}

#[tokio::test]
async fn impossible_writes_are_refused_by_name() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let spec = NewJob { ready: vec![true, false, true], ..new_job(deploy_spec(3)) };
    let job = store.create_job(spec).await.unwrap();
    let spec = deploy_spec(3);
    store.append(vec![started(&spec, job, 0, 1)]).await.unwrap();
    let unstarted =
        Write::NodeUnstarted { job, node: NodeIndex(0), at: at(2), end: Arc::new(end_of(NodeState::Errored)) };
    let mut second = started(&spec, job, 0, 2);
    if let Write::NodeStarted { attempt, .. } = &mut second {
        *attempt = Attempt(2);
    }
    let over = |state| Write::JobEnded { job, state, at: at(3) };
    let cases = [
        (started(&spec, JobId(9), 0, 1), "there is no job 9"),
        (started(&spec, job, 0, 2), "node000000.example.com of job 1 is running: it cannot start"),
        (second, "node000000.example.com of job 1 is running: it cannot start"),
        (started(&spec, job, 1, 2), "node000001.example.com of job 1 is new: it cannot start"),
        (ended(job, 2, 2, NodeState::Finished), "node000002.example.com of job 1 is ready: it cannot end"),
        (ended(job, 7, 2, NodeState::Finished), "job 1 has 3 nodes, none of them is number 7"),
        (ended(job, 0, 2, NodeState::Skipped), "it cannot end as skipped"),
        (skipped(job, [1, 0], 2), "node000000.example.com of job 1 is running: it cannot be skipped"),
        (Write::NodeAccepted { job, node: NodeIndex(1) }, "is new: it cannot be accepted"),
        (Write::NodeResent { job, node: NodeIndex(1), deadline: at(9) }, "is new: it cannot be sent again"),
        (Write::NodesReady { job, nodes: vec![NodeIndex(0)] }, "is running: it cannot become ready"),
        (unstarted, "is running: it cannot end without a start"),
        (Write::JobState { job, state: JobState::Stopped, at: at(2) }, "job 1 is new: it cannot become stopped"),
        (over(JobState::Finished), "job 1 cannot be finished: 3 of its nodes are not over"),
        (over(JobState::Running), "job 1 is new: it cannot become running"),
    ];
    for (write, expected) in cases {
        let message = refusal(store.append(vec![write.clone()]).await);
        assert!(message.contains(expected), "{write:?}: {message}");
    }
}

#[tokio::test]
async fn nothing_changes_a_job_that_is_over_and_none_comes_back_from_stopping() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let job = store.create_job(new_job(deploy_spec(1))).await.unwrap();
    let stop = Write::StopAccepted { job, mode: StopMode::Plain, at: at(1) };
    store.append(vec![stop.clone()]).await.unwrap();
    let running = Write::JobState { job, state: JobState::Running, at: at(2) };
    assert!(refusal(store.append(vec![running]).await).contains("job 1 is stopping"));
    let start = started(&deploy_spec(1), job, 0, 2);
    assert!(refusal(store.append(vec![start]).await).contains("cannot start after the stop of its job"));
    let end = Write::JobEnded { job, state: JobState::Stopped, at: at(3) };
    store.append(vec![skipped(job, [0], 2), end.clone()]).await.unwrap();
    for write in [stop, end, skipped(job, [0], 4), ended(job, 0, 4, NodeState::Finished)] {
        let message = refusal(store.append(vec![write]).await);
        assert_eq!(message, "job 1 is stopped: nothing of it can change");
    }
    assert_eq!(read_events(store, job).await.len(), 3);
}

#[tokio::test]
async fn never_twice_a_key_is_committed_with_its_job() {
    use bunraku_actors::model::OnceKey;
    use bunraku_actors::ports::{Refusal, StoreError};

    let fixture = Fixture::new();
    let key = |command: u8| OnceKey { owner: "ops".into(), key: "k".into(), fingerprint: [command; 32], until: at(99) };
    let create = |command: u8| NewJob { once: Some(key(command)), ..new_job(deploy_spec(1)) };
    assert_eq!(fixture.store.create_job(create(1)).await.unwrap(), JobId(1));
    let fixture = fixture.reopen().await;
    let again = fixture.store.create_job(create(1)).await.unwrap_err();
    assert!(matches!(again, StoreError::Refused(Refusal::Repeated(JobId(1)))), "{again:?}");
    let other = fixture.store.create_job(create(2)).await.unwrap_err();
    assert!(matches!(other, StoreError::Refused(Refusal::OtherCommand(_))), "{other:?}");
    assert_eq!(fixture.store.create_job(new_job(deploy_spec(1))).await.unwrap(), JobId(2), "no number is burnt");
}
