//! `bunraku import`: from a Puppet Enterprise that a test plays into a service that a test plays.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::Ended;
use super::bunraku;
use super::server::{Reply, Server};

const PATH: &str = "/orchestrator/v1/scheduled_jobs/environment_jobs";

fn original(number: u64, kind: &str, input: Value) -> Value {
    json!({
        "id": format!("https://pe:8143{PATH}/{number}"), "name": number.to_string(), "enabled": true, "type": kind,
        "environment": "production", "owner": { "login": "alice" }, "description": "nightly", "userdata": {},
        "input": input, "last_run": null, "next_run": { "time": "2099-01-01T00:00:00Z" },
        "schedule": { "start_time": "2020-01-01T00:00:00Z", "interval": { "units": "seconds", "value": 86400 } },
    })
}

fn originals() -> Vec<Value> {
    let scope = json!({ "nodes": ["a"] });
    let mut disabled = original(5, "deploy", json!({ "scope": scope }));
    disabled["enabled"] = json!(false);
    vec![
        original(1, "deploy", json!({ "scope": scope, "noop": true })),
        original(2, "task", json!({ "name": "package", "parameters": {}, "sensitive_parameters": [], "scope": scope })),
        original(3, "plan", json!({ "name": "shop::deploy", "parameters": {} })),
        original(4, "task", json!({ "name": "gone", "parameters": {}, "scope": scope })),
        disabled,
        original(6, "task", json!({ "name": "user", "sensitive_parameters": ["pw"], "scope": scope })),
    ]
}

/// Puppet Enterprise, which gives two at once.
fn pe() -> Server {
    Server::start(|request| {
        if !request.head.contains("x-authentication: pe-token") {
            return Reply::Json(401, json!({ "kind": "puppetlabs.rbac/user-unauthenticated", "msg": "who?" }));
        }
        let offset = request.target.split("offset=").nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
        let items: Vec<Value> = originals().into_iter().skip(offset).take(2).collect();
        Reply::Json(200, json!({ "items": items, "pagination": { "total": 6, "limit": 2, "offset": offset } }))
    })
}

/// A service of ours that keeps what it is told, and knows all tasks but `gone`.
fn ours() -> Server {
    let kept: Arc<Mutex<Vec<Value>>> = Arc::default();
    let unknown = || Reply::Json(404, json!({ "kind": "puppetlabs.orchestrator/unknown-task", "msg": "no task gone" }));
    Server::start(move |request| match request.target.split('?').next().unwrap() {
        "GET /orchestrator/v1/scheduled_jobs/environment_jobs" => Reply::Json(200, json!({ "items": *kept.lock() })),
        "POST /orchestrator/v1/scheduled_jobs/environment_jobs" => {
            let mut body: Value = serde_json::from_str(&request.body).unwrap();
            if body["input"]["name"] == "gone" {
                return unknown();
            }
            let mut kept = kept.lock();
            let name = (kept.len() + 1).to_string();
            body["name"] = json!(name);
            kept.push(body);
            Reply::Json(200, json!({ "scheduled_job": { "id": "u", "name": name } }))
        }
        "GET /orchestrator/v1/tasks/gone/init" => unknown(),
        _ => Reply::Json(200, json!({})),
    })
}

/// Imports from Puppet Enterprise.
fn import(from: &Server, to: &Server, more: &[&str]) -> Ended {
    let mut command = bunraku();
    command.args(["import", "pe-schedules", &from.url, "--url", &to.url]).arg("--ca").arg(&to.ca);
    command.arg("--pe-ca").arg(&from.ca).env("BUNRAKU_PE_TOKEN", "pe-token").env("BUNRAKU_TOKEN", "our-token");
    Ended::of(command.args(more))
}

fn posts(server: &Server) -> Vec<Value> {
    let posts = server.seen().into_iter().filter(|request| request.target == format!("POST {PATH}"));
    posts.map(|request| serde_json::from_str(&request.body).unwrap()).collect()
}

