//! What went wrong and why: one node in full, failures in groups, `why`, allowances for nodes that are away; and what
//! packages install beside the binary.

use serde_json::{Value, json};

use super::run;
use super::server::{Reply, Request, Server};

const JOB: &str = "GET /orchestrator/v1/jobs/42";

fn missing() -> Reply {
    Reply::Json(404, json!({"kind": "puppetlabs.orchestrator/not-found", "msg": "no such route"}))
}

/// A job that is over: 97 nodes finished, one was skipped, and the others errored for these causes.
fn server(causes: &'static [&'static str], skipped_for: &'static str) -> Server {
    Server::start(move |request: &Request| {
        let items = |items: Vec<Value>| Reply::Json(200, json!({ "items": items }));
        let errored = || {
            let node = |(number, cause): (usize, &&str)| {
                let name = format!("web{number}.example.com");
                json!({"name": name, "state": "errored", "cause": cause, "details": {},
                    "result": {"_error": {"msg": format!("{name} said no ({cause})")}}})
            };
            causes.iter().enumerate().map(node).collect::<Vec<_>>()
        };
        let skipped = || {
            vec![json!({"name": "app1", "state": "skipped", "cause": skipped_for, "details": {"message": "skipped"}})]
        };
        match request.target.as_str() {
            target if target == JOB => Reply::Json(
                200,
                json!({"name": "42", "state": "failed", "type": "deploy", "options": {}, "node_count": 100,
                    "environment": {"name": "production"}, "node_states": {"finished": 97, "errored": causes.len(), "skipped": 1}}),
            ),
            target if target == format!("{JOB}/events") => Reply::Stream(
                "id: 1\ndata: {\"id\": \"1\", \"type\": \"job_finished\", \"details\": {}, \"message\": \"over\"}\n\n"
                    .into(),
            ),
            target if target.starts_with(&format!("{JOB}/nodes?state=errored")) => items(errored()),
            target if target.starts_with(&format!("{JOB}/nodes?state=skipped")) => items(skipped()),
            target if target.starts_with(&format!("{JOB}/nodes?state=")) => items(Vec::new()),
            target if target.starts_with(&format!("{JOB}/nodes")) => items([errored(), skipped()].concat()),
            "GET /bunraku/v1/nodes/web1.example.com/why" => Reply::Json(
                200,
                json!({"node": "web1.example.com", "connected": false, "since": "2026-03-01T12:00:00Z", "agent": null,
                    "native": false, "summary": "web1.example.com is not connected.",
                    "reasons": [{"job": "42", "state": "errored", "reason": "not_connected", "text": "It was away.", "details": {}}]}),
            ),
            _ => missing(),
        }
    })
}

#[test]
fn nodes_that_are_away_may_be_allowed() {
    let away = server(&["not_connected", "undeliverable"], "dependency_failed");
    let mixed = server(&["not_connected", "locked"], "dependency_failed");
    let failed = server(&["not_connected", "timed_out"], "dependency_failed");
    for (server, allowed, code, said) in [
        (&away, None, 3, ""),
        (&away, Some("2%"), 3, "exit code 3: 3 of 100 nodes were not reached, more than --allow-unreached 2% allows"),
        (&away, Some("3%"), 0, "exit code 0: 3 of 100 nodes were not reached, which --allow-unreached 3% allows"),
        (&away, Some("3"), 0, "which --allow-unreached 3 allows"),
        (&mixed, Some("100%"), 3, ""),
        (&failed, Some("100%"), 1, ""),
    ] {
        let mut arguments = vec!["job", "watch", "42"];
        arguments.extend(allowed.into_iter().flat_map(|allowed| ["--allow-unreached", allowed]));
        let ended = server.run(&arguments);
        assert_eq!(ended.code, code, "{allowed:?}: {ended:?}");
        assert!(ended.stdout.contains(said), "{allowed:?}: {ended:?}");
        assert_eq!(ended.stdout.contains("--allow-unreached"), !said.is_empty(), "{ended:?}");
    }
    assert_eq!(run(&["job", "watch", "42", "--allow-unreached", "some"]).code, 2);
}

#[test]
fn failures_are_shown_in_groups_or_by_cause() {
    let server = server(&["locked", "locked", "not_connected"], "dependency_failed");
    let failed = server.run(&["job", "show", "42", "--failed"]);
    assert_eq!(failed.code, 0, "{failed:?}");
    for line in [
        "2 errored, locked: <node> said no (locked)",
        "  web0.example.com, web1.example.com",
        "1 errored, not_connected: web2.example.com said no (not_connected)",
        "1 skipped, dependency_failed: skipped",
    ] {
        assert!(failed.stdout.lines().any(|shown| shown == line), "{line}: {failed:?}");
    }
    let by_cause = server.run(&["job", "show", "42", "--cause", "not_connected", "--format", "json"]).json();
    let names: Vec<_> =
        by_cause["nodes"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["web2.example.com"]);
    assert_eq!(server.run(&["job", "show", "42", "--cause", "sunspots"]).code, 2);
    assert_eq!(server.run(&["job", "show", "42", "--failed", "--node", "a"]).code, 2);
}

