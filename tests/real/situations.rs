//! Every way in which a Puppet run can go, and what is told of it: state, cause and a message that a person would call right.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::api::{Api, Job};
use crate::lab::Lab;
use crate::service::{Service, until};
use crate::{TURN, production};

/// Longer than Puppet takes to come to its point on a machine under load.
const PATIENCE: Duration = Duration::from_secs(300);

async fn deploy(api: &Api, node: &str, more: Value) -> Job {
    let number = start(api, node, more).await;
    api.finished(&number).await
}

async fn start(api: &Api, node: &str, more: Value) -> String {
    let mut body = json!({ "environment": "production", "scope": { "nodes": [node] } });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    api.command("deploy", &body).await
}

fn told(job: &Job, node: &str) -> (String, String) {
    let shown = job.node(node);
    let cause = shown["cause"].as_str().unwrap_or_default();
    (format!("{} {cause}", job.node_state(node)).trim().to_owned(), job.message(node).to_owned())
}

#[tokio::test]
async fn every_end_of_a_run_is_told_as_what_it_was() {
    let Some(lab) = Lab::find() else { return };
    let _turn = TURN.lock().await;
    lab.reset();
    let node = lab.node(3);
    let mut service = Service::start(&lab, &production(&lab));
    service.write("environments/gone.yaml", &format!("nodes: [{node}]\n"));
    service.connect_with(&lab, &[node], "  lock_wait: 1s\n").await;
    let api = service.api();

    // A run in noop changes nothing, and says what it would have changed.
    let motd = lab.managed(node, "motd");
    fs::write(&motd, "out of date\n").unwrap();
    let noop = deploy(&api, node, json!({ "noop": true })).await;
    assert_eq!(told(&noop, node).0, "finished", "{:#}", noop.node(node));
    assert!(noop.metric(node, "out_of_sync") > 0 && noop.metric(node, "changed") == 0, "{:#}", noop.node(node));
    assert_eq!(fs::read_to_string(&motd).unwrap(), "out of date\n");

    // Puppet alone would silently run in another environment.
    let gone = deploy(&api, node, json!({ "environment": "gone" })).await;
    let (state, message) = told(&gone, node);
    assert_eq!(state, "failed run_failed");
    assert!(message.contains("Environment 'gone' not found on server"), "{message}");
    assert_eq!(fs::read_to_string(&motd).unwrap(), "out of date\n");

    lab.set_mode(node, "compile_error");
    let broken = deploy(&api, node, json!({})).await;
    let (state, message) = told(&broken, node);
    assert_eq!(state, "failed run_failed");
    assert!(message.contains("Could not retrieve catalog") && message.contains("Evaluation Error"), "{message}");

    // The catalog of a former run is used only for who asks for it.
    lab.set_mode(node, "ok");
    let cached = deploy(&api, node, json!({ "use_cached_catalog": true })).await;
    assert_eq!(told(&cached, node).0, "finished", "{:#}", cached.node(node));

    lab.set_mode(node, "fail");
    let failed = deploy(&api, node, json!({})).await;
    let (state, message) = told(&failed, node);
    assert_eq!(state, "failed run_failed");
    assert!(message.contains("Exec["), "it names the resource: {message}");

    lab.set_mode(node, "slow 900");
    let started = lab.managed(node, "started");
    let mut other = lab.puppet_in_background(node);
    until("another run is half-way", PATIENCE, || started.exists()).await;
    let locked = deploy(&api, node, json!({})).await;
    assert_eq!(told(&locked, node).0, "errored locked", "{:#}", locked.node(node));
    assert!(lab.is_running(node), "the other run goes on");
    end_with_children(other.id());
    other.wait().unwrap();
    lab.reset();

    lab.set_mode(node, "slow 901");
    let number = start(&api, node, json!({})).await;
    until("the run is half-way", PATIENCE, || started.exists()).await;
    kill_process(Pid::from_raw(lab.running(node).unwrap()).unwrap(), Signal::KILL).unwrap();
    let killed = api.finished(&number).await;
    let (state, message) = told(&killed, node);
    assert_eq!(state, "errored run_failed");
    assert!(message.contains("exit code 137"), "{message}");
    lab.reset();

    // Puppet's own time-out would leave what its resources have started.
    lab.set_mode(node, "slow 902");
    let late = deploy(&api, node, json!({ "timeout": 20 })).await;
    let (state, message) = told(&late, node);
    assert_eq!(state, "errored timed_out");
    assert!(message.contains("passed its time limit"), "{message}");
    assert!(!sleepers().iter().any(|line| line.contains("sleep 902")), "what a run has started ends with it");
    lab.reset();
    let good = deploy(&api, node, json!({})).await;
    assert_eq!(told(&good, node).0, "finished", "the node is free again: {:#}", good.node(node));
}

/// Ends a process and what it has started, as Puppet does not.
fn end_with_children(pid: u32) {
    let tasks = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = tasks.split_whitespace().filter_map(|child| child.parse().ok());
    for pid in children.chain([i32::try_from(pid).unwrap()]) {
        // It may have ended by itself.
        let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
    }
}

/// What the lab's slow runs have started and is still there.
fn sleepers() -> Vec<String> {
    let lines = fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    let text = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    text.filter(|line| ["sleep 900", "sleep 901", "sleep 902"].iter().any(|sleep| line.contains(sleep))).collect()
}
