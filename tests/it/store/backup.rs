//! Backups of a store in use, and what a restore makes of them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bunraku::store::{BackupError, backup, backup_unless, restore};
use bunraku_actors::model::{EventSeq, JobId, JobState, NodeState};
use bunraku_actors::ports::{JobStore, Restoration, Write};

use super::builders::*;
use super::durable::assert_consistent;

#[tokio::test]
async fn a_copy_of_a_store_in_use_comes_back_with_its_jobs_held_and_no_number_given_twice() {
    let fixture = Fixture::new();
    let (database, copy) = (fixture.folder.path().join("bunraku.db"), fixture.folder.path().join("copy"));
    let spec = deploy_spec(3);
    let store = &fixture.store;
    let first = store.create_job(new_job(spec.clone())).await.unwrap();
    let over = store.create_job(new_job(deploy_spec(1))).await.unwrap();
    store
        .append(vec![skipped(over, [0], 1), Write::JobEnded { job: over, state: JobState::Failed, at: at(2) }])
        .await
        .unwrap();
    store.append(vec![started(&spec, first, 0, 1)]).await.unwrap();
    backup(&database, &copy).unwrap();
    assert!(matches!(backup(&database, &copy), Err(BackupError::Exists(_))));
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&copy).unwrap().permissions()) & 0o777,
        0o600
    );
    store.append(vec![started(&spec, first, 1, 5)]).await.unwrap();
    let later = store.create_job(new_job(deploy_spec(1))).await.unwrap();
    store.close().await;

    let Fixture { folder, store } = fixture;
    drop(store);
    let restored = restore(&copy, &database, false).unwrap();
    assert_eq!(restored.unfinished, 1);
    assert!(restored.job >= later.0, "what was given out since is not given again");
    assert!(restored.kept.unwrap().exists());
    let fixture = Fixture::over(folder);
    let store = &fixture.store;
    assert_consistent(store).await;
    let found = store.unfinished().await.unwrap();
    assert_eq!(
        found.iter().map(|job| (job.record.id, job.restoration)).collect::<Vec<_>>(),
        [(first, Restoration::Waiting)]
    );
    assert_eq!(found[0].nodes[1].state, NodeState::Ready, "the copy does not know the later start");
    let fresh = store.create_job(new_job(spec.clone())).await.unwrap();
    assert_eq!(fresh, JobId(restored.job + 1));
    store.append(vec![started(&spec, fresh, 0, 9), Write::JobResumed { job: first }]).await.unwrap();
    let event = read_events(store, fresh).await[0].seq;
    assert!(event > EventSeq(1_000_000), "events jump too: {event}");
    let known = store.unfinished().await.unwrap();
    assert_eq!(known.iter().map(|job| job.restoration).collect::<Vec<_>>(), [Restoration::Resumed, Restoration::None]);
    assert_eq!(store.create_job(new_job(spec)).await.unwrap(), JobId(fresh.0 + 1), "one jump, then no gaps");
}

#[tokio::test]
async fn what_is_no_sound_backup_changes_nothing() {
    let fixture = Fixture::new();
    let (database, copy) = (fixture.folder.path().join("bunraku.db"), fixture.folder.path().join("copy"));
    let job = fixture.store.create_job(new_job(deploy_spec(500))).await.unwrap();
    backup(&database, &copy).unwrap();
    fixture.store.close().await;
    let Fixture { folder, store } = fixture;
    drop(store);
    let sound = std::fs::read(&copy).unwrap();
    let mut damaged = sound.clone();
    let middle = damaged.len() / 2 / 4_096 * 4_096;
    damaged[middle..middle + 4_096].fill(0x5A);
    let foreign = folder.path().join("foreign");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let newer = folder.path().join("newer");
    std::fs::write(&newer, &sound).unwrap();
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 9_999).unwrap();
    std::fs::write(&copy, damaged).unwrap();
    let text = folder.path().join("text");
    std::fs::write(&text, "no database").unwrap();
    for bad in [&copy, &foreign, &newer, &text, &folder.path().join("missing")] {
        let error = restore(bad, &database, false).unwrap_err().to_string();
        assert!(error.contains(&bad.display().to_string()), "{error}");
    }
    let fixture = Fixture::over(folder);
    assert_eq!(fixture.store.unfinished().await.unwrap()[0].record.id, job);
    assert_eq!(fixture.store.unfinished().await.unwrap()[0].restoration, Restoration::None);
}

#[tokio::test]
async fn a_copy_that_is_called_off_leaves_nothing() {
    let fixture = Fixture::new();
    fixture.store.create_job(new_job(deploy_spec(500))).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let database = fixture.folder.path().join("bunraku.db");
    let off = backup_unless(&database, &folder.path().join("copy"), &Arc::new(AtomicBool::new(true)));
    assert!(matches!(off, Err(BackupError::CalledOff(_))), "{off:?}");
    let names =
        || std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert!(names().is_empty(), "{:?}", names());
    backup(&database, &folder.path().join("copy")).unwrap();
    assert_eq!(names(), ["copy"], "nor does a good one leave anything beside it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_store_that_is_written_to_all_the_time_comes_to_its_end() {
    let fixture = Fixture::new();
    let store = fixture.store.clone();
    let spec = deploy_spec(12_000);
    let job = store.create_job(new_job(spec.clone())).await.unwrap();
    store.settled(job).await.unwrap();
    let writing = tokio::spawn(async move {
        for node in 0.. {
            store.append(vec![started(&spec, job, node, 1)]).await.unwrap();
        }
    });
    let (database, copy) = (fixture.folder.path().join("bunraku.db"), fixture.folder.path().join("copy"));
    let made = tokio::task::spawn_blocking(move || backup(&database, &copy)).await.unwrap();
    assert!(!writing.is_finished(), "it was written to until the end");
    writing.abort();
    made.unwrap();
}
