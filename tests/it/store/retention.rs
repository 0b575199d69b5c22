//! Retention: what is too old goes in small pieces, is never half seen, and takes nothing along that must stay.

use std::sync::Arc;

use bunraku::api::records::{PlanSpec, PlanState, Records};
use bunraku::store::{Cutoffs, Pruned, Store, pruned_result};
use bunraku_actors::model::{JobId, JobState, LateAnswer, NodeIndex, NodeState};
use bunraku_actors::ports::{JobOrder, JobStore, StoreError, Write};
use serde_json::json;

use super::builders::*;

fn jobs_before(seconds: i64) -> Cutoffs {
    Cutoffs { jobs: Some(at(seconds)), ..Cutoffs::default() }
}

fn output_before(seconds: i64) -> Cutoffs {
    Cutoffs { output: Some(at(seconds)), ..Cutoffs::default() }
}

/// A job whose nodes finished, and which ended at this time.
async fn over_at(store: &Store, nodes: u32, seconds: i64) -> JobId {
    let spec = deploy_spec(nodes as usize);
    let job = store.create_job(new_job(spec.clone())).await.unwrap();
    for start in (0..nodes).step_by(400) {
        let part = start..(start + 400).min(nodes);
        store.append(part.clone().map(|node| started(&spec, job, node, 1)).collect()).await.unwrap();
        store.append(part.map(|node| ended(job, node, 2, NodeState::Finished)).collect()).await.unwrap();
    }
    store.append(vec![Write::JobEnded { job, state: JobState::Finished, at: at(seconds) }]).await.unwrap();
    job
}

/// How many rows the file has of a job, over all tables.
fn rows_of(fixture: &Fixture, job: JobId) -> i64 {
    let file = rusqlite::Connection::open(fixture.folder.path().join("bunraku.db")).unwrap();
    let count = |sql: &str| file.query_row(sql, [job.0.cast_signed()], |row| row.get::<_, i64>(0)).unwrap();
    let tables = ["job_specs", "job_states", "job_nodes", "events", "decisions", "late_answers", "pruned_jobs"];
    tables.iter().map(|table| count(&format!("SELECT count(*) FROM {table} WHERE job = ?1"))).sum()
}

async fn numbers(store: &Store) -> Vec<u64> {
    let jobs = store.jobs(all_jobs(JobOrder::Name, false)).await.unwrap();
    assert_eq!(jobs.items.len() as u64, jobs.total);
    jobs.items.iter().map(|job| job.id.0).collect()
}

#[tokio::test]
async fn what_is_too_old_is_gone_to_the_last_row_and_the_rest_is_as_it_was() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let old = over_at(store, 1_300, 10).await;
    let young = over_at(store, 3, 20).await;
    let open = store.create_job(new_job(deploy_spec(2))).await.unwrap();
    let before = (read_nodes(store, all_nodes(young)).await.len(), read_events(store, young).await);
    assert_eq!(store.prune(jobs_before(15)).await.unwrap(), Pruned { jobs: 1, outputs: 0 });
    assert!(store.job(old).await.unwrap().is_none());
    assert!(store.stored(old).await.unwrap().is_none());
    assert_eq!(read_nodes(store, all_nodes(old)).await.len(), 0);
    assert_eq!(read_events(store, old).await.len(), 0);
    assert_eq!(rows_of(&fixture, old), 0);
    assert_eq!((read_nodes(store, all_nodes(young)).await.len(), read_events(store, young).await), before);
    assert_eq!(numbers(store).await, [young.0, open.0], "one that is not over stays, however old");
    assert_eq!(store.prune(jobs_before(15)).await.unwrap(), Pruned::default(), "and nothing more");
    let next = store.create_job(new_job(deploy_spec(1))).await.unwrap();
    assert_eq!(next, JobId(open.0 + 1), "no number is given twice");
}

#[tokio::test]
async fn a_job_with_a_hold_stays_until_the_hold_is_over() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let spec = deploy_spec(1);
    let job = store.create_job(new_job(spec.clone())).await.unwrap();
    let end = Arc::new(end_of(NodeState::Errored));
    let lost = Write::NodeEnded { job, node: NodeIndex(0), at: at(2), end, hold: Some(at(600)) };
    let over = Write::JobEnded { job, state: JobState::Failed, at: at(3) };
    store.append(vec![started(&spec, job, 0, 1), lost, over]).await.unwrap();
    assert_eq!(store.prune(jobs_before(9_999)).await.unwrap().jobs, 0);
    assert_eq!(store.holds().await.unwrap().len(), 1, "holds are never removed for their age");
    let transaction = store.holds().await.unwrap()[0].transaction;
    let late = Some(Box::new(LateAnswer::of(end_of(NodeState::Finished), at(4))));
    store.append(vec![Write::HoldEnded { transaction, late }]).await.unwrap();
    assert_eq!(store.prune(jobs_before(9_999)).await.unwrap().jobs, 1);
    assert_eq!(rows_of(&fixture, job), 0);
}

