//! A restore that is killed anywhere, and databases that were put in place by hand: no job is lost, no number is given a
//! second time.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use bunraku::store::{Options, Store, backup};
use bunraku_actors::model::JobId;
use bunraku_actors::ports::{JobStore, Restoration};

use super::builders::*;
use crate::support::process::Served;
use crate::support::service::Site;
use crate::support::strace;

/// A database as `kill -9` leaves it, with a log that holds what the file does not; and a copy of its day before.
struct Left {
    folder: tempfile::TempDir,
    copy: PathBuf,
}

const DATABASE: &str = "bunraku.db";

async fn left() -> Left {
    let Fixture { folder, store } = Fixture::new();
    let database = folder.path().join(DATABASE);
    store.create_job(new_job(deploy_spec(2))).await.unwrap();
    let copy = folder.path().join("copy");
    backup(&database, &copy).unwrap();
    store.create_job(new_job(deploy_spec(2))).await.unwrap();
    let left = Left { folder: tempfile::tempdir().unwrap(), copy: PathBuf::new() };
    put(folder.path(), left.folder.path());
    let copy = left.folder.path().join("copy");
    assert!(std::fs::metadata(left.folder.path().join("bunraku.db-wal")).unwrap().len() > 0);
    drop(store);
    Left { copy, ..left }
}

