//! House rules, checked: who may use whom, file heads and sizes, licences, one TLS provider, nothing of a machine of ours.

#![expect(clippy::unwrap_used, reason = "a helper that cannot do its work fails the test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The longest that a source file may be without saying why in its head.
const LONGEST: usize = 500;
/// What a longer file's head must say.
const EXCUSE: &str = "Longer than 500 lines because";

/// Folder (or file) → what it must never name. The table of `docs/architecture.md`.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("actors/src/model", &["actix", "tokio::", "chrono::Utc::now", "Utc::now", "new_v4", "tracing", "rand::"]),
    ("actors/src/plan", &["actix", "tokio::", "Utc::now", "new_v4", "tracing", "rand::"]),
    ("actors/src/machine", &["actix", "tokio::", "Utc::now", "new_v4", "tracing", "rand::"]),
    ("actors/src", &["actix_web", "rustls", "rusqlite", "std::fs", "std::net"]),
    ("src/wire", &["tokio", "actix", "std::net", "std::fs"]),
    ("src/broker", &["crate::store", "crate::api", "crate::directory", "actix", "Orchestrator"]),
    ("src/transport", &["crate::store", "crate::api", "crate::directory", "actix::", "actix_web"]),
    ("src/store", &["crate::broker", "crate::transport", "crate::directory", "actix"]),
    ("src/directory", &["crate::store", "crate::api", "crate::broker", "crate::transport", "actix"]),
    (
        "src/api",
        &["crate::store", "crate::broker", "crate::transport", "crate::directory", "crate::agent", "crate::cli"],
    ),
    ("src/web", &["crate::store", "crate::broker", "crate::transport", "crate::directory", "crate::api", "crate::app"]),
    (
        "src/swarm",
        &["crate::store", "crate::broker", "crate::transport", "crate::directory", "crate::api", "crate::app", "actix"],
    ),
    ("src/cli", &["crate::store", "crate::broker", "crate::transport", "crate::directory", "actix"]),
    (
        "src/agent",
        &[
            "crate::store",
            "crate::broker",
            "crate::transport",
            "crate::directory",
            "crate::api",
            "crate::app",
            "actix::",
            "actix_web",
        ],
    ),
];

/// What no dependency of the binary may bring: a second TLS stack.
const BANNED_CRATES: &[&str] = &["ring", "openssl-sys", "native-tls"];
/// Licences that may be linked.
const LICENSES: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "CC0-1.0",
    "0BSD",
    "MIT-0",
    "Unlicense",
    "BSL-1.0",
    "OpenSSL",
    "CDLA-Permissive-2.0",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            open.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with("target")));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<(PathBuf, String)> {
    ["src", "actors", "tests", "benches", "fuzz"]
        .into_iter()
        .filter(|folder| root().join(folder).exists())
        .flat_map(|folder| files_below(folder, ".rs"))
        .map(|path| (path.strip_prefix(root()).unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect()
}

/// Code without its comment lines, and without the inline test module: tests may use anything.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = text.lines().position(|line| line == "#[cfg(test)]").unwrap_or(usize::MAX);
    text.lines().enumerate().take(end).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn assert_none(mistakes: &[String]) {
    assert!(mistakes.is_empty(), "\n{}", mistakes.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = |text: &str| !text.trim_start().starts_with("//!");
    let mistakes: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| silent(text))
        .map(|(path, _)| format!("{}: no //! head", path.display()))
        .collect();
    assert_none(&mistakes);
}

#[test]
fn no_file_grows_without_a_reason() {
    let too_long = |text: &str| text.lines().count() > LONGEST && !text.contains(EXCUSE);
    let mistakes: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| too_long(text))
        .map(|(path, text)| {
            format!("{}: {} lines; split it, or say `{EXCUSE} …` in its head", path.display(), text.lines().count())
        })
        .collect();
    assert_none(&mistakes);
}

#[test]
fn nobody_uses_what_lies_beyond_the_next_border() {
    let mut mistakes = Vec::new();
    for (path, text) in sources() {
        let is_test = path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs");
        for (folder, words) in FORBIDDEN.iter().filter(|(folder, _)| path.starts_with(folder) && !is_test) {
            for (number, line) in code(&text) {
                for word in words.iter().filter(|word| line.contains(**word)) {
                    mistakes.push(format!("{}:{}: {folder} must not use {word}", path.display(), number + 1));
                }
            }
        }
    }
    assert_none(&mistakes);
}

#[test]
fn no_unfinished_work_and_no_silenced_test() {
    // Spelled in two parts, so that this file does not find itself.
    let words = [
        concat!("to", "do!("),
        concat!("un", "implemented!("),
        concat!("FIX", "ME"),
        concat!("#[ign", "ore"),
        concat!("#[all", "ow("),
    ];
    let mut mistakes = Vec::new();
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            mistakes.extend(
                words
                    .iter()
                    .filter(|word| line.contains(**word))
                    .map(|word| format!("{}:{}: {word}", path.display(), number + 1)),
            );
        }
    }
    assert_none(&mistakes);
}