#[test]
fn schedules_are_taken_over_once_and_what_is_not_is_told() {
    let (pe, ours) = (pe(), ours());
    let first = import(&pe, &ours, &[]);
    assert_eq!(first.code, 1, "not all could be taken: {first:?}");
    insta::assert_snapshot!("import_schedules_out", first.stdout);
    insta::assert_snapshot!("import_schedules_err", first.stderr);
    assert!(pe.seen().iter().all(|request| !request.head.contains("our-token")), "each token is for one of them");
    assert!(ours.seen().iter().all(|request| !request.head.contains("pe-token")));
    let sent = posts(&ours);
    assert_eq!(sent.len(), 3, "two and one that was refused: {sent:#?}");
    assert!(sent.iter().all(|body| body["enabled"] == false));
    assert_eq!(sent[0]["userdata"]["pe_scheduled_job"], format!("https://pe:8143{PATH}/1"));
    let again = import(&pe, &ours, &[]);
    assert!(again.stderr.contains("taken before: 1 (deploy of alice): scheduled job 1"), "{again:?}");
    assert_eq!((again.stdout.as_str(), posts(&ours).len()), ("", 4), "only what was refused was tried again");
}

#[test]
fn a_dry_run_makes_nothing_and_says_the_same() {
    let (pe, ours) = (pe(), ours());
    let dry = import(&pe, &ours, &["--dry-run"]);
    assert_eq!(dry.code, 1, "{dry:?}");
    assert!(dry.stdout.contains("2 (task package of alice): would be taken"), "{dry:?}");
    assert!(dry.stderr.contains("not taken: 4 (task gone of alice): no task gone"), "{dry:?}");
    assert!(posts(&ours).is_empty());
}

#[test]
fn a_file_will_do_and_what_is_wrong_with_the_source_is_told() {
    let (pe, ours) = (pe(), ours());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("jobs.json");
    let from = |text: &str, more: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let arguments = ["import", "pe-schedules", file.to_str().unwrap()];
        ours.run(&[&arguments, more].concat())
    };
    let whole = json!({ "items": &originals()[..1], "pagination": { "total": 6 } }).to_string();
    let taken = from(&whole, &["--format", "json"]);
    assert_eq!((taken.code, taken.json()["outcome"].as_str()), (0, Some("taken")), "{taken:?}");
    assert!(taken.stderr.contains("1 of 6"), "{taken:?}");
    let nonsense = from("{}", &[]);
    assert_eq!(nonsense.code, 2);
    assert!(nonsense.stderr.contains("no items"), "{nonsense:?}");
    let plain = ours.run(&["import", "pe-schedules", "http://primary:8143"]);
    assert!(plain.code == 2 && plain.stderr.contains("https://"), "{plain:?}");
    let tokenless = ours.run(&["import", "pe-schedules", &pe.url]);
    assert!(tokenless.code == 2 && tokenless.stderr.contains("--pe-token-file"), "{tokenless:?}");
    let stranger = import(&pe, &ours, &["--pe-token", "another"]);
    assert!(stranger.code == 6 && stranger.stderr.contains("who?"), "{stranger:?}");
    let before = posts(&ours).len();
    assert_eq!(before, 1, "none of these made anything");
}

#[test]
fn entries_that_are_nobody_are_told_by_their_place_and_nothing_is_drawn_on_the_terminal() {
    let ours = Server::start(|request| match request.target.split(' ').next().unwrap() {
        // A schedule of ours without a mark: none of them is that one.
        "GET" => Reply::Json(200, json!({ "items": [{ "name": "1", "userdata": {} }] })),
        _ => Reply::Json(200, json!({ "scheduled_job": { "id": "u", "name": "2" } })),
    });
    let mut rude = original(9, "plan", json!({}));
    rude["owner"]["login"] = json!("eve\u{1b}[2J\nnot taken: 1");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("jobs.json");
    let named = original(1, "deploy", json!({ "scope": { "nodes": ["a"] } }));
    let items = json!([null, 7, {}, { "id": 7, "name": null }, named, rude]);
    std::fs::write(&file, json!({ "items": items }).to_string()).unwrap();
    let ended = ours.run(&["import", "pe-schedules", file.to_str().unwrap()]);
    assert_eq!(ended.code, 1, "{ended:?}");
    for place in 1..=4 {
        let line = format!("not taken: entry {place}: it has neither an id nor a name\n");
        assert!(ended.stderr.contains(&line), "{ended:?}");
    }
    assert!(!ended.stderr.contains("taken before"), "{ended:?}");
    assert!(ended.stderr.contains("eve\\u{1b}[2J\\nnot taken: 1)"), "{ended:?}");
    assert!(!ended.stderr.contains('\u{1b}') && ended.stderr.lines().count() == 5, "{ended:?}");
    assert_eq!(posts(&ours).len(), 1);
}