/// Copies all files from one folder to another, which is emptied before.
fn put(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn open(folder: &Path) -> Store {
    Store::open(folder.join(DATABASE), Options::default()).unwrap()
}

/// The unfinished jobs, and the number that the next one gets.
async fn look(folder: &Path) -> (Vec<(JobId, Restoration)>, JobId) {
    let store = open(folder);
    let unfinished = store.unfinished().await.unwrap();
    let next = store.create_job(new_job(deploy_spec(1))).await.unwrap();
    store.close().await;
    (unfinished.iter().map(|job| (job.record.id, job.restoration)).collect(), next)
}

fn restore_killed_at(call: &str, turn: u32, copy: &Path, config: &Path) -> ExitStatus {
    let mut command = Command::new("strace");
    command.args(["--follow-forks", "--output", "/dev/null", &format!("--trace={call}")]);
    command.args(["--inject", &format!("{call}:signal=KILL:when={turn}"), env!("CARGO_BIN_EXE_bunraku"), "restore"]);
    command.arg(copy).arg("--config").arg(config).output().unwrap().status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_killed_anywhere_is_either_not_begun_or_finished_by_the_next_start() {
    if !strace::available() {
        return;
    }
    let template = left().await;
    let site = Site::new();
    let served = Served::prepare(&site, &[]).await;
    let data = &site.config.data_dir;
    let untouched = vec![(JobId(1), Restoration::None), (JobId(2), Restoration::None)];
    let restored = vec![(JobId(1), Restoration::Waiting)];
    let (mut before, mut after) = (0, 0);
    for call in ["rename", "fsync", "unlink"] {
        for turn in 1.. {
            put(template.folder.path(), data);
            let ended = restore_killed_at(call, turn, &data.join("copy"), served.config());
            let (jobs, next) = look(data).await;
            let at = format!("killed at {call} {turn}");
            if jobs == untouched {
                assert_eq!(next, JobId(3), "{at}");
                before += 1;
            } else {
                assert_eq!(jobs, restored, "{at}");
                assert!(next > JobId(3), "{at}: number {next} may have been given");
                assert_eq!(jobs_kept(data), 2, "{at}: what was there is kept, with its log");
                after += 1;
            }
            if ended.success() {
                assert!(turn > 1, "{call} is not called at all");
                break;
            }
        }
    }
    assert!(before > 3 && after > 6, "{before} before the decision, {after} behind it");
}

/// How many jobs the database has that was kept.
fn jobs_kept(data: &Path) -> u32 {
    let names = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let is_kept = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.contains("before-restore") && !name.ends_with("-wal") && !name.ends_with("-shm")
    };
    let kept: Vec<_> = names.filter(is_kept).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let connection = rusqlite::Connection::open(&kept[0]).unwrap();
    connection.query_row("SELECT count(*) FROM jobs", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_database_put_there_by_hand_is_taken_as_restored() {
    let Left { folder, copy } = left().await;
    let folder = folder.path();
    for ending in ["-wal", "-shm"] {
        std::fs::remove_file(folder.join(format!("{DATABASE}{ending}"))).unwrap();
    }
    std::fs::copy(&copy, folder.join(DATABASE)).unwrap();
    let (jobs, next) = look(folder).await;
    assert_eq!(jobs, [(JobId(1), Restoration::Waiting)]);
    assert!(next > JobId(3), "{next}");
    assert_eq!(look(folder).await.1, JobId(next.0 + 1), "one jump, then no gaps");
}

#[tokio::test]
async fn a_database_put_beside_the_log_of_another_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let (database, copy) = (folder.path().join(DATABASE), folder.path().join("copy"));
    let store = open(folder.path());
    let create = async |jobs: u32| {
        for _ in 0..jobs {
            store.create_job(new_job(deploy_spec(2))).await.unwrap();
        }
    };
    create(5).await;
    backup(&database, &copy).unwrap();
    // Much of this is moved from the log into the file, and the log begins anew.
    create(400).await;
    rusqlite::Connection::open(&database).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    create(20).await;
    let crashed = tempfile::tempdir().unwrap();
    put(folder.path(), crashed.path());
    let crashed = crashed.path();
    let database = crashed.join(DATABASE);
    assert!(std::fs::metadata(crashed.join("bunraku.db-wal")).unwrap().len() > 0);
    let used = std::fs::metadata(crashed.join("bunraku.db.used")).unwrap();
    std::fs::copy(crashed.join("copy"), &database).unwrap();
    // The clock of the file system stands still for some milliseconds at a time.
    let changed = |file: &std::fs::Metadata| (file.ctime(), file.ctime_nsec());
    while changed(&std::fs::metadata(&database).unwrap()) <= changed(&used) {
        std::fs::copy(crashed.join("copy"), &database).unwrap();
    }
    let refused = Store::open(&database, Options::default()).unwrap_err().to_string();
    assert!(refused.contains("does not fit the log beside it") && refused.contains("bunraku restore"), "{refused}");
    // As it says.
    std::fs::rename(crashed.join("copy"), crashed.join("other")).unwrap();
    bunraku::store::restore(&crashed.join("other"), &database, false).unwrap();
    let (jobs, next) = look(crashed).await;
    assert_eq!(jobs.len(), 5);
    assert!(next > JobId(425), "{next}");
    store.close().await;
}

#[tokio::test]
async fn an_empty_database_in_the_place_of_another_gives_no_number_again() {
    let Left { folder, .. } = left().await;
    let folder = folder.path();
    for ending in ["", "-wal", "-shm"] {
        std::fs::remove_file(folder.join(format!("{DATABASE}{ending}"))).unwrap();
    }
    let (jobs, next) = look(folder).await;
    assert!(jobs.is_empty() && next > JobId(3), "{jobs:?}, {next}");
}

#[tokio::test]
async fn a_crash_is_no_restore() {
    let Left { folder, .. } = left().await;
    let (jobs, next) = look(folder.path()).await;
    assert_eq!(jobs, [(JobId(1), Restoration::None), (JobId(2), Restoration::None)]);
    assert_eq!(next, JobId(3));
}

#[tokio::test]
async fn a_half_restored_database_is_not_copied() {
    let Left { folder, copy } = left().await;
    let database = folder.path().join(DATABASE);
    std::fs::copy(&copy, folder.path().join("bunraku.db.restoring-20310504T000000.000Z")).unwrap();
    let error = backup(&database, &folder.path().join("other")).unwrap_err().to_string();
    assert!(error.contains("interrupted"), "{error}");
    look(folder.path()).await;
    backup(&database, &folder.path().join("other")).unwrap();
}
