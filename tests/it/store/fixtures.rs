//! Databases of each schema that was ever released must open, and read as they were written.
//!
//! `BUNRAKU_RENDER=1 cargo test --test it store::fixtures` writes the file of the newest schema, if it is not there.

use std::path::PathBuf;
use std::sync::Arc;

use bunraku::api::accounts::{Accounts, NewToken, Role, TokenHash};
use bunraku::store::{Options, Store};
use bunraku_actors::model::{JobId, JobState, NodeIndex, NodeState};
use bunraku_actors::ports::{JobStore, Write};

use super::builders::*;
use super::durable::assert_consistent;

const SCHEMAS: [u32; 3] = [1, 6, 8];

fn fixture(schema: u32) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/fixtures/schema-{schema}.db"))
}

/// Job 1 is over, job 2 has a running node, a hold and a skip whose chunks are cut off by the end of the process.
async fn write_jobs(store: &Store) {
    let spec = deploy_spec(2);
    let job = store.create_job(new_job(spec.clone())).await.unwrap();
    let group = vec![started(&spec, job, 0, 1), ended(job, 0, 2, NodeState::Finished), skipped(job, [1], 3)];
    store.append(group).await.unwrap();
    store.append(vec![Write::JobEnded { job, state: JobState::Failed, at: at(4) }]).await.unwrap();
    let spec = task_spec("exec::run", 1_200);
    let job = store.create_job(new_job(spec.clone())).await.unwrap();
    let end = Arc::new(end_of(NodeState::Errored));
    let lost = Write::NodeEnded { job, node: NodeIndex(1), at: at(6), end, hold: Some(at(600)) };
    store.append(vec![started(&spec, job, 0, 5), started(&spec, job, 1, 5), lost]).await.unwrap();
    store.append(vec![skipped(job, 2..1_200, 7)]).await.unwrap();
    let token = NewToken {
        login: "ops".into(),
        display_name: "Ops".into(),
        role: Role::Admin.into(),
        description: String::new(),
        expires_at: None,
    };
    store.create_token(token, TokenHash::of("fixture"), at(8)).await.unwrap();
}

async fn render(path: &std::path::Path) {
    let fixture = Fixture::new();
    write_jobs(&fixture.store).await;
    fixture.store.close().await;
    std::fs::copy(fixture.folder.path().join("bunraku.db"), path).unwrap();
}

#[tokio::test]
async fn databases_of_every_schema_open() {
    let newest = fixture(SCHEMAS[SCHEMAS.len() - 1]);
    if std::env::var_os("BUNRAKU_RENDER").is_some() && !newest.exists() {
        render(&newest).await;
    }
    for schema in SCHEMAS {
        assert_opens(&fixture(schema)).await;
    }
}

/// The numbered scripts, in order.
fn scripts() -> Vec<(u32, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/store/migrations");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    (1..).zip(files.iter().map(|file| std::fs::read_to_string(file).unwrap())).collect()
}

#[tokio::test]
async fn an_upgrade_may_begin_at_any_schema() {
    let scripts = scripts();
    for newest in 1..=scripts.len() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.db");
        std::fs::copy(fixture(1), &path).unwrap();
        let connection = rusqlite::Connection::open(&path).unwrap();
        for (number, script) in &scripts[1..newest] {
            connection.execute_batch(script).unwrap();
            connection.pragma_update(None, "user_version", number).unwrap();
        }
        drop(connection);
        assert_opens(&path).await;
    }
}

/// Opens a copy of a database with the jobs of [`write_jobs`], and reads them.
async fn assert_opens(database: &std::path::Path) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(database, folder.path().join("bunraku.db")).unwrap();
    let store = Store::open(folder.path().join("bunraku.db"), Options::default()).unwrap();
    let first = store.job(JobId(1)).await.unwrap().unwrap();
    assert_eq!((first.state, first.finished_at), (JobState::Failed, Some(at(4))));
    let second = store.job(JobId(2)).await.unwrap().unwrap();
    assert_eq!(second.counts.get(NodeState::Skipped), 1_198);
    assert_eq!(store.holds().await.unwrap().len(), 1);
    assert_eq!(store.open_runs(&deploy_spec(1).nodes[0]).await.unwrap().len(), 1);
    assert_eq!(store.token(TokenHash::of("fixture")).await.unwrap().unwrap().login, "ops");
    assert_consistent(&store).await;
    assert_eq!(store.create_job(new_job(deploy_spec(1))).await.unwrap(), JobId(3), "numbers go on");
}
