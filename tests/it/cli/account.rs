//! Sessions, users, schedules and retries: what the command line sends, keeps and says.

use std::process::Stdio;

use serde_json::{Value, json};

use super::server::{Reply, Server};
use super::{Ended, bunraku};

/// Runs a command with a directory for configuration of its own, and this on standard input.
fn run_in(dir: &std::path::Path, server: &Server, arguments: &[&str], input: &str) -> Ended {
    use std::io::Write as _;
    let mut command = bunraku();
    command.env("XDG_CONFIG_HOME", dir).args(arguments).args(["--url", &server.url]).arg("--ca").arg(&server.ca);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn a_session_is_kept_used_and_ended() {
    let server = Server::start(|request| match request.target.as_str() {
        "POST /rbac-api/v1/auth/token" => Reply::Json(200, json!({ "token": "session-token" })),
        "DELETE /bunraku/v1/session" => Reply::Json(204, Value::Null),
        _ => Reply::Json(
            200,
            json!({ "login": "alice", "role": "viewer", "permissions": ["orchestrator:view"], "expires_at": null }),
        ),
    });
    let dir = tempfile::tempdir().unwrap();
    let login =
        run_in(dir.path(), &server, &["login", "alice", "--password-stdin", "--lifetime", "8h"], "secret word\n");
    assert_eq!((login.code, login.stdout.trim()), (0, format!("logged in to {} as alice", server.url).as_str()));
    let sent: Value = serde_json::from_str(&server.seen()[0].body).unwrap();
    assert_eq!(
        (&sent["login"], &sent["password"], &sent["lifetime"]),
        (&json!("alice"), &json!("secret word"), &json!("28800"))
    );
    let who = run_in(dir.path(), &server, &["whoami"], "");
    assert_eq!((who.code, who.stdout.lines().last()), (0, Some("may: orchestrator:view")), "{who:?}");
    assert!(server.seen()[1].head.contains("x-authentication: session-token"));
    let out = run_in(dir.path(), &server, &["logout"], "");
    assert_eq!(out.code, 0, "{out:?}");
    let again = run_in(dir.path(), &server, &["logout"], "");
    assert_eq!(again.code, 2, "there is no session any more: {again:?}");
    let anonymous = run_in(dir.path(), &server, &["whoami"], "");
    assert_eq!(anonymous.code, 0);
    assert!(!server.seen().last().unwrap().head.contains("x-authentication"));
}

#[test]
fn a_session_is_not_shown_to_another_server() {
    let one = Server::start(|_| Reply::Json(200, json!({ "token": "session-token" })));
    let other = Server::start(|_| Reply::Json(200, json!({ "login": "x", "permissions": [] })));
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(run_in(dir.path(), &one, &["login", "alice", "--password-stdin"], "secret word").code, 0);
    assert_eq!(run_in(dir.path(), &other, &["whoami"], "").code, 0);
    assert!(!other.seen()[0].head.contains("session-token"));
}

#[test]
fn a_password_is_never_a_word_of_the_command_line() {
    let server = Server::start(|_| Reply::Json(200, json!({})));
    let dir = tempfile::tempdir().unwrap();
    let no_terminal = run_in(dir.path(), &server, &["login", "alice"], "secret word");
    assert_eq!(no_terminal.code, 2);
    assert!(no_terminal.stderr.contains("--password-stdin"), "{no_terminal:?}");
    assert_eq!(run_in(dir.path(), &server, &["login", "alice", "--password-stdin"], "\n").code, 2);
    assert!(server.seen().is_empty());
}

#[test]
fn schedules_are_sent_as_the_api_wants_them() {
    let server = Server::start(|request| match request.target.as_str() {
        "POST /orchestrator/v1/scheduled_jobs/environment_jobs" => {
            Reply::Json(200, json!({ "scheduled_job": { "id": "u", "name": "3" } }))
        }
        _ => Reply::Json(200, json!({ "name": "3", "next_run": { "time": "2026-03-01T02:00:00Z" } })),
    });
    let arguments = [
        "schedule",
        "task",
        "--at",
        "2026-03-01T03:00:00+01:00",
        "--every",
        "1d",
        "shop::sync",
        "size=3",
        "-n",
        "a,b",
        "--description",
        "nightly",
    ];
    let ended = server.run(&arguments);
    assert_eq!(
        (ended.code, ended.stdout.trim()),
        (0, "scheduled job 3 runs next at 2026-03-01T02:00:00Z"),
        "{ended:?}"
    );
    let sent: Value = serde_json::from_str(&server.seen()[0].body).unwrap();
    let expected = json!({
        "type": "task", "environment": "production", "description": "nightly", "userdata": {},
        "input": { "scope": { "nodes": ["a", "b"] }, "name": "shop::sync", "parameters": { "size": { "value": 3 } } },
        "schedule": { "start_time": "2026-03-01T02:00:00Z", "interval": { "units": "seconds", "value": 86_400 } },
    });
    assert_eq!(sent, expected);
    let no_time = server.run(&["schedule", "puppet", "-n", "a"]);
    assert_eq!(no_time.code, 2, "{no_time:?}");
}

#[test]
fn whether_somebody_may_is_the_exit_code() {
    let server = Server::start(|request| {
        let allowed = request.target.contains("node=a");
        Reply::Json(
            200,
            json!({ "allowed": allowed, "reason": "because", "roles": ["web"], "grants": [
            { "permission": "puppet_agent:run", "instances": null, "environments": ["production"], "nodes": ["a*"] },
        ] }),
        )
    });
    let yes = server.run(&["access", "can", "alice", "puppet_agent:run", "a", "-e", "production"]);
    assert_eq!((yes.code, yes.stdout.lines().next()), (0, Some("yes: because")));
    assert!(yes.stdout.contains("grant: puppet_agent:run, environments production, nodes a*"), "{yes:?}");
    assert_eq!(server.run(&["access", "can", "alice", "puppet_agent:run", "b"]).code, 1);
}