#[test]
fn one_node_is_shown_in_full_also_by_an_older_server() {
    let node = json!({"name": "web/1", "state": "failed"});
    let new = Server::start(move |request: &Request| match request.target.as_str() {
        "GET /bunraku/v1/jobs/42/nodes/web1%25.example.com" => Reply::Json(200, node.clone()),
        _ => missing(),
    });
    let shown = new.run(&["job", "show", "42", "--node", "web1%.example.com", "--format", "json"]);
    assert_eq!((shown.code, shown.json()), (0, json!({"name": "web/1", "state": "failed"})), "{shown:?}");
    let old = server(&["locked"], "dependency_failed");
    let shown = old.run(&["job", "show", "42", "--node", "web0.example.com"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(
        shown.stdout.contains("cause        locked") && shown.stdout.contains("web0.example.com said no"),
        "{shown:?}"
    );
    let unknown = old.run(&["job", "show", "42", "--node", "db9"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("db9 is no node of the job 42; `bunraku job show 42`"), "{unknown:?}");
}

#[test]
fn why_is_told_in_sentences_and_as_json() {
    let server = server(&[], "dependency_failed");
    let told = server.run(&["why", "web1.example.com"]);
    let lines: Vec<_> = told.stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "web1.example.com is not connected.",
            "web1.example.com is not connected since 2026-03-01T12:00:00Z",
            "job 42, errored: It was away.",
        ]
    );
    let json = server.run(&["why", "web1.example.com", "--format", "json"]).json();
    assert_eq!(json["reasons"][0]["reason"], "not_connected");
    assert_eq!(run(&["why", "no name"]).code, 2);
}

#[test]
fn nodes_that_failed_are_run_again() {
    let server = Server::start(|request: &Request| match request.target.as_str() {
        "POST /bunraku/v1/jobs/41/retry" => Reply::Json(202, json!({"job": {"id": "u", "name": "42"}})),
        target if target == format!("{JOB}/events") => {
            Reply::Stream("id: 1\ndata: {\"id\": \"1\", \"type\": \"job_finished\"}\n\n".into())
        }
        _ => {
            Reply::Json(200, json!({"name": "42", "state": "finished", "type": "deploy", "node_count": 1, "items": []}))
        }
    });
    let ended = server.run(&["job", "retry", "41", "--failed", "--allow-unreached", "1"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let sent: Value = serde_json::from_str(&server.seen()[0].body).unwrap();
    assert_eq!(sent, json!({"which": "failed"}));
}

#[test]
fn completions_and_man_pages_are_made_by_the_binary() {
    for (shell, word) in
        [("bash", "complete -F _bunraku"), ("zsh", "#compdef bunraku"), ("fish", "complete -c bunraku")]
    {
        let script = run(&["completions", shell]);
        assert_eq!((script.code, script.stderr.as_str()), (0, ""), "{shell}");
        assert!(
            script.stdout.contains(word) && script.stdout.contains("allow-unreached"),
            "{shell}: {}",
            script.stdout
        );
    }
    assert_eq!(run(&["completions", "tcsh"]).code, 2);
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man1");
    let made = run(&["man", pages.to_str().unwrap()]);
    assert_eq!(made.code, 0, "{made:?}");
    let page = std::fs::read_to_string(pages.join("bunraku-job-watch.1")).unwrap();
    assert!(page.starts_with(".ie") || page.contains(".TH"), "{page}");
    let taken = dir.path().join("file");
    std::fs::write(&taken, "").unwrap();
    let refused = run(&["man", taken.to_str().unwrap()]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("file"), "{refused:?}");
}

#[test]
fn whoever_is_not_trusted_or_not_there_is_named_with_the_next_step() {
    let server =
        Server::start(|_| Reply::Json(401, json!({"kind": "puppetlabs.rbac/token-expired", "msg": "expired"})));
    let expired = server.run(&["node", "list", "--token", "old"]);
    assert_eq!(expired.code, 6);
    assert!(
        expired.stderr.contains("the time of the token of --token is over: log in with `bunraku login`"),
        "{expired:?}"
    );
    let other = crate::support::ca::TestCa::new();
    let ended = run(&["node", "list", "--url", &server.url, "--ca", other.ca().to_str().unwrap()]);
    assert_eq!(ended.code, 5, "{ended:?}");
    assert!(ended.stderr.contains("is the CA of another server; name the right one with --ca FILE"), "{ended:?}");
}
