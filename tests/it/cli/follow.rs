//! Commands against a scripted server: what is sent, how a job is followed through lost connections, exit codes.

use serde_json::{Value, json};

use super::server::{Reply, Request, Server};

const JOB: &str = "GET /orchestrator/v1/jobs/42";

fn event(id: u64, kind: &str, details: &Value) -> String {
    let data = json!({"id": id.to_string(), "type": kind, "timestamp": "2026-03-01T12:00:05Z", "details": details,
        "message": format!("event {id}")});
    format!("id: {id}\ndata: {data}\n\n")
}

fn job(state: &str) -> Value {
    json!({"name": "42", "state": state, "type": "deploy", "options": {}, "environment": {"name": "production"},
        "node_count": 2, "node_states": {"finished": 1, "errored": 1}, "duration": 1.5})
}

/// A server with one job of two nodes that ends in this state; the event stream breaks off after its second event.
fn server(state: &'static str, cause: &'static str) -> Server {
    Server::start(move |request: &Request| {
        let nodes = |items: Value| Reply::Json(200, json!({"items": items}));
        match request.target.as_str() {
            "POST /orchestrator/v1/command/deploy" => Reply::Json(202, json!({"job": {"id": "u", "name": "42"}})),
            target if target == JOB => Reply::Json(200, job(state)),
            target if target == format!("{JOB}/events") => {
                let first =
                    event(7, "node_running", &json!({"node": "a"})) + &event(8, "node_finished", &json!({"node": "a"}));
                let rest = event(9, "node_errored", &json!({"node": "b"}))
                    + &event(10, "job_finished", &json!({"state": state}));
                let resumed = request.head.contains("last-event-id: 8");
                Reply::Stream(if resumed { rest } else { format!(": hello\n\n{first}data: cut off in the midd") })
            }
            target if target.starts_with(&format!("{JOB}/nodes?state=errored")) => {
                nodes(json!([{"name": "b", "state": "errored", "cause": cause, "details": {"message": "b said no"}}]))
            }
            target if target.starts_with(&format!("{JOB}/nodes?state=")) => nodes(json!([])),
            _ => Reply::Json(404, json!({"kind": "puppetlabs.orchestrator/not-found", "msg": "no such route"})),
        }
    })
}