#[test]
fn the_repository_names_no_machine_of_ours() {
    let words = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("../sha", "red"),
        concat!("crates", ".io/api"),
        concat!("registry.npm", "js"),
    ];
    let mut mistakes = Vec::new();
    let kinds =
        [".rs", ".md", ".yaml", ".toml", ".sql", ".service", ".sh", "up", "down", "run", "Makefile", "Dockerfile"];
    for folder in [
        "src",
        "actors/src",
        "actors/tests",
        "tests",
        "docs",
        "config",
        "deploy",
        ".ci",
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "Makefile",
        "Cargo.toml",
    ] {
        for path in kinds.iter().flat_map(|kind| files_below_if_there(folder, kind)) {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for (number, line) in text.lines().enumerate() {
                mistakes.extend(
                    words
                        .iter()
                        .filter(|word| line.contains(**word))
                        .map(|word| format!("{}:{}: {word}", path.display(), number + 1)),
                );
            }
        }
    }
    assert_none(&mistakes);
}

fn files_below_if_there(folder: &str, ending: &str) -> Vec<PathBuf> {
    if root().join(folder).exists() { files_below(folder, ending) } else { Vec::new() }
}

fn cargo(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn one_tls_provider() {
    for banned in BANNED_CRATES {
        // Fails when the name is unknown to the lock file, prints nothing when no enabled feature reaches it.
        let (found, users) = cargo(&["tree", "--workspace", "--offline", "--locked", "-e", "all", "-i", banned]);
        assert!(!found || users.trim().is_empty(), "{banned} is in the tree:\n{users}");
    }
}

#[test]
fn permissive_licenses_only() {
    let format = ["tree", "--workspace", "--offline", "--locked", "-e", "normal,build", "--prefix", "none"];
    let (listed, packages) = cargo(&[&format[..], &["-f", "{p}|{l}"]].concat());
    assert!(listed && packages.contains('|'), "cargo tree did not list the packages");
    let mut mistakes = Vec::new();
    for line in packages.lines().filter(|line| !line.is_empty()).collect::<BTreeSet<_>>() {
        let (package, license) = line.trim_end_matches(" (*)").split_once('|').unwrap();
        // `A OR B`, `A/B`: one permitted choice is enough; `A AND B`: all of them.
        let choices = license.replace('/', " OR ");
        let fits = choices.split(" OR ").any(|choice| {
            choice.split(" AND ").all(|part| {
                let part = part.trim().trim_matches(['(', ')']);
                LICENSES.contains(&part.split(" WITH ").next().unwrap_or(part))
            })
        });
        if !fits {
            mistakes.push(format!("{package}: licence '{license}'"));
        }
    }
    assert_none(&mistakes);
}

#[test]
fn the_tree_has_the_folders_that_the_documents_name() {
    for folder in ["src", "actors", "tests", "config", "deploy", "docs/adr"] {
        assert!(Path::new(&root()).join(folder).is_dir(), "{folder}/ is missing");
    }
}

#[test]
fn every_rule_that_is_broken_on_purpose_can_still_be_broken() {
    let patches = files_below("tests/mutants", ".patch");
    assert!(patches.len() >= 8, "{patches:?}");
    for patch in patches {
        let text = std::fs::read_to_string(&patch).unwrap();
        for key in ["rule: ", "caught by: cargo test "] {
            assert!(text.lines().any(|line| line.starts_with(key)), "{}: no '{key}'", patch.display());
        }
        let checked = Command::new("git").args(["apply", "--check"]).arg(&patch).current_dir(root()).output().unwrap();
        let why = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{} does not apply any more: {why}", patch.display());
    }
}