#[tokio::test]
async fn removed_output_says_so_and_everything_else_stays() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let old = over_at(store, 1_200, 10).await;
    let young = over_at(store, 2, 20).await;
    assert_eq!(store.prune(output_before(15)).await.unwrap(), Pruned { jobs: 0, outputs: 1 });
    let nodes = read_nodes(store, all_nodes(old)).await;
    assert_eq!(nodes.len(), 1_200);
    for node in &nodes {
        assert_eq!((node.state, &node.result), (NodeState::Finished, &pruned_result()));
        assert_eq!(node.details, json!({"metrics": {"total": 1}}), "counters are no output");
        assert!(node.resource_events.is_empty() && node.message == "it is finished");
    }
    let events = read_events(store, old).await;
    assert_eq!(events.len(), 2_401);
    assert_eq!(events[2_399].detail, pruned_result(), "and so do events");
    assert_eq!(read_nodes(store, all_nodes(young)).await[0].result, result_of(NodeState::Finished));
    assert_eq!(store.prune(output_before(15)).await.unwrap(), Pruned::default(), "once");
}

#[tokio::test]
async fn late_answers_lose_their_output_too() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let spec = deploy_spec(1);
    let job = store.create_job(new_job(spec.clone())).await.unwrap();
    let mut lost = end_of(NodeState::Errored);
    lost.cause = Some(bunraku_actors::model::Cause::ContactLost);
    let lost = Write::NodeEnded { job, node: NodeIndex(0), at: at(2), end: Arc::new(lost), hold: Some(at(600)) };
    store.append(vec![started(&spec, job, 0, 1), lost]).await.unwrap();
    let transaction = store.holds().await.unwrap()[0].transaction;
    let late = Some(Box::new(LateAnswer::of(end_of(NodeState::Finished), at(4))));
    let over = Write::JobEnded { job, state: JobState::Failed, at: at(5) };
    store.append(vec![Write::HoldEnded { transaction, late }, over]).await.unwrap();
    store.prune(output_before(9)).await.unwrap();
    let late = read_nodes(store, all_nodes(job)).await[0].late.clone().unwrap();
    assert_eq!((late.state, late.result), (NodeState::Finished, pruned_result()));
}

#[tokio::test]
async fn a_removal_that_is_cut_off_goes_on_at_the_next_start() {
    let fixture = Fixture::new();
    let job = over_at(&fixture.store, 2_000, 10).await;
    let left = over_at(&fixture.store, 2, 20).await;
    {
        let mut prune = Box::pin(fixture.store.prune(jobs_before(15)));
        // Handed in, not awaited: the store is closed in the middle of it.
        assert!(futures_util::poll!(&mut prune).is_pending());
    }
    fixture.store.close().await;
    let rows = rows_of(&fixture, job);
    assert!(rows > 0, "some of it is left");
    let fixture = Fixture::over(fixture.folder);
    if fixture.store.job(job).await.unwrap().is_some() {
        // It was closed before the first piece.
        fixture.store.prune(jobs_before(15)).await.unwrap();
    }
    fixture.store.prune(Cutoffs::default()).await.unwrap();
    assert_eq!(rows_of(&fixture, job), 0);
    assert_eq!(numbers(&fixture.store).await, [left.0]);
}

#[tokio::test]
async fn work_goes_on_between_the_pieces_of_a_large_removal() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let old = over_at(store, 10_000, 10).await;
    let prune = store.prune(jobs_before(15));
    let works = async {
        let spec = deploy_spec(40);
        let job = store.create_job(new_job(spec.clone())).await.unwrap();
        for node in 0..40 {
            store.append(vec![started(&spec, job, node, 1)]).await.unwrap();
        }
        rows_of(&fixture, old)
    };
    let (pruned, left) = tokio::join!(prune, works);
    assert_eq!(pruned.unwrap().jobs, 1);
    assert!(left > 0, "forty commits were answered before the removal was done");
    assert_eq!(rows_of(&fixture, old), 0);
}