#[test]
fn a_job_is_followed_through_a_lost_connection() {
    let server = server("failed", "run_failed");
    let ended = server.run(&["job", "run", "-n", "a,b", "--noop", "--format", "json"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let events: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<_> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["7", "8", "9", "10"], "each event once, in order");
    assert!(events.iter().all(|event| event["job"] == "42"));
    assert!(ended.stderr.contains("connection lost") && ended.stderr.contains("connected again"), "{ended:?}");
    let sent: Value = serde_json::from_str(&server.seen()[0].body).unwrap();
    assert_eq!(sent, json!({"environment": "production", "scope": {"nodes": ["a", "b"]}, "noop": true}));
}

#[test]
fn a_key_is_sent_with_the_command_and_nowhere_else() {
    let server = server("finished", "");
    let ended = server.run(&["job", "run", "-n", "a,b", "--idempotency-key", "3f2a", "--format", "json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let (command, others) = server.seen().split_first().map(|(first, rest)| (first.clone(), rest.to_vec())).unwrap();
    assert!(command.head.contains("idempotency-key: 3f2a"), "{command:?}");
    assert!(!command.body.contains("3f2a"), "it is no part of the body: {command:?}");
    assert!(others.iter().all(|request| !request.head.contains("idempotency-key")), "{others:?}");
    let refused = server.run(&["job", "run", "-n", "a", "--idempotency-key", "two\nlines"]);
    assert!(refused.code == 2 && refused.stderr.contains("printable"), "{refused:?}");
}

#[test]
fn exit_codes_follow_the_outcome() {
    for (state, cause, code) in [
        ("failed", "not_connected", 3),
        ("failed", "locked", 3),
        ("failed", "timed_out", 1),
        ("stopped", "not_connected", 4),
        ("finished", "not_connected", 0),
    ] {
        let ended = server(state, cause).run(&["job", "watch", "42"]);
        assert_eq!(ended.code, code, "{state} {cause}: {ended:?}");
    }
}

#[test]
fn without_a_terminal_there_are_plain_lines() {
    let ended = server("failed", "not_connected").run(&["job", "watch", "42"]);
    assert!(!ended.stdout.contains('\u{1b}') && !ended.stderr.contains('\u{1b}'), "{ended:?}");
    for line in [
        "event 7",
        "event 9",
        "1 errored, not_connected: b said no",
        "b",
        "job 42 failed in 1.5 s: 1 finished, 1 errored",
    ] {
        assert!(
            ended.stdout.lines().any(|shown| shown.split_whitespace().eq(line.split_whitespace())),
            "{line}: {ended:?}"
        );
    }
}

#[test]
fn the_token_goes_into_the_header_and_nowhere_else() {
    let server = Server::start(|_| Reply::Json(200, json!({"items": []})));
    let ended = server.run(&["node", "list", "--token", " s3cret "]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let request = &server.seen()[0];
    assert!(request.head.contains("x-authentication: s3cret"), "{request:?}");
    assert!(!request.target.contains("s3cret") && !format!("{ended:?}").contains("s3cret"));
}

#[test]
fn refusals_have_their_exit_code_and_their_next_step() {
    for (status, kind, code, next) in [
        (401, "puppetlabs.rbac/user-unauthenticated", 6, "--token-file"),
        (403, "puppetlabs.orchestrator/not-permitted", 6, "bunraku whoami"),
        (404, "puppetlabs.orchestrator/unknown-job", 2, "bunraku job list"),
        (503, "puppetlabs.orchestrator/unknown-error", 5, "try again"),
    ] {
        let server = Server::start(move |_| Reply::Json(status, json!({"kind": kind, "msg": "no", "details": {}})));
        let ended = server.run(&["job", "show", "9"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (code, ""), "{status}: {ended:?}");
        assert!(ended.stderr.contains(next), "{status}: {ended:?}");
    }
}

#[test]
fn a_server_of_another_ca_is_not_trusted() {
    let (server, other) =
        (Server::start(|_| Reply::Json(200, json!({"items": []}))), crate::support::ca::TestCa::new());
    let ca = other.ca();
    let ended = super::run(&["node", "list", "--url", &server.url, "--ca", ca.to_str().unwrap()]);
    assert_eq!(ended.code, 5, "{ended:?}");
    assert!(ended.stderr.to_lowercase().contains("certificate"), "{ended:?}");
    assert!(server.seen().is_empty(), "nothing was sent");
}

#[test]
fn tokens_are_created_listed_and_revoked() {
    let id = "0b0c8e0e-52b1-4a51-8f69-7f4d0e3a9a77";
    let server = Server::start(move |request| match request.target.split(' ').next() {
        Some("POST") => Reply::Json(201, json!({"token": "abc", "id": id, "login": "ci"})),
        Some("DELETE") => Reply::Json(204, Value::Null),
        _ => Reply::Json(200, json!({"items": [{"id": id, "login": "ci", "role": "operator", "expires_at": null}]})),
    });
    let created = server.run(&["token", "create", "ci", "--lifetime", "90d"]);
    assert_eq!((created.code, created.stdout.as_str()), (0, "abc\n"));
    let body: Value = serde_json::from_str(&server.seen()[0].body).unwrap();
    assert_eq!(body, json!({"login": "ci", "role": "operator", "lifetime": "90d"}));
    assert!(server.run(&["token", "list"]).stdout.contains(id));
    assert_eq!(server.run(&["token", "revoke", id]).code, 0);
    assert_eq!(server.seen()[2].target, format!("DELETE /bunraku/v1/tokens/{id}"));
}
