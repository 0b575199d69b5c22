//! Values that could not be read back are not written, and a job that cannot be read does not hold up the others.

use std::sync::Arc;

use bunraku_actors::model::{
    Attempt, Cause, EventKind, EventSeq, JobId, JobKind, JobSpec, JobState, LateAnswer, NodeIndex, NodeState,
};
use bunraku_actors::ports::{EventPage, JobOrder, JobQuery, JobStore, Write};
use serde_json::{Value, json};

use super::builders::*;

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

#[tokio::test]
async fn a_job_that_could_not_be_read_back_is_refused() {
    let fixture = Fixture::new();
    let mut spec = deploy_spec(1);
    spec.options = json!({ "userdata": nested(126) }).into();
    let message = refusal(fixture.store.create_job(new_job(spec)).await);
    assert!(message.contains("nests deeper"), "{message}");
    let mut spec = deploy_spec(1);
    spec.options = json!({ "userdata": nested(64) }).into();
    let job = fixture.store.create_job(new_job(spec.clone())).await.unwrap();
    assert_eq!(job, JobId(1), "the refused one burned no number");
    let fixture = fixture.reopen().await;
    assert_eq!(fixture.store.unfinished().await.unwrap()[0].spec.options, spec.options);
}

#[tokio::test]
async fn a_result_that_could_not_be_read_back_is_refused_with_its_group() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let spec = deploy_spec(2);
    let job = store.create_job(new_job(spec.clone())).await.unwrap();
    store.append(vec![started(&spec, job, 0, 1), started(&spec, job, 1, 1)]).await.unwrap();
    let mut bad = ended(job, 1, 2, NodeState::Finished);
    if let Write::NodeEnded { end, .. } = &mut bad {
        Arc::make_mut(end).result = nested(126);
    }
    let message = refusal(store.append(vec![ended(job, 0, 2, NodeState::Finished), bad]).await);
    assert!(message.contains("nests deeper"), "{message}");
    assert_eq!(store.job(job).await.unwrap().unwrap().counts.get(NodeState::Running), 2);
    store.append(vec![ended(job, 0, 3, NodeState::Finished)]).await.unwrap();
    assert_eq!(read_nodes(store, all_nodes(job)).await.len(), 2);
}

#[tokio::test]
async fn never_stuck_a_job_that_cannot_be_read_is_ended_and_the_others_go_on() {
    let fixture = Fixture::new();
    let large = deploy_spec(2_500);
    for _ in 0..3 {
        fixture.store.create_job(new_job(large.clone())).await.unwrap();
    }
    for job in 1..=3 {
        fixture.store.settled(JobId(job)).await.unwrap();
    }
    fixture.store.close().await;
    let file = fixture.folder.path().join("bunraku.db");
    let other = rusqlite::Connection::open(&file).unwrap();
    // One byte says "plain JSON", the rest nests deeper than any parser reads.
    let mut poison = vec![0];
    poison.extend(format!("{}{}", "[".repeat(500), "]".repeat(500)).into_bytes());
    other.execute("UPDATE job_specs SET spec = ?1, header = ?1 WHERE job = 2", [&poison]).unwrap();
    other.execute("INSERT INTO decisions (job, body, done) VALUES (2, ?1, 0)", [&poison]).unwrap();
    drop(other);

    let fixture = Fixture::over(fixture.folder);
    let store = &fixture.store;
    let taken_up: Vec<_> = store.unfinished().await.unwrap().into_iter().map(|job| job.record.id).collect();
    assert_eq!(taken_up, [JobId(1), JobId(3)]);
    let listed = store.jobs(all_jobs(JobOrder::Name, false)).await.unwrap();
    assert_eq!(listed.items.len(), 3, "the list shows the broken one too");
    assert!(listed.items[1].header.description.contains("cannot be read"));
    assert_eq!(listed.items[1].header.node_count, 2_500);
    // Nobody could carry it on: it is over, and says why.
    let broken = &listed.items[1];
    assert_eq!((broken.state, broken.counts.get(NodeState::Skipped)), (JobState::Failed, 2_500));
    assert_eq!(broken.causes.get(Cause::JobBroken), 2_500);
    assert!(broken.finished_at.is_some() && broken.history.last().unwrap().state == JobState::Failed);
    let told = read_events(store, JobId(2)).await;
    assert_eq!(told.iter().map(|event| event.kind).collect::<Vec<_>>(), [EventKind::JobAborted]);
    assert!(told[0].message.starts_with("job 2 cannot be read and was ended: "), "{}", told[0].message);
    store.settled(JobId(2)).await.unwrap();
    // Chunks and writes of the others go on.
    store.append(vec![skipped(JobId(3), 0..2_500, 1)]).await.unwrap();
    store.settled(JobId(3)).await.unwrap();
    assert_eq!(store.trouble(), None);
    assert_eq!(store.create_job(new_job(deploy_spec(1))).await.unwrap(), JobId(4));
}

/// A job with a running node, `spoil` applied to its rows while the store is closed, and the store opened again.
async fn spoiled(spoil: &str) -> (Fixture, JobSpec) {
    let fixture = Fixture::new();
    let spec = deploy_spec(3);
    let job = fixture.store.create_job(new_job(spec.clone())).await.unwrap();
    fixture.store.append(vec![started(&spec, job, 1, 1)]).await.unwrap();
    fixture.store.create_job(new_job(spec.clone())).await.unwrap();
    fixture.store.close().await;
    let other = rusqlite::Connection::open(fixture.folder.path().join("bunraku.db")).unwrap();
    other.execute_batch(spoil).unwrap();
    drop(other);
    (Fixture::over(fixture.folder), spec)
}

