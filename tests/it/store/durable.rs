//! What was acknowledged is on disk: any copy of the files opens and is consistent. Numbers have no gaps.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bunraku::store::{Options, Store};
use bunraku_actors::model::{EventKind, EventSeq, JobId, NodeIndex, NodeState};
use bunraku_actors::ports::{JobOrder, JobStore};

use super::builders::*;

/// Counts, node rows and events of every job tell the same story, and nothing has a gap.
pub(super) async fn assert_consistent(store: &dyn JobStore) {
    let jobs = store.jobs(all_jobs(JobOrder::Name, false)).await.unwrap();
    let numbers: Vec<_> = jobs.items.iter().map(|job| job.id.0).collect();
    assert_eq!(numbers, (1..=jobs.total).collect::<Vec<_>>());
    let mut seqs = Vec::new();
    for job in &jobs.items {
        store.settled(job.id).await.unwrap();
        let nodes = read_nodes(store, all_nodes(job.id)).await;
        let events = read_events(store, job.id).await;
        let mut last: BTreeMap<_, _> = BTreeMap::new();
        for event in &events {
            seqs.push(event.seq);
            if let Some(node) = &event.node {
                last.insert(node.clone(), (event.seq, event.kind));
            }
        }
        for node in &nodes {
            let told = last.get(&node.name).copied();
            assert_eq!(node.latest_event, told.map_or(EventSeq(0), |(seq, _)| seq), "{} of {}", node.name, job.id);
            let expected = match node.state {
                NodeState::New | NodeState::Ready => None,
                NodeState::Running => Some(EventKind::NodeRunning),
                over => EventKind::of_end(over),
            };
            assert_eq!(told.map(|(_, kind)| kind), expected, "{} of {}", node.name, job.id);
        }
        for state in NodeState::ALL {
            let listed = nodes.iter().filter(|node| node.state == state).count();
            assert_eq!(job.counts.get(state) as usize, listed, "{state:?} of {}", job.id);
        }
    }
    seqs.sort_unstable();
    assert_eq!(seqs.iter().map(|seq| seq.0).collect::<Vec<_>>(), (1..=seqs.len() as u64).collect::<Vec<_>>());
}

fn copy_files(from: &Path, to: &Path) {
    // The log first would miss what a checkpoint moves to the main file meanwhile.
    for name in ["bunraku.db", "bunraku.db-wal"] {
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_numbers_have_no_gaps_under_concurrent_appends() {
    let fixture = Fixture::new();
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let store = fixture.store.clone();
        tasks.push(tokio::spawn(async move {
            let spec = Arc::new(deploy_spec(40));
            let job = store.create_job(new_job((*spec).clone())).await.unwrap();
            for n in 0..40 {
                store.append(vec![started(&spec, job, n, 1)]).await.unwrap();
                assert!(store.append(vec![started(&spec, job, n, 1)]).await.is_err());
                store.append(vec![ended(job, n, 2, NodeState::Finished)]).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_consistent(&fixture.store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_the_files_taken_between_any_two_answers_opens_with_all_that_was_answered() {
    let fixture = Fixture::new();
    let spec = Arc::new(deploy_spec(2_000));
    let job = fixture.store.create_job(new_job((*spec).clone())).await.unwrap();
    for round in 0..12_u32 {
        let group = (0..10).map(|n| started(&spec, job, round * 10 + n, 1)).collect();
        fixture.store.append(group).await.unwrap();
        if round == 6 {
            fixture.store.append(vec![skipped(job, 500..2_000, 2)]).await.unwrap();
        }
        let copy = tempfile::tempdir().unwrap();
        copy_files(fixture.folder.path(), copy.path());
        let opened = Store::open(copy.path().join("bunraku.db"), Options::default()).unwrap();
        let record = opened.job(job).await.unwrap().unwrap();
        assert_eq!(record.counts.get(NodeState::Running), (round + 1) * 10);
        assert_consistent(&opened).await;
        let name = spec.node(NodeIndex(round * 10));
        assert_eq!(opened.open_runs(name).await.unwrap().len(), 1);
        opened.close().await;
    }
    assert_consistent(&fixture.store).await;
}

#[tokio::test]
async fn large_results_come_back_whole_and_pages_with_them_are_shorter() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let spec = deploy_spec(12);
    let job = store.create_job(new_job(spec.clone())).await.unwrap();
    // Hardly compressible, so that the packed size counts.
    let output = |n: u32| {
        let mut state = n;
        let noise = std::iter::repeat_with(move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b' ' + (state >> 24) as u8 % 94)
        });
        noise.take(1_000_000).collect::<String>()
    };
    for n in 0..12 {
        let mut end = end_of(NodeState::Finished);
        end.result = serde_json::json!({ "_output": output(n) });
        let end = bunraku_actors::ports::Write::NodeEnded {
            job,
            node: NodeIndex(n),
            at: at(2),
            end: Arc::new(end),
            hold: None,
        };
        store.append(vec![started(&spec, job, n, 1), end]).await.unwrap();
    }
    let first = store.nodes(all_nodes(job)).await.unwrap();
    assert!(first.items.len() < 12 && first.next.is_some(), "{} nodes on a page", first.items.len());
    let nodes = read_nodes(store, all_nodes(job)).await;
    assert_eq!(nodes.len(), 12);
    for (n, node) in (0..).zip(&nodes) {
        assert_eq!(node.result["_output"], output(n));
    }
    assert_eq!(read_events(store, job).await.last().unwrap().detail, nodes[11].result);
    assert_eq!(JobId(1), job);
}
