//! Tasks through the port: lists, details, and copies that survive a change of the module.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bunraku_actors::ports::{Directory as _, DirectoryError};
use sha2::{Digest as _, Sha256};

use super::{Lab, environment, task};

async fn lab() -> Lab {
    let lab = Lab::start().await;
    lab.write("environments/production.yaml", "nodes: [a]\n");
    lab.write("environments/staging.yaml", "modulepath: [../staging, $basemodulepath]\n");
    lab.write("modules/shop/tasks/init.json", r#"{"description": "d", "files": ["shop/files/data"]}"#);
    lab.write("modules/shop/tasks/init.sh", "first");
    lab.write("modules/shop/files/data", "shared");
    lab
}

#[tokio::test]
async fn tasks_belong_to_their_environment() {
    let lab = lab().await;
    lab.write("staging/extra/tasks/init.sh", "");
    let names = async |name: &str| {
        let tasks = lab.directory.tasks(&environment(name)).await.unwrap();
        tasks.into_iter().map(|task| task.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names("production").await, ["shop"]);
    assert_eq!(names("staging").await, ["extra", "shop"]);
    assert!(names("nosuch").await.is_empty());
    let extra = lab.directory.task(&environment("production"), &task("extra")).await.unwrap();
    assert!(extra.is_none());
    assert!(lab.directory.task(&environment("nosuch"), &task("shop")).await.unwrap().is_none());
    assert!(lab.directory.pin_task(&environment("nosuch"), &task("shop")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_pinned_file_survives_the_change_of_its_module() {
    let lab = lab().await;
    let production = environment("production");
    let pinned = lab.directory.pin_task(&production, &task("shop")).await.unwrap().unwrap();
    assert_eq!(Some(&pinned), lab.directory.task(&production, &task("shop")).await.unwrap().as_ref());
    lab.write("modules/shop/tasks/init.sh", "second");
    fs::remove_file(lab.at("modules/shop/files/data")).unwrap();

    let mut contents = Vec::new();
    for file in &pinned.files {
        let path = lab.directory.pinned_file(&file.sha256).await.unwrap().unwrap();
        contents.push(fs::read_to_string(path).unwrap());
    }
    assert_eq!(contents, ["first", "shared"]);
    let broken = lab.directory.pin_task(&production, &task("shop")).await;
    assert!(matches!(broken, Err(DirectoryError::BrokenTask { .. })), "{broken:?}");
    for bad in ["", "../../etc/passwd", &"0".repeat(64)] {
        assert_eq!(lab.directory.pinned_file(bad).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_copy_always_has_the_content_of_its_name() {
    let lab = lab().await;
    let production = environment("production");
    let script = lab.at("modules/shop/tasks/init.sh");
    let ended = Arc::new(AtomicBool::new(false));
    let (stop, path) = (Arc::clone(&ended), script.clone());
    let writer = std::thread::spawn(move || {
        let mut round = 0_u32;
        while !stop.load(Ordering::Relaxed) {
            round += 1;
            // In place, and sometimes by a new file; same length every time.
            let text = format!("{round:08}").repeat(2_000);
            if round.is_multiple_of(2) {
                fs::write(&path, text).unwrap();
            } else {
                fs::write(path.with_extension("new~"), text).unwrap();
                fs::rename(path.with_extension("new~"), &path).unwrap();
            }
            std::thread::yield_now();
        }
    });
    for _ in 0..40 {
        match lab.directory.pin_task(&production, &task("shop")).await {
            Ok(detail) => {
                for file in detail.unwrap().files {
                    let kept = lab.directory.pinned_file(&file.sha256).await.unwrap().unwrap();
                    let content = fs::read(kept).unwrap();
                    assert_eq!(hex::encode(Sha256::digest(&content)), file.sha256);
                    assert_eq!(content.len() as u64, file.size_bytes);
                }
            }
            // A file that never holds still is refused, never copied half.
            Err(error) => assert!(matches!(error, DirectoryError::BrokenTask { .. }), "{error}"),
        }
    }
    ended.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    assert!(lab.directory.pin_task(&production, &task("shop")).await.is_ok(), "at rest it is kept at once");
}

#[tokio::test]
async fn a_store_that_cannot_be_written_is_named() {
    let lab = lab().await;
    fs::remove_dir_all(lab.at("data/files")).unwrap();
    fs::write(lab.at("data/files"), "a file in its place").unwrap();
    let refused = lab.directory.pin_task(&environment("production"), &task("shop")).await;
    assert!(
        matches!(&refused, Err(DirectoryError::Unavailable(reason)) if reason.contains("data/files")),
        "{refused:?}"
    );
    let health = lab.directory.health();
    let store = health.iter().find(|health| health.source == "task files").unwrap();
    assert!(store.trouble.as_ref().is_some_and(|trouble| trouble.contains("data/files")), "{store:?}");

    fs::remove_file(lab.at("data/files")).unwrap();
    fs::create_dir(lab.at("data/files")).unwrap();
    assert!(lab.directory.pin_task(&environment("production"), &task("shop")).await.is_ok());
    assert!(lab.directory.health().iter().all(|health| health.trouble.is_none()));
}
