//! Commands on a real terminal: the picture of a job, what Ctrl-C asks, what is confirmed, and how wide tables are.
//!
//! A small Python program plays the person: it waits for texts and types. Where there is no Python this is skipped.

#![expect(clippy::print_stderr, reason = "a test says what it skips")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::server::{Gate, Reply, Request, Server};
use super::{Ended, bunraku};

/// A text to wait for, and what to type then.
type Step = (&'static str, &'static str);

const CTRL_C: &str = "\u{3}";
/// How a line is cleared.
const CLEARED: &str = "\u{1b}[2K";
const QUESTION: &str = "[s]top it, [l]eave it running, or watch on (Enter)?";
const STOP: &str = "POST /orchestrator/v1/command/stop";
const DEPLOY: &str = "POST /orchestrator/v1/command/deploy";
const PREVIEW: &str = "POST /bunraku/v1/preview";

/// What a person saw.
struct Seen {
    code: i64,
    output: String,
}

/// Plays these steps; nothing where Python is missing.
fn play(
    server: &Server,
    environment: &[(&str, &str)],
    columns: u16,
    steps: &[Step],
    arguments: &[&str],
) -> Option<Seen> {
    if !Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("BUNRAKU_REQUIRE_ALL").is_none(), "python3 is not installed");
        eprintln!("python3 is not installed: what needs a terminal is skipped");
        return None;
    }
    let plan = json!({ "columns": columns, "rows": 24, "steps": steps }).to_string();
    let program = bunraku();
    let mut command = Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cli/terminal.py")).arg(plan);
    command.arg(program.get_program()).args(arguments).args(["--url", &server.url]).arg("--ca").arg(&server.ca);
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env_remove("COLUMNS").env("TERM", "xterm-256color").envs(environment.iter().copied());
    let ended = Ended::of(command.stdin(Stdio::null()));
    assert_eq!(ended.code, 0, "{ended:?}");
    let seen = ended.json();
    Some(Seen { code: seen["code"].as_i64().unwrap(), output: seen["output"].as_str().unwrap().to_owned() })
}

fn event(id: u64, kind: &str, node: &str, reason: &str) -> String {
    let details = json!({ "node": node, "detail": { "_error": { "msg": reason } } });
    let data = json!({"id": id.to_string(), "type": kind, "timestamp": "2026-03-01T12:00:05Z", "details": details,
        "message": format!("{kind} {node}")});
    format!("id: {id}\ndata: {data}\n\n")
}

/// A job of three nodes of which one goes on until the job is stopped, or `gate` is opened.
fn server(gate: &Gate) -> Server {
    let gate = gate.clone();
    Server::start(move |request: &Request| {
        let over = |items: Value| Reply::Json(200, json!({ "items": items }));
        match request.target.as_str() {
            "GET /bunraku/v1/whoami" => Reply::Json(200, json!({"login": "ops"})),
            DEPLOY => Reply::Json(202, json!({"job": {"id": "u", "name": "42"}})),
            PREVIEW => Reply::Json(200, json!({"nodes": 400})),
            STOP => {
                gate.open();
                Reply::Json(202, json!({"job": {"name": "42"}}))
            }
            "GET /orchestrator/v1/jobs/42" => Reply::Json(
                200,
                json!({"name": "42", "state": "stopped", "type": "deploy", "options": {}, "node_count": 3,
                    "environment": {"name": "production"}, "node_states": {"finished": 1, "failed": 2}}),
            ),
            "GET /orchestrator/v1/jobs/42/events" => {
                let first = event(1, "node_running", "web1", "")
                    + &event(2, "node_failed", "web2", "no space left (pid 12345)")
                    + &event(3, "node_failed", "web3", "no space left (pid 54321)");
                let rest = event(4, "node_finished", "web1", "") + &event(5, "job_finished", "", "");
                Reply::Gated(first, gate.clone(), rest)
            }
            target if target.contains("/nodes?state=failed") => over(json!([
                {"name": "web2", "state": "failed", "cause": "run_failed", "result": {"_error": {"msg": "no space left (pid 12345)"}}},
                {"name": "web3", "state": "failed", "cause": "run_failed", "result": {"_error": {"msg": "no space left (pid 54321)"}}},
            ])),
            target if target.contains("/nodes?state=") => over(json!([])),
            target if target.starts_with("GET /orchestrator/v1/jobs?") => over(json!([
                {"name": "42", "state": "finished", "type": "deploy", "options": {}, "environment": {"name": "production"},
                    "description": "a description that is much longer than any terminal of sixty columns", "node_states": {"finished": 9980}},
            ])),
            _ => Reply::Json(404, json!({"kind": "puppetlabs.orchestrator/not-found", "msg": "no such route"})),
        }
    })
}

#[test]
fn failures_are_grouped_while_the_job_runs_and_ctrl_c_can_stop_it() {
    let server = server(&Gate::default());
    let steps = [("2 failed: no space left (pid <n>)", CTRL_C), (QUESTION, "s\n"), ("stop accepted", "")];
    let Some(seen) = play(&server, &[], 100, &steps, &["job", "watch", "42"]) else { return };
    assert_eq!(seen.code, 4, "{}", seen.output);
    assert!(server.was_asked(STOP));
    let stop: Value =
        serde_json::from_str(&server.seen().iter().find(|request| request.target == STOP).unwrap().body).unwrap();
    assert_eq!(stop, json!({ "job": "42" }));
    for text in
        ["as ops", "\u{1b}[31m", "web2, web3", "2 failed, run_failed: no space left (pid <n>)", "job 42 stopped"]
    {
        assert!(seen.output.contains(text), "{text}: {}", seen.output);
    }
    for end in [QUESTION, "job 42 stopped"] {
        let before = &seen.output[..seen.output.find(end).unwrap()];
        let picture = before.rfind('█').unwrap();
        assert!(before[picture..].contains(CLEARED), "the picture is taken away before {end}: {before:?}");
    }
}