#[tokio::test]
async fn one_row_that_cannot_be_read_takes_no_other_along() {
    for spoil in [
        "UPDATE jobs SET counts = 'nonsense' WHERE id = 1",
        "UPDATE jobs SET causes = 'nonsense' WHERE id = 1",
        "UPDATE jobs SET counts = (SELECT counts FROM jobs WHERE id = 2) WHERE id = 1",
        "UPDATE jobs SET state = 'nonsense' WHERE id = 1",
        "UPDATE jobs SET counts = 'nonsense'; UPDATE job_specs SET spec = x'00', header = x'00' WHERE job = 1",
        "UPDATE job_nodes SET state = 'nonsense' WHERE job = 1",
        "DELETE FROM job_nodes WHERE job = 1 AND node = 1",
        "DELETE FROM job_specs WHERE job = 1",
        "UPDATE job_nodes SET transaction_id = x'0102' WHERE job = 1",
        "UPDATE job_nodes SET transaction_id = NULL WHERE job = 1",
        "INSERT INTO holds VALUES (x'0102', 1, 'x', 1)",
        "UPDATE job_nodes SET node = 77 WHERE job = 1 AND node = 1",
        "UPDATE job_states SET state = 'nonsense' WHERE job = 1",
        "UPDATE job_states SET entered = 'x' WHERE job = 1 AND 0; DELETE FROM job_states WHERE job = 1",
        "UPDATE jobs SET stop = 'nonsense', retries = '{' WHERE id = 1",
    ] {
        let (fixture, spec) = spoiled(spoil).await;
        let store = &fixture.store;
        let listed = store.jobs(all_jobs(JobOrder::Name, false)).await.unwrap();
        assert_eq!(listed.items.len(), 2, "{spoil}");
        let taken_up = store.unfinished().await.unwrap();
        assert_eq!(taken_up.last().unwrap().record.id, JobId(2), "{spoil}");
        store.append(vec![started(&spec, JobId(2), 0, 1), ended(JobId(2), 0, 2, NodeState::Finished)]).await.unwrap();
        if taken_up.len() == 2 {
            store.append(vec![ended(JobId(1), 1, 2, NodeState::Finished), skipped(JobId(1), [0, 2], 3)]).await.unwrap();
            let over = Write::JobEnded { job: JobId(1), state: JobState::Failed, at: at(4) };
            store.append(vec![over]).await.unwrap();
        }
        let first = store.job(JobId(1)).await.unwrap().unwrap();
        assert!(first.state.is_terminal() && first.counts.all_over(), "{spoil}: {first:?}");
        assert_eq!(store.trouble(), None, "{spoil}");
    }
}

#[tokio::test]
async fn a_damaged_event_stops_nobody_who_follows() {
    let fixture = Fixture::new();
    let spec = deploy_spec(3);
    let job = fixture.store.create_job(new_job(spec.clone())).await.unwrap();
    fixture.store.append((0..3).map(|node| started(&spec, job, node, 1)).collect()).await.unwrap();
    fixture.store.close().await;
    let other = rusqlite::Connection::open(fixture.folder.path().join("bunraku.db")).unwrap();
    other.execute_batch("UPDATE events SET kind = 'nonsense' WHERE seq = 2").unwrap();
    drop(other);
    let fixture = Fixture::over(fixture.folder);
    let seqs = |page: EventPage| page.items.iter().map(|event| event.seq.0).collect::<Vec<_>>();
    assert_eq!(seqs(fixture.store.events(job, EventSeq(0), 10).await.unwrap()), [1, 3]);
    assert_eq!(seqs(fixture.store.all_events(EventSeq(0), 10).await.unwrap()), [1, 3]);
    assert_eq!(fixture.store.trouble(), None);
}

#[tokio::test]
async fn limits_hold_exactly_a_run_of_a_job_that_cannot_be_read_keeps_its_node() {
    let (fixture, spec) = spoiled(
        "UPDATE job_specs SET spec = (SELECT CAST(x'00' || CAST('{\"nodes\":[\"a\",\"b\",\"c\"]}' AS BLOB) AS BLOB)) \
         WHERE job = 1",
    )
    .await;
    let store = &fixture.store;
    assert!(store.job(JobId(1)).await.unwrap().unwrap().state.is_terminal());
    let holds = store.holds().await.unwrap();
    let [held] = &holds[..] else { panic!("{holds:?}") };
    assert_eq!((held.job, held.node.as_str(), held.kind()), (JobId(1), "b", JobKind::Deploy));
    assert_eq!(held.transaction, spec.transaction(NodeIndex(1), Attempt::FIRST));
    let late = Some(Box::new(LateAnswer::of(end_of(NodeState::Finished), at(9))));
    store.append(vec![Write::HoldEnded { transaction: held.transaction, late }]).await.unwrap();
    assert_eq!(store.holds().await.unwrap(), []);
}

#[tokio::test]
async fn a_page_of_the_job_list_ends_by_bytes() {
    let fixture = Fixture::new();
    let mut spec = deploy_spec(1);
    spec.options = json!({ "userdata": "x".repeat(1024 * 1024) }).into();
    for _ in 0..6 {
        fixture.store.create_job(new_job(spec.clone())).await.unwrap();
    }
    let mut query = JobQuery { limit: Some(100), ..all_jobs(JobOrder::Name, false) };
    let page = fixture.store.jobs(query.clone()).await.unwrap();
    assert_eq!((page.items.len(), page.total), (4, 6));
    query.offset = 4;
    assert_eq!(fixture.store.jobs(query).await.unwrap().items.len(), 2);
}