#[test]
fn a_source_that_repeats_itself_or_has_no_end_is_not_asked_for_ever() {
    let ours = ours();
    let same = Server::start(|_| {
        let items = json!([original(1, "deploy", json!({ "scope": { "nodes": ["a"] } })), null]);
        Reply::Json(200, json!({ "items": items, "pagination": { "total": 1_000_000 } }))
    });
    let ended = import(&same, &ours, &[]);
    assert_eq!((ended.code, same.seen().len()), (1, 2), "{ended:?}");
    assert!(ended.stderr.contains("2 of 1000000") && ended.stdout.contains("scheduled job 1"), "{ended:?}");
    let endless = Server::start(|request| {
        let offset = request.target.split("offset=").nth(1).and_then(|text| text.parse::<u64>().ok()).unwrap();
        let items: Vec<Value> = (offset..offset + 1000).map(|number| json!({ "id": number.to_string() })).collect();
        Reply::Json(200, json!({ "items": items, "pagination": { "total": u64::MAX } }))
    });
    let ended = import(&endless, &ours, &[]);
    assert!(ended.code == 1 && ended.stderr.contains("more than 50000"), "{ended:?}");
    let rude = Server::start(|_| Reply::Json(403, json!({ "kind": "k", "msg": "no\u{1b}]0;x\u{7}" })));
    let ended = import(&rude, &ours, &[]);
    assert!(ended.code == 6 && ended.stderr.contains("no\\u{1b}]0;x"), "{ended:?}");
}

#[test]
fn groups_are_asked_for_with_the_token_of_puppet_enterprise() {
    const GROUPS: &str = "/classifier-api/v1/groups";
    let root = "00000000-0000-4000-8000-000000000000";
    let pe = Server::start(move |request| {
        if !request.head.contains("x-authentication: pe-token") {
            return Reply::Json(401, json!({ "kind": "puppetlabs.rbac/user-unauthenticated", "msg": "who?" }));
        }
        let group = |id: u8, name: &str| json!({ "id": format!("10000000-0000-4000-8000-00000000000{id}"), "name": name, "parent": root });
        Reply::Json(200, json!([group(1, "Web"), group(2, "Web"), group(3, "a\u{1b}[2J\nb")]))
    });
    let dir = tempfile::tempdir().unwrap();
    let import = |address: &str, token: &str| {
        let mut command = bunraku();
        command.args(["import", "pe-groups", address, "--to"]).arg(dir.path()).arg("--pe-ca").arg(&pe.ca);
        Ended::of(command.env("BUNRAKU_PE_TOKEN", token).env("BUNRAKU_TOKEN", "our-token"))
    };
    for address in [format!("{}{GROUPS}", pe.url), format!("{}/", pe.url)] {
        let ended = import(&address, "pe-token");
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.stdout.starts_with("Web: ") && ended.stdout.contains("\na\\u{1b}[2J\\nb: "), "{ended:?}");
        assert_eq!(ended.stderr, "not taken: Web: there is another group of that name\n");
    }
    assert!(pe.seen().iter().all(|seen| seen.target == format!("GET {GROUPS}") && !seen.head.contains("our-token")));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    let stranger = import(&pe.url, "another");
    assert!(stranger.code == 6 && stranger.stderr.contains("who?"), "{stranger:?}");
    let plain = import("http://primary:4433/classifier-api/v1/groups", "pe-token");
    assert!(plain.code == 2 && plain.stderr.contains("https://"), "{plain:?}");
}