#[test]
fn a_second_ctrl_c_leaves_the_job_alone() {
    let (gate, leave) = (Gate::default(), [("2 failed: ", CTRL_C), (QUESTION, CTRL_C), ("job 42 goes on", "")]);
    let server = server(&gate);
    let Some(seen) = play(&server, &[], 100, &leave, &["job", "watch", "42"]) else { return };
    assert_eq!(seen.code, 130, "{}", seen.output);
    let answered = [("2 failed: ", CTRL_C), (QUESTION, "l\n"), ("job 42 goes on", "")];
    assert_eq!(play(&server, &[], 100, &answered, &["job", "watch", "42"]).unwrap().code, 130);
    assert!(!server.was_asked(STOP));
    gate.open();
}

#[test]
fn who_only_looked_up_goes_on_watching() {
    let server = server(&Gate::default());
    let steps = [("2 failed: ", CTRL_C), (QUESTION, "\n"), ("2 failed: ", CTRL_C), (QUESTION, "stop\n")];
    let Some(seen) = play(&server, &[("NO_COLOR", "1")], 60, &steps, &["job", "watch", "42"]) else { return };
    assert_eq!(seen.code, 4, "{}", seen.output);
    assert!(!seen.output.contains("\u{1b}[3"), "no colors: {}", seen.output);
}

#[test]
fn without_a_terminal_ctrl_c_leaves_at_once_and_says_how_to_go_on() {
    let gate = Gate::default();
    let server = server(&gate);
    let mut command = bunraku();
    command.args(["job", "watch", "42", "--url", &server.url]).arg("--ca").arg(&server.ca);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "node_failed web3"), "the events come");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ended: Ended = child.wait_with_output().unwrap().into();
    assert_eq!(ended.code, 130, "{ended:?}");
    for text in ["job 42 goes on", "bunraku job watch 42", "bunraku job stop 42"] {
        assert!(ended.stderr.contains(text), "{text}: {ended:?}");
    }
    assert!(!server.was_asked(STOP));
    gate.open();
}

#[test]
fn many_nodes_are_confirmed() {
    let gate = Gate::default();
    gate.open();
    let server = server(&gate);
    let run = ["job", "run", "--all"];
    let question = "run Puppet on 400 nodes? [y/N]";
    let Some(no) = play(&server, &[], 100, &[(question, "n\n"), ("nothing was started", "")], &run) else { return };
    assert_eq!((no.code, server.was_asked(DEPLOY)), (1, false), "{}", no.output);
    let yes = play(&server, &[], 100, &[(question, "y\n"), ("job 42 stopped", "")], &run).unwrap();
    assert_eq!((yes.code, server.was_asked(DEPLOY)), (4, true), "{}", yes.output);
    // Fifty named nodes are no question, and nor is a run that is confirmed already, or that a script starts.
    let names: Vec<_> = (0..51).map(|number| format!("n{number}")).collect();
    let previews = || server.seen().iter().filter(|request| request.target == PREVIEW).count();
    let asked = previews();
    let few =
        play(&server, &[], 100, &[("job 42 stopped", "")], &["job", "run", "-n", &names[..50].join(",")]).unwrap();
    let sure = play(&server, &[], 100, &[("job 42 stopped", "")], &["job", "run", "--all", "--yes"]).unwrap();
    let many = [("run Puppet on 51 nodes? [y/N]", "\n"), ("nothing was started", "")];
    let many = play(&server, &[], 100, &many, &["job", "run", "-n", &names.join(",")]).unwrap();
    let script = server.run(&run);
    assert_eq!([few.code, sure.code, many.code, script.code.into()], [4, 4, 1, 4]);
    assert_eq!(previews(), asked, "nobody had to ask the server");
}

#[test]
fn an_older_server_cannot_tell_how_many_nodes_it_would_be() {
    let server = Server::start(|request: &Request| match request.target.as_str() {
        "GET /bunraku/v1/whoami" => Reply::Json(200, json!({"login": "ops"})),
        _ => Reply::Json(404, json!({"kind": "puppetlabs.orchestrator/not-found", "msg": "no such route"})),
    });
    let steps = [
        ("run the task facts on nodes whose number the server does not tell? [y/N]", "\n"),
        ("nothing was started", ""),
    ];
    let Some(seen) = play(&server, &[], 100, &steps, &["task", "run", "facts", "--group", "Web"]) else { return };
    assert_eq!(seen.code, 1, "{}", seen.output);
}

#[test]
fn a_table_is_as_wide_as_the_terminal() {
    let server = server(&Gate::default());
    let Some(seen) = play(&server, &[], 60, &[("DESCR", "")], &["job", "list"]) else { return };
    assert_eq!(seen.code, 0, "{}", seen.output);
    let table: Vec<&str> = seen.output.lines().skip_while(|line| !line.contains("DESCR")).collect();
    assert_eq!(table.len(), 2, "one row, one line: {}", seen.output);
    assert!(table.iter().all(|line| line.trim_end().chars().count() <= 60) && table[1].contains('…'), "{table:?}");
    assert!(server.run(&["job", "list"]).stdout.contains("sixty columns"), "a program gets it all");
}
