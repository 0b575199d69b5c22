//! Puppet runs with shell scripts in Puppet's place.

use std::fs;

use bunraku::agent::config::PuppetMode;
use bunraku::wire::pcp::MessageType;
use serde_json::json;
use uuid::Uuid;

use super::lab::{Lab, until, until_exists};

const MODULE: &str = "pxp-module-puppet";

/// Writes a report to `$report` for `$job` and `$environment`.
const REPORT: &str = r#"
report() {
  cat >"$1" <<END
--- !ruby/object:Puppet::Transaction::Report
time: '$(date -u +%Y-%m-%dT%H:%M:%S.%N+00:00)'
transaction_uuid: $(cat /proc/sys/kernel/random/uuid)
configuration_version: 7
environment: $2
status: changed
transaction_completed: true
noop: false
noop_pending: false
$3
metrics:
  resources:
    name: resources
    values:
    - [total, Total, 8]
    - [changed, Changed, 1]
resource_statuses: {}
END
}
"#;

fn apply(lab: &mut Lab, body: &str) {
    let command = lab.script("puppet", &format!("#!/bin/sh\n{REPORT}\n{body}"));
    fs::create_dir_all(lab.path("var/state")).unwrap();
    lab.config.puppet.mode = PuppetMode::Apply;
    lab.config.puppet.command = Some(command);
    lab.config.puppet.vardir = Some(lab.path("var"));
    lab.config.puppet.manifest = Some(lab.path("site.pp"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_a_server_tells_its_catalog_and_its_report() {
    let mut lab = Lab::new().await;
    let (go, args) = (lab.path("go"), lab.path("args"));
    apply(
        &mut lab,
        &format!(
            "echo \"$@\" >{args}\necho \"Info: Applying configuration version '7'\"\n\
             while [ ! -e {go} ]; do sleep 0.05; done\nreport \"$BUNRAKU_LASTRUNREPORT\" staging\nexit 2\n",
            args = args.display(),
            go = go.display()
        ),
    );
    let (_running, mut connection) = lab.start().await;
    let id = Uuid::new_v4();
    connection.start(id, MODULE, &json!({"flags": ["--environment", "staging", "--noop"], "job": "7"})).await;
    let provisional = connection.expect(MessageType::ProvisionalResponse).await;
    assert_eq!(provisional, json!({"transaction_id": id}));
    let notice = connection.expect(MessageType::ProvisionalResponse).await;
    assert_eq!(notice, json!({"transaction_id": id, "catalog_ready": true}));
    let running = json!({"transaction_id": id, "status": "running", "catalog_ready": true});
    assert_eq!(connection.status(id).await, running, "the notice may have met no connection");
    fs::write(&go, "").unwrap();
    let results = connection.results(id).await;
    assert_eq!((&results["status"], &results["exitcode"]), (&json!("changed"), &json!(0)), "{results}");
    assert_eq!((&results["environment"], &results["metrics"]["total"]), (&json!("staging"), &json!(8)));
    assert!(results.get("error_type").is_none());
    let args = fs::read_to_string(args).unwrap();
    assert!(args.starts_with("apply --vardir ") && args.contains(" --environment staging --noop "), "{args}");
    assert!(args.trim_end().ends_with("site.pp"), "{args}");
    let status = connection.status(id).await;
    assert_eq!((&status["status"], &status["exitcode"]), (&json!("success"), &json!(0)));
    let told: serde_json::Value = serde_json::from_str(status["stdout"].as_str().unwrap()).unwrap();
    assert_eq!(told, results);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_flags_disabled_and_missing_puppet_are_normal_answers() {
    let mut lab = Lab::new().await;
    apply(&mut lab, "exit 0\n");
    let (running, mut connection) = lab.start().await;
    let refused = connection.run(Uuid::new_v4(), MODULE, &json!({"flags": ["--server", "evil"]})).await;
    assert_eq!((&refused["error_type"], &refused["exitcode"]), (&json!("invalid_json"), &json!(-1)));
    let silent = connection.run(Uuid::new_v4(), MODULE, &json!({"flags": []})).await;
    assert_eq!(silent["error_type"], "no_last_run_report", "exit code 0 proves nothing");
    fs::write(lab.path("var/state/agent_disabled.lock"), r#"{"disabled_message":"frozen"}"#).unwrap();
    let id = Uuid::new_v4();
    let disabled = connection.run(id, MODULE, &json!({"flags": []})).await;
    assert_eq!(disabled["error_type"], "agent_disabled");
    assert!(disabled["error"].as_str().unwrap().contains("frozen"));
    // Killed before it knows that the answer went out, an agent lets the next one send it again.
    let metadata = lab.config.spool_dir.join(id.to_string()).join("metadata");
    until(|| fs::read_to_string(&metadata).is_ok_and(|text| text.contains("\"notified\": true"))).await;
    running.kill().await;
    lab.config.puppet.command = Some(lab.path("gone"));
    let (_running, mut connection) = lab.start().await;
    let missing = connection.run(Uuid::new_v4(), MODULE, &json!({"flags": []})).await;
    assert_eq!(missing["error_type"], "no_puppet_bin");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_run_in_another_environment_is_a_failure_even_after_a_restart() {
    let mut lab = Lab::new().await;
    let (started, go, report) = (lab.path("started"), lab.path("go"), lab.path("last_run_report.yaml"));
    let body = format!(
        "if [ \"$1\" = config ]; then\n\
         echo 'lastrunreport = {report}'\n\
         echo 'agent_catalog_run_lockfile = {lock}'\n\
         echo 'agent_disabled_lockfile = {disabled}'\nexit 0\nfi\n\
         for arg in \"$@\"; do [ \"$last\" = --job-id ] && job=$arg; last=$arg; done\n\
         touch {started}\nwhile [ ! -e {go} ]; do sleep 0.05; done\n\
         report {report} production \"job_id: '$job'\"\nexit 0\n",
        report = report.display(),
        lock = lab.path("run.lock").display(),
        disabled = lab.path("disabled.lock").display(),
        started = started.display(),
        go = go.display(),
    );
    let command = lab.script("puppet", &format!("#!/bin/sh\n{REPORT}\n{body}"));
    lab.config.puppet.command = Some(command);
    let (running, mut connection) = lab.start().await;
    let id = Uuid::new_v4();
    connection.start(id, MODULE, &json!({"flags": ["--environment", "nosuch"], "job": "7"})).await;
    connection.expect(MessageType::ProvisionalResponse).await;
    until_exists(&started).await;
    running.kill().await;
    let (_running, mut connection) = lab.start().await;
    fs::write(&go, "").unwrap();
    let results = connection.results(id).await;
    assert_eq!((&results["error_type"], &results["status"]), (&json!("environment_mismatch"), &json!("failed")));
    assert_eq!((&results["environment"], lab.ledger()), (&json!("production"), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canceled_run_says_so_although_puppet_exits_with_zero() {
    let mut lab = Lab::new().await;
    let started = lab.path("started");
    apply(
        &mut lab,
        &format!(
            "trap 'report \"$BUNRAKU_LASTRUNREPORT\" production; exit 0' TERM\ntouch {}\nwhile :; do sleep 0.05; done\n",
            started.display()
        ),
    );
    let (_running, mut connection) = lab.start().await;
    let id = Uuid::new_v4();
    connection.start(id, MODULE, &json!({"flags": []})).await;
    connection.expect(MessageType::ProvisionalResponse).await;
    until_exists(&started).await;
    assert_eq!(connection.cancel(id).await, true);
    let results = connection.results(id).await;
    assert_eq!((&results["canceled"], &results["error_type"]), (&json!(true), &json!("canceled")));
    assert_eq!(results["status"], "failed");
}

/// How often the threads of a process have waited so far.
fn waits(process: &str) -> u64 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap().map(|thread| thread.unwrap().path());
    let waits = |path: std::path::PathBuf| {
        let status = fs::read_to_string(path.join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
        line.trim().parse::<u64>().unwrap()
    };
    threads.map(waits).sum()
}

fn lives(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_somebody_kills_leaves_no_command_behind_but_its_daemons() {
    let mut lab = Lab::new().await;
    let (pids, ready) = (lab.path("pids"), lab.path("ready"));
    // As Puppet does: each command in a session of its own. The second one starts a daemon and ends.
    let body = format!(
        "setsid sh -c 'sleep 600 & echo $$ $! > {pids}.command; wait' &\n\
         sh -c 'setsid sleep 600 > /dev/null 2>&1 & echo $! > {pids}.daemon'\n\
         while [ ! -s {pids}.command ]; do sleep 0.05; done\n\
         echo $$ > {pids}.puppet\ntouch {ready}\nwait\n",
        pids = pids.display(),
        ready = ready.display(),
    );
    apply(&mut lab, &body);
    let (_running, mut connection) = lab.start().await;
    let id = Uuid::new_v4();
    connection.start(id, MODULE, &json!({"flags": []})).await;
    connection.expect(MessageType::ProvisionalResponse).await;
    until_exists(&ready).await;
    let read = |name: &str| fs::read_to_string(format!("{}.{name}", pids.display())).unwrap().trim().to_owned();
    let (command, daemon, puppet) = (read("command"), read("daemon"), read("puppet"));
    // The wrapper has looked at the children: its watch has waited again and again since they were there.
    let wrapper = fs::read_to_string(lab.config.spool_dir.join(id.to_string()).join("pid")).unwrap();
    let wrapper = wrapper.split(' ').next().unwrap();
    let so_far = waits(wrapper);
    until(|| waits(wrapper) >= so_far + 5).await;
    let killed = std::process::Command::new("kill").args(["-9", &puppet]).status().unwrap();
    assert!(killed.success());
    let results = connection.results(id).await;
    let error = results["error"].as_str().unwrap();
    assert!(error.contains("exit code 137") && error.contains("bunraku: killed by signal 9"), "{error}");
    let leader = command.split(' ').next().unwrap();
    assert!(error.contains(&format!("bunraku: ended what it left running: {leader} (sh)")), "{error}");
    until(|| command.split(' ').all(|pid| !lives(pid))).await;
    assert!(lives(&daemon), "who left on purpose is none of ours");
    assert!(std::process::Command::new("kill").arg(&daemon).status().unwrap().success());
}
