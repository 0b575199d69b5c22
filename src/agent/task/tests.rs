//! Input, layout and cache of tasks, on a real file system.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::download::Fetched;
use super::select::InputMethod;
use super::*;
use crate::wire::pxp::FileSpec;

fn params(input: Value) -> Result<TaskParams, String> {
    let file = json!({"filename": "a.sh", "sha256": "0".repeat(64), "uri": {"path": "/a", "params": {}}});
    TaskParams::read(json!({"task": "demo::env", "input": input, "files": [file]}).as_object().unwrap())
}

#[test]
fn input_goes_to_stdin_and_environment() {
    let params = params(json!({"name": "bob", "obj": {"a": [1, 2]}, "n": 3})).unwrap();
    let given = input::give(&params, InputMethod::Both, None).unwrap();
    let variables: Vec<_> = given.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(variables, ["PT__task=demo::env", "PT_n=3", "PT_name=bob", "PT_obj={\"a\":[1,2]}"]);
    let stdin: Value = serde_json::from_slice(&given.stdin.unwrap()).unwrap();
    assert_eq!(stdin, json!({"name": "bob", "obj": {"a": [1, 2]}, "n": 3, "_task": "demo::env"}));
    let given = input::give(&params, InputMethod::Stdin, Some("/i".as_ref())).unwrap();
    assert!(given.environment.is_empty());
    assert!(String::from_utf8_lossy(&given.stdin.unwrap()).contains("\"_installdir\":\"/i\""));
}

#[test]
fn a_value_that_cannot_be_handed_over_is_refused_without_being_told() {
    let params = params(json!({"token": "secret\u{0}value"})).unwrap();
    let error = input::give(&params, InputMethod::Environment, None).unwrap_err().to_string();
    assert!(error.contains("token") && !error.contains("secret"), "{error}");
    assert!(input::give(&params, InputMethod::Stdin, None).is_ok());
}

#[test]
fn wrong_parameters_are_named() {
    type Change = fn(&mut Value);
    let check = |change: Change| {
        let file = json!({"filename": "a.sh", "sha256": "0".repeat(64), "uri": {"path": "/a", "params": {}}});
        let mut all = json!({"task": "demo", "input": {}, "files": [file], "size": 1});
        change(&mut all);
        TaskParams::read(all.as_object().unwrap()).map(|_| ()).err()
    };
    assert_eq!(check(|_| ()), None);
    let wrong: [(Change, &str); 7] = [
        (|all| all["files"] = json!([]), "at least one"),
        (|all| all["files"][0]["filename"] = json!("../../etc/passwd"), "../../etc/passwd"),
        (|all| all["files"][0]["filename"] = json!("/etc/passwd"), "/etc/passwd"),
        (|all| all["files"][0]["sha256"] = json!("ABC"), "sha256"),
        (|all| all["files"][0]["uri"]["path"] = json!(".evil.example.com/a"), "slash"),
        (|all| all["files"][0]["uri"]["params"] = json!({"e": 1}), "'e'"),
        (|all| all["task"] = json!("../x"), "../x"),
    ];
    for (change, word) in wrong {
        let error = check(change).unwrap();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn several_files_get_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let cached = |name: &str| {
        let path = directory.path().join(name.replace('/', "_"));
        fs::write(&path, name).unwrap();
        Fetched { name: name.to_owned(), path }
    };
    let files = [cached("multi.sh"), cached("lib/files/a.txt")];
    let mut chosen =
        select::Chosen { executable: "multi.sh".into(), input_method: InputMethod::Both, beside: Vec::new() };
    let alone = layout::place(directory.path(), "demo::multi", &chosen, &files[..1]).unwrap();
    assert_eq!((alone.executable, alone.install_directory), (files[0].path.clone(), None));
    chosen.beside = vec!["lib/files/a.txt".into()];
    let placed = layout::place(directory.path(), "demo::multi", &chosen, &files).unwrap();
    let root = placed.install_directory.unwrap();
    assert_eq!(placed.executable, root.join("demo/tasks/multi.sh"));
    assert_eq!(fs::metadata(&placed.executable).unwrap().permissions().mode() & 0o777, 0o750);
    assert_eq!(fs::read_to_string(root.join("lib/files/a.txt")).unwrap(), "lib/files/a.txt");
}

#[test]
fn the_cache_checks_what_it_gives() {
    let directory = tempfile::tempdir().unwrap();
    let content = b"#!/bin/sh\n";
    let file: FileSpec = serde_json::from_value(json!({
        "filename": "x/a.sh", "sha256": cache::digest(content), "uri": {"path": "/a", "params": {}},
    }))
    .unwrap();
    assert_eq!(cache::look_up(directory.path(), &file).unwrap(), None);
    let path = cache::store(directory.path(), &file, content).unwrap();
    assert_eq!(cache::look_up(directory.path(), &file).unwrap(), Some(path.clone()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o750);
    fs::write(&path, "changed").unwrap();
    assert_eq!(cache::look_up(directory.path(), &file).unwrap(), None);
}

#[test]
fn a_canceled_task_is_no_success() {
    let Outcome::Results { results, exitcode } = results(0, String::new(), "bye\n".into(), true) else { panic!() };
    assert_eq!((results, exitcode), (json!({"exitcode": 0, "stderr": "bye\n", "canceled": true}), -1));
}