#[tokio::test]
async fn the_file_becomes_smaller() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    over_at(store, 12_000, 10).await;
    let file = rusqlite::Connection::open(fixture.folder.path().join("bunraku.db")).unwrap();
    let pages = || -> i64 { file.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap() };
    let before = pages();
    store.prune(jobs_before(15)).await.unwrap();
    let after = pages();
    assert!(after < before / 2, "{before} pages before, {after} after");
}

#[tokio::test]
async fn files_of_jobs_that_are_over_are_not_in_use() {
    use bunraku_actors::model::{Action, TaskFile};
    let fixture = Fixture::new();
    let store = &fixture.store;
    let mut spec = task_spec("exec::run", 1);
    let Action::Task(task) = &*spec.action else { panic!("a task") };
    let mut task = task.clone();
    let file = TaskFile { filename: "run.sh".into(), sha256: "ab".repeat(32), size_bytes: 1, path: "/x".into() };
    task.files = vec![file];
    spec.action = std::sync::Arc::new(Action::Task(task));
    let job = store.create_job(new_job(spec)).await.unwrap();
    assert_eq!(store.files_in_use().await.unwrap().into_iter().collect::<Vec<_>>(), ["ab".repeat(32)]);
    let over = [skipped(job, [0], 1), Write::JobEnded { job, state: JobState::Failed, at: at(5) }];
    store.append(over.into()).await.unwrap();
    assert!(store.files_in_use().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_kept_beside_jobs_goes_when_it_is_too_old() {
    use bunraku::api::accounts::{Accounts, AuditEntry, AuditQuery, NewToken, TokenHash};

    let fixture = Fixture::new();
    let store = &fixture.store;
    for (login, role) in [("session", ""), ("service", "viewer")] {
        let token = NewToken {
            login: login.into(),
            display_name: String::new(),
            role: role.into(),
            description: String::new(),
            expires_at: Some(at(10)),
        };
        store.create_token(token, TokenHash::of(login), at(1)).await.unwrap();
    }
    for seconds in [5, 20] {
        let entry = AuditEntry {
            at: at(seconds),
            login: "ops".into(),
            address: String::new(),
            action: "POST /x".into(),
            outcome: "accepted".into(),
            about: serde_json::Map::new(),
        };
        store.audit(entry).await.unwrap();
    }
    let cutoffs = Cutoffs { jobs: Some(at(15)), audit: Some(at(15)), ..Cutoffs::default() };
    store.prune(cutoffs).await.unwrap();
    let logins: Vec<String> = store.tokens().await.unwrap().into_iter().map(|token| token.login).collect();
    assert_eq!(logins, ["service"], "sessions that are over go, tokens of service accounts stay to be looked at");
    let log = store.audit_log(AuditQuery { limit: 10, ..AuditQuery::default() }).await.unwrap();
    assert_eq!(log.iter().map(|record| record.seq).collect::<Vec<_>>(), [2], "what is younger stays under its number");
}

#[tokio::test]
async fn plan_jobs_go_with_their_age_once_they_are_over() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let mut plans = Vec::new();
    for finished in [Some(10), Some(20), None] {
        let spec = PlanSpec {
            plan: "shop::deploy".into(),
            description: String::new(),
            parameters: serde_json::Map::new(),
            sensitive: Vec::new(),
            environment: None,
            owner: deploy_spec(1).owner,
            userdata: json!({}),
            created_at: at(1),
        };
        let plan = store.start_plan(spec, None).await.unwrap();
        if let Some(seconds) = finished {
            store.finish_plan(plan, PlanState::Success, json!("done"), at(seconds)).await.unwrap();
        }
        plans.push(plan);
    }
    store.prune(jobs_before(15)).await.unwrap();
    let mut kept = Vec::new();
    for plan in &plans {
        let (events, _) = store.plan_events(*plan, 0, 10).await.unwrap();
        kept.push((store.plan(*plan).await.unwrap().is_some(), !events.is_empty()));
    }
    assert_eq!(kept, [(false, false), (true, true), (true, false)], "with their events; one that goes on stays");
}

#[tokio::test]
async fn a_pass_that_cannot_write_ends_and_the_next_one_goes_on() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let old = over_at(store, 1_300, 10).await;
    let other = rusqlite::Connection::open(fixture.folder.path().join("bunraku.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = store.prune(jobs_before(15)).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Unavailable(reason) if reason.contains("another process")), "{refused}");
    other.execute_batch("ROLLBACK").unwrap();
    while store.trouble().is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.prune(jobs_before(15)).await.unwrap().jobs, 1);
    assert_eq!(rows_of(&fixture, old), 0);
}
