//! Decisions about thousands of nodes: they count at once, whatever part of their rows is there.

use bunraku_actors::model::{JobId, JobState, NodeIndex, NodeState};
use bunraku_actors::ports::{JobStore, NewJob, NodeOrder, NodeQuery, Write};
use serde_json::Value;

use super::builders::*;

const NODES: u32 = 5_000;

/// Every second node waits for something.
async fn create(store: &dyn JobStore) -> JobId {
    let ready = (0..NODES).map(|n| n % 2 == 0).collect();
    store.create_job(NewJob { ready, ..new_job(deploy_spec(NODES as usize)) }).await.unwrap()
}

async fn count(store: &dyn JobStore, job: JobId, state: NodeState) -> u32 {
    store.job(job).await.unwrap().unwrap().counts.get(state)
}

/// What every reader must see, at any moment: `states(n)` is the state of node `n`.
async fn assert_readers_agree(store: &dyn JobStore, job: JobId, states: impl Fn(u32) -> NodeState) {
    let nodes = read_nodes(store, all_nodes(job)).await;
    assert_eq!(nodes.len(), NODES as usize);
    for (n, node) in (0..).zip(&nodes) {
        assert_eq!((node.node, node.state), (NodeIndex(n), states(n)));
        assert_eq!(node.name.as_str(), format!("node{n:06}.example.com"));
    }
    let whole = store.stored(job).await.unwrap().unwrap();
    for (n, node) in (0..).zip(&whole.nodes) {
        assert_eq!(node.state, states(n), "node {n} for recovery");
    }
    for state in NodeState::ALL {
        let expected = (0..NODES).filter(|n| states(*n) == state).count();
        assert_eq!(whole.record.counts.get(state) as usize, expected, "{state:?} counted");
        let filtered = NodeQuery { states: vec![state], descending: true, ..all_nodes(job) };
        assert_eq!(read_nodes(store, filtered).await.len(), expected, "{state:?} listed");
    }
}

fn first_state(n: u32) -> NodeState {
    if n.is_multiple_of(2) { NodeState::Ready } else { NodeState::New }
}

#[tokio::test]
async fn five_thousand_nodes_are_there_at_once_and_settle() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let job = create(store).await;
    assert_readers_agree(store, job, first_state).await;
    store.settled(job).await.unwrap();
    assert_readers_agree(store, job, first_state).await;
}

#[tokio::test]
async fn nodes_without_rows_start_end_become_ready_and_are_skipped() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let spec = deploy_spec(NODES as usize);
    let job = create(store).await;
    let last = NODES - 2;
    store.append(vec![started(&spec, job, last, 1)]).await.unwrap();
    assert_eq!(count(store, job, NodeState::Running).await, 1);
    let odd = (0..NODES).filter(|n| n % 2 == 1).map(NodeIndex).collect();
    store.append(vec![Write::NodesReady { job, nodes: odd }]).await.unwrap();
    let odd_one = NODES - 1;
    store.append(vec![started(&spec, job, odd_one, 2), ended(job, odd_one, 3, NodeState::Finished)]).await.unwrap();
    let waiting: Vec<_> = (0..last).collect();
    store.append(vec![skipped(job, waiting, 4)]).await.unwrap();
    let states = |n: u32| match n {
        n if n == last => NodeState::Running,
        n if n == odd_one => NodeState::Finished,
        _ => NodeState::Skipped,
    };
    assert_readers_agree(store, job, states).await;
    assert!(refusal(store.append(vec![started(&spec, job, 7, 5)]).await).contains("is skipped: it cannot start"));
    store.append(vec![ended(job, last, 6, NodeState::Finished)]).await.unwrap();
    store.settled(job).await.unwrap();
    store.append(vec![Write::JobEnded { job, state: JobState::Failed, at: at(7) }]).await.unwrap();
    let events = read_events(store, job).await;
    let numbers: Vec<_> = events.iter().map(|event| event.seq.0).collect();
    assert_eq!(numbers, (1..=u64::from(NODES) + 3).collect::<Vec<_>>());
    let skips: Vec<_> =
        events.iter().filter(|event| event.kind == bunraku_actors::model::EventKind::NodeSkipped).collect();
    assert_eq!(skips.len() as u32, NODES - 2);
    assert_eq!(skips[42].message, "Skipped puppet run on node000042.example.com: the job was stopped");
}

#[tokio::test]
async fn a_skip_counts_before_its_chunks_and_the_job_cannot_end_before_them() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let job = create(store).await;
    let end = Write::JobEnded { job, state: JobState::Failed, at: at(9) };
    // One group, so that no chunk can come between.
    let message = refusal(store.append(vec![skipped(job, 0..NODES, 1), end.clone()]).await);
    assert!(message.contains("outstanding"), "{message}");
    assert_eq!(count(store, job, NodeState::Skipped).await, 0, "the refused group took its decision along");
    store.append(vec![skipped(job, 0..NODES, 1)]).await.unwrap();
    assert_eq!(count(store, job, NodeState::Skipped).await, NODES);
    let page = store.nodes(NodeQuery { descending: true, limit: 1, ..all_nodes(job) }).await.unwrap();
    assert_eq!(page.items[0].message, "Skipped puppet run on node004999.example.com: the job was stopped");
    assert_eq!(page.items[0].result, Value::Null);
    store.settled(job).await.unwrap();
    store.append(vec![end]).await.unwrap();
    assert_eq!(read_events(store, job).await.last().unwrap().kind, bunraku_actors::model::EventKind::JobFinished);
}

#[tokio::test]
async fn chunks_are_finished_after_a_restart() {
    let fixture = Fixture::new();
    let job = create(&fixture.store).await;
    let fixture = fixture.reopen().await;
    fixture.store.append(vec![skipped(job, 0..NODES, 1)]).await.unwrap();
    let fixture = fixture.reopen().await;
    assert_readers_agree(&fixture.store, job, |_| NodeState::Skipped).await;
    fixture.store.settled(job).await.unwrap();
    assert_readers_agree(&fixture.store, job, |_| NodeState::Skipped).await;
    assert_eq!(read_events(&fixture.store, job).await.len(), NODES as usize);
}

#[tokio::test]
async fn sorted_pages_over_missing_rows_miss_nothing() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let spec = deploy_spec(NODES as usize);
    let job = create(store).await;
    store.append(vec![started(&spec, job, 4_998, 1), started(&spec, job, 4_996, 2)]).await.unwrap();
    for order in [NodeOrder::Started, NodeOrder::State, NodeOrder::Duration, NodeOrder::Name] {
        let query = NodeQuery { order, limit: 777, ..all_nodes(job) };
        let mut seen: Vec<_> = read_nodes(store, query).await.iter().map(|node| node.node.0).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..NODES).collect::<Vec<_>>(), "{order:?}");
    }
    let latest = NodeQuery { order: NodeOrder::Started, descending: true, limit: 2, ..all_nodes(job) };
    let latest = store.nodes(latest).await.unwrap();
    assert_eq!(latest.items.iter().map(|node| node.node.0).collect::<Vec<_>>(), [4_996, 4_998]);
}
