//! A store that cannot write says so, keeps what it has, and recovers by itself.

use bunraku::api::accounts::{Accounts, NewToken, Role, TokenHash};
use bunraku_actors::model::{EventSeq, JobId};
use bunraku_actors::ports::{JobStore, StoreError};

use super::builders::*;

/// Yields to the other tasks until `condition` holds.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_locked_file_makes_the_store_unready_until_it_can_write_again() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let spec = deploy_spec(1);
    let job = store.create_job(new_job(spec.clone())).await.unwrap();
    let other = rusqlite::Connection::open(fixture.folder.path().join("bunraku.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.append(vec![started(&spec, job, 0, 1)]).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(reason) if reason.contains("another process")), "{error}");
    assert!(store.trouble().unwrap().contains("locked"));
    assert!(store.job(job).await.unwrap().is_some(), "reads go on");
    other.execute_batch("ROLLBACK").unwrap();
    until(|| store.trouble().is_none()).await;
    store.append(vec![started(&spec, job, 0, 1)]).await.unwrap();
    assert_eq!(read_events(store, job).await[0].seq.0, 1);
    assert_eq!(store.create_job(new_job(deploy_spec(1))).await.unwrap(), JobId(2));
}

#[tokio::test]
async fn a_file_that_takes_no_writes_is_told_of_at_the_start() {
    let fixture = Fixture::new();
    let job = fixture.store.create_job(new_job(deploy_spec(1))).await.unwrap();
    fixture.store.close().await;
    let Fixture { folder, store } = fixture;
    drop(store);
    let other = rusqlite::Connection::open(folder.path().join("bunraku.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let fixture = Fixture::over(folder);
    assert!(fixture.store.trouble().unwrap().contains("another process"), "before anybody writes");
    assert!(fixture.store.job(job).await.unwrap().is_some(), "reads are answered");
    other.execute_batch("ROLLBACK").unwrap();
    until(|| fixture.store.trouble().is_none()).await;
}

#[tokio::test]
async fn damage_that_a_reader_meets_makes_the_store_unready_for_good() {
    let fixture = Fixture::new();
    let spec = deploy_spec(40);
    let job = fixture.store.create_job(new_job(spec.clone())).await.unwrap();
    fixture.store.append((0..40).map(|node| started(&spec, job, node, 1)).collect()).await.unwrap();
    fixture.store.close().await;
    let Fixture { folder, store } = fixture;
    drop(store);
    let path = folder.path().join("bunraku.db");
    let root: u32 = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'events'", [], |row| row.get(0))
        .unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let page = 4_096 * (root as usize - 1);
    bytes[page..page + 4_096].fill(0xA5);
    std::fs::write(&path, bytes).unwrap();
    let fixture = Fixture::over(folder);
    let store = &fixture.store;
    assert_eq!(store.trouble(), None, "the damage is where nobody has looked yet");
    assert!(store.events(job, EventSeq(0), 10).await.is_err());
    assert!(store.trouble().unwrap().contains("restore a backup"), "{:?}", store.trouble());
    let token = NewToken {
        login: "x".into(),
        display_name: "x".into(),
        role: Role::Viewer.into(),
        description: String::new(),
        expires_at: None,
    };
    store.create_token(token, TokenHash::of("x"), at(1)).await.unwrap();
    assert!(store.trouble().is_some(), "a write that goes well elsewhere proves nothing");
}

#[tokio::test]
async fn chunks_wait_while_the_store_is_in_trouble_and_go_on_after_it() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let job = store.create_job(new_job(deploy_spec(5_000))).await.unwrap();
    let other = rusqlite::Connection::open(fixture.folder.path().join("bunraku.db")).unwrap();
    other.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(store.append(vec![skipped(job, 0..5_000, 1)]).await.is_err());
    other.execute_batch("ROLLBACK").unwrap();
    store.settled(job).await.unwrap();
    assert_eq!(read_nodes(store, all_nodes(job)).await.len(), 5_000);
}

#[tokio::test]
async fn a_closed_store_refuses_and_loses_nothing() {
    let fixture = Fixture::new();
    let store = fixture.store.clone();
    let job = store.create_job(new_job(deploy_spec(1))).await.unwrap();
    store.close().await;
    store.close().await;
    for answer in [
        store.create_job(new_job(deploy_spec(1))).await.map(drop),
        store.append(Vec::new()).await,
        store.job(job).await.map(drop),
    ] {
        assert!(matches!(&answer, Err(StoreError::Failed(reason)) if reason.contains("closed")), "{answer:?}");
    }
    drop(store);
    let fixture = fixture.reopen().await;
    assert!(fixture.store.job(job).await.unwrap().is_some());
}

#[tokio::test]
async fn the_last_clone_to_go_ends_the_writer_with_all_that_was_handed_in() {
    let fixture = Fixture::new();
    let Fixture { folder, store } = fixture;
    let spec = deploy_spec(50);
    let job = store.create_job(new_job(spec.clone())).await.unwrap();
    let mut last = 0;
    for n in 0..50 {
        let mut append = Box::pin(store.append(vec![started(&spec, job, n, 1)]));
        // Handed in, its answer not awaited.
        if futures_util::poll!(&mut append).is_pending() {
            last = n;
        }
    }
    drop(store);
    let fixture = Fixture::over(folder);
    let events = read_events(&fixture.store, job).await;
    assert!(last > 0, "some appends were not answered at once");
    assert_eq!(events.len(), 50);
}

#[tokio::test]
async fn accepted_is_durable_nothing_is_accepted_into_files_that_are_not_there_any_more() {
    for file in ["bunraku.db", "bunraku.db-wal"] {
        for replaced in [false, true] {
            let fixture = Fixture::new();
            let store = &fixture.store;
            store.create_job(new_job(deploy_spec(1))).await.unwrap();
            let path = fixture.folder.path().join(file);
            std::fs::rename(&path, fixture.folder.path().join("aside")).unwrap();
            if replaced {
                std::fs::copy(fixture.folder.path().join("aside"), &path).unwrap();
            }
            let refused = store.create_job(new_job(deploy_spec(1))).await.unwrap_err();
            assert!(
                matches!(&refused, StoreError::Unavailable(reason) if reason.contains("removed or replaced")),
                "{file}: {refused}"
            );
            assert!(store.trouble().unwrap().contains("put the files back"), "{file}");
            std::fs::rename(fixture.folder.path().join("aside"), &path).unwrap();
            assert!(store.trouble().is_some(), "{file}: only a new process can tell what the files hold");
        }
    }
}
