//! The dashboard: its pure modules under Node.js, and its pages in a real Chromium on the real service with real agents.
//!
//! Needs `node`, and for the pages `chromium` and the packages of `package.json` in `target/web`, all of which `tests/run`
//! installs. Where something is missing a test says that it is skipped, and why; with `BUNRAKU_REQUIRE_ALL=1` it fails
//! instead. What the pages look like stands in `target/web/screenshots` afterwards.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::env;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of these tests.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web")
}

/// Where the packages are.
fn packages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/web")
}

/// Whether the reason to skip is none. Says it otherwise, or fails where everything is required.
fn possible(missing: Option<String>) -> bool {
    let Some(reason) = missing else { return true };
    let all = env::var_os("BUNRAKU_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!all, "BUNRAKU_REQUIRE_ALL=1, but {reason}");
    // Not eprintln: the test harness would keep the line to itself.
    std::io::stderr().write_all(format!("skipped: {reason}\n").as_bytes()).unwrap();
    false
}

fn without_node() -> Option<String> {
    let found = Command::new("node").arg("--version").output().is_ok_and(|answer| answer.status.success());
    (!found).then(|| "there is no `node` in the path; `tests/run` installs it on Debian".to_owned())
}

fn without_browser() -> Option<String> {
    let chromium = env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    if !Path::new(&chromium).exists() {
        return Some(format!("there is no Chromium at {chromium}; `tests/run` installs it on Debian"));
    }
    for package in ["playwright-core", "axe-core"] {
        let place = packages().join("node_modules").join(package);
        if !place.is_dir() {
            return Some(format!("{} is missing; `tests/run` installs it", place.display()));
        }
    }
    None
}

/// Runs the suites `<folder>/*.test.mjs` with Node's own runner; fails with what they say.
fn run(folder: &Path) {
    let mut suites: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    suites.retain(|path| path.to_string_lossy().ends_with(".test.mjs"));
    suites.sort();
    assert!(!suites.is_empty(), "{} has no suites", folder.display());
    let mut command = Command::new("node");
    // One at a time: each has a service, agents and a browser.
    command.args(["--test", "--test-concurrency=1", "--test-reporter=spec"]).args(&suites);
    command.env("BUNRAKU_BIN", env!("CARGO_BIN_EXE_bunraku")).env("BUNRAKU_WEB_MODULES", packages());
    let answer = command.output().unwrap();
    let said = [answer.stdout, answer.stderr].concat();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn the_pure_modules_do_what_they_say() {
    if possible(without_node()) {
        run(&folder().join("unit"));
    }
}

#[test]
fn the_pages_work_in_a_browser() {
    if possible(without_node().or_else(without_browser)) {
        run(&folder());
    }
}
