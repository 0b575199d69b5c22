//! File systems that take no writes: what can be copied from them is, and what cannot is told by its cause.

use std::process::{Command, Output};

use crate::support::process::Served;
use crate::support::service::Site;

/// Runs `bunraku` with these arguments where a folder is mounted read-only; `None` where nothing may be mounted.
#[expect(clippy::print_stderr, reason = "a suite that is skipped says so")]
fn with_read_only(folder: &str, arguments: &[&str]) -> Option<Output> {
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" || exit 99; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, folder, env!("CARGO_BIN_EXE_bunraku")]).args(arguments);
    let output = command.output().ok().filter(|output| !matches!(output.status.code(), Some(99)) && may_unshare());
    if output.is_none() {
        assert!(std::env::var_os("BUNRAKU_REQUIRE_ALL").is_none(), "nothing may be mounted here");
        eprintln!("skipped: read-only file systems are only tested by root, where mounts are allowed");
    }
    output
}

fn may_unshare() -> bool {
    Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_made_from_read_only_file_systems_and_restored_from_them() {
    let site = Site::new();
    let served = Served::prepare(&site, &[]).await;
    let (config, data) = (served.config().to_str().unwrap(), site.config.data_dir.to_str().unwrap());
    let medium = site.dir().join("medium");
    std::fs::create_dir(&medium).unwrap();
    let copy = medium.join("copy.db");
    let copy = copy.to_str().unwrap();
    let Some(backup) = with_read_only(data, &["backup", copy, "--config", config]) else { return };
    assert!(backup.status.success(), "{backup:?}");

    let refused = with_read_only(data, &["restore", copy, "--config", config]).unwrap();
    let text = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(text.matches("Read-only file system").count(), 1, "{text}");

    // A file as releases of before may have made it, or a plain copy of a stopped service's database.
    let plain = medium.join("plain.db");
    std::fs::copy(site.config.data_dir.join("bunraku.db"), &plain).unwrap();
    let plain = plain.to_str().unwrap();
    // A new machine, too.
    std::fs::remove_dir_all(data).unwrap();
    let restored = with_read_only(medium.to_str().unwrap(), &["restore", plain, "--config", config]).unwrap();
    assert!(restored.status.success(), "{restored:?}");

    std::fs::write(format!("{plain}-wal"), "a log").unwrap();
    let logged = with_read_only(medium.to_str().unwrap(), &["restore", plain, "--config", config]).unwrap();
    let text = String::from_utf8(logged.stderr).unwrap();
    assert!(text.contains("the log beside it"), "{text}");
}
