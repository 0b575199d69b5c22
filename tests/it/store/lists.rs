//! Lists: order, filters, pages.

use std::sync::Arc;

use bunraku_actors::model::{EnvironmentName, JobId, JobState, JobType, NodeState, Owner};
use bunraku_actors::ports::{JobOrder, JobQuery, JobStore, NodeOrder, Write};

use super::builders::*;

async fn numbers(store: &dyn JobStore, query: JobQuery) -> (Vec<u64>, u64) {
    let page = store.jobs(query).await.unwrap();
    (page.items.iter().map(|job| job.id.0).collect(), page.total)
}

/// Jobs 1 to 12; owners alternate, environments come in threes, 2, 4 and 6 are tasks, 1 and 2 are over.
async fn twelve_jobs(store: &dyn JobStore) {
    for n in 1..=12_i64 {
        let mut spec = if [2, 4, 6].contains(&n) { task_spec("exec::run", 1) } else { deploy_spec(1) };
        spec.owner = Owner { login: if n % 2 == 0 { "ann" } else { "bob" }.into(), ..spec.owner };
        spec.environment = Some(EnvironmentName::parse(["a", "b", "c", "d", "e"][(n / 3) as usize]).unwrap());
        spec.created_at = at(100 - n);
        let job = store.create_job(new_job(spec)).await.unwrap();
        assert_eq!(job, JobId(n as u64));
    }
    for (job, seconds) in [(1, 1_000), (2, 2_000)] {
        let job = JobId(job);
        let end = Write::JobEnded { job, state: JobState::Failed, at: at(seconds) };
        store.append(vec![skipped(job, [0], seconds), end]).await.unwrap();
    }
}

#[tokio::test]
async fn jobs_are_ordered_filtered_and_paged() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    twelve_jobs(store).await;
    let list = |order, descending| numbers(store, all_jobs(order, descending));
    assert_eq!(list(JobOrder::Name, false).await.0, (1..=12).collect::<Vec<_>>(), "by number, not as text");
    assert_eq!(list(JobOrder::Timestamp, true).await.0[..4], [2, 1, 3, 4]);
    assert_eq!(list(JobOrder::Owner, false).await.0, [2, 4, 6, 8, 10, 12, 1, 3, 5, 7, 9, 11]);
    assert_eq!(list(JobOrder::Owner, true).await.0, [11, 9, 7, 5, 3, 1, 12, 10, 8, 6, 4, 2]);
    assert_eq!(list(JobOrder::Environment, true).await.0[..3], [12, 11, 10]);
    assert_eq!(list(JobOrder::State, false).await.0[..3], [1, 2, 3]);
    let page = JobQuery { offset: 10, limit: Some(5), ..all_jobs(JobOrder::Name, false) };
    assert_eq!(numbers(store, page).await, (vec![11, 12], 12));
    let beyond = JobQuery { offset: 99, ..all_jobs(JobOrder::Name, false) };
    assert_eq!(numbers(store, beyond).await, (vec![], 12));
    let none = JobQuery { limit: Some(0), ..all_jobs(JobOrder::Name, false) };
    assert_eq!(numbers(store, none).await, (vec![], 12));
    let tasks = JobQuery { kind: Some(JobType::Task), ..all_jobs(JobOrder::Name, false) };
    assert_eq!(numbers(store, tasks).await, (vec![2, 4, 6], 3));
    let named = JobQuery { task: Some("c::r".into()), ..all_jobs(JobOrder::Name, true) };
    assert_eq!(numbers(store, named).await, (vec![6, 4, 2], 3));
    let over = JobQuery { min_finished: Some(at(1_000)), ..all_jobs(JobOrder::Name, false) };
    assert_eq!(numbers(store, over.clone()).await, (vec![1, 2], 2));
    let early = JobQuery { max_finished: Some(at(1_999)), ..over };
    assert_eq!(numbers(store, early).await, (vec![1], 1));
}

#[tokio::test]
async fn nodes_are_ordered_filtered_and_paged_in_both_directions() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let spec = Arc::new(deploy_spec(7));
    let job = store.create_job(new_job((*spec).clone())).await.unwrap();
    let mut writes: Vec<_> = [(0, 50), (1, 20), (2, 40), (3, 30)].map(|(n, s)| started(&spec, job, n, s)).into();
    writes.push(ended(job, 0, 60, NodeState::Finished));
    writes.push(ended(job, 1, 25, NodeState::Failed));
    writes.push(ended(job, 2, 99, NodeState::Finished));
    writes.push(skipped(job, [6], 5));
    store.append(writes).await.unwrap();
    let cases: [(NodeOrder, [u32; 7]); 5] = [
        (NodeOrder::Name, [0, 1, 2, 3, 4, 5, 6]),
        (NodeOrder::Started, [4, 5, 6, 1, 3, 2, 0]),
        (NodeOrder::Finished, [3, 4, 5, 6, 1, 0, 2]),
        (NodeOrder::State, [1, 0, 2, 4, 5, 3, 6]),
        (NodeOrder::Duration, [4, 5, 6, 1, 0, 2, 3]),
    ];
    for (order, mut expected) in cases {
        for descending in [false, true] {
            for limit in [1, 2, 3, 1_000] {
                let query = bunraku_actors::ports::NodeQuery { order, descending, limit, ..all_nodes(job) };
                let found: Vec<_> = read_nodes(store, query).await.iter().map(|node| node.node.0).collect();
                assert_eq!(found, expected, "{order:?} {descending} {limit}");
            }
            expected.reverse();
        }
        let mut query = all_nodes(job);
        (query.order, query.states, query.offset) = (order, vec![NodeState::Ready, NodeState::Finished], 1);
        let found: Vec<_> = read_nodes(store, query).await.iter().map(|node| node.node.0).collect();
        let wanted: Vec<_> = expected.into_iter().filter(|n| [0, 2, 4, 5].contains(n)).skip(1).collect();
        assert_eq!(found, wanted, "{order:?} filtered, from the second on");
    }
    assert!(read_nodes(store, all_nodes(JobId(99))).await.is_empty());
}
