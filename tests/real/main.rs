//! The whole thing against a real Puppet: the real binary as server and agents, a real puppetserver, real runs.
//!
//! Needs the lab that `tests/lab/up` starts. Without one every test says that it is skipped, and why; with
//! `BUNRAKU_REQUIRE_ALL=1` it fails instead. Tests take turns: they share the lab's nodes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod lab;
#[path = "../pages/mod.rs"]
mod pages;
mod proxy;
mod quickstart;
mod r10k;
mod service;
mod situations;
mod sources;

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::lab::Lab;
use crate::service::{Service, quoted, until};

/// Held by the test that uses the lab's nodes.
static TURN: Mutex<()> = Mutex::const_new(());

/// The environment of these tests: node 2 needs node 1, node 3 needs node 2, node 4 is alone.
fn production(lab: &Lab) -> String {
    let component = |kind: &str, number: usize, produces: &str, consumes: &str| {
        let node = lab.node(number);
        format!("    - {{type: {kind}, title: eu, node: {node}, produces: [{produces}], consumes: [{consumes}]}}\n")
    };
    let components = [
        component("Shop::Front", 3, "", "'Http[shop]'"),
        component("Shop::Web", 2, "'Http[shop]'", "'Sql[shop]'"),
        component("Shop::Db", 1, "'Sql[shop]'", ""),
    ];
    format!(
        "nodes: [{}]\nmodulepath: [{}]\napplications:\n- type: Shop\n  instances:\n  - title: eu\n    components:\n{}",
        lab.node(4),
        quoted(&lab.code().join("$environment/modules")),
        components.concat(),
    )
}

#[tokio::test]
async fn a_deploy_runs_in_the_order_of_dependencies() {
    let Some(lab) = Lab::find() else { return };
    let _turn = TURN.lock().await;
    lab.reset();
    let (first, second, third) = (lab.node(1), lab.node(2), lab.node(3));
    fs::write(lab.managed(first, "motd"), "out of date\n").unwrap();
    let mut service = Service::start(&lab, &production(&lab));
    service.connect(&lab, &[first, second, third]).await;
    let api = service.api();

    let job = api.command("deploy", &json!({"environment": "production", "scope": {"application": "Shop[eu]"}})).await;
    let job = api.finished(&job).await;
    assert_eq!(job.state, "finished", "{}", job.message(first));
    assert!(job.ended(first) <= job.started(second), "the database comes before the web server");
    assert!(job.ended(second) <= job.started(third), "the web server comes before the front end");
    assert_eq!(fs::read_to_string(lab.managed(first, "motd")).unwrap(), "hello from production\n");
    // The counters of the real report.
    let node = job.node(first);
    assert_eq!(node["result"]["status"], "changed", "{node:#}");
    assert_eq!(node["result"]["environment"], "production");
    assert_eq!(node["details"]["metrics"], node["result"]["metrics"]);
    assert!(job.metric(first, "changed") >= 1, "{node:#}");
    let summary = fs::read_to_string(lab.confdir(first).join("var/public/last_run_summary.yaml")).unwrap();
    let summary: Value = serde_saphyr::from_str(&summary).unwrap();
    for (name, count) in summary["resources"].as_object().unwrap() {
        assert_eq!(Some(job.metric(first, name)), count.as_i64(), "{name} is as Puppet counted it: {node:#}");
    }
    let version = summary["version"]["config"].to_string();
    assert_eq!(node["result"]["configuration_version"].as_str().unwrap(), version.trim_matches('"'));
}

#[tokio::test]
async fn a_node_that_fails_skips_what_depends_on_it() {
    let Some(lab) = Lab::find() else { return };
    let _turn = TURN.lock().await;
    lab.reset();
    let (first, second, third, alone) = (lab.node(1), lab.node(2), lab.node(3), lab.node(4));
    lab.set_mode(first, "fail");
    let mut service = Service::start(&lab, &production(&lab));
    service.connect(&lab, &[first, second, third, alone]).await;
    let api = service.api();

    let job = api.finished(&api.command("deploy", &json!({"environment": "production"})).await).await;
    let states: Vec<&str> = [first, second, third, alone].map(|node| job.node_state(node)).to_vec();
    assert_eq!(states, ["failed", "skipped", "skipped", "finished"], "{}", job.message(first));
    assert_eq!(job.state, "failed");
    assert_eq!(job.metric(first, "failed"), 1);
    assert_eq!(job.node(second)["result"], Value::Null);
    lab.reset();
}

#[tokio::test]
async fn a_disabled_node_is_told_apart_from_a_failed_one() {
    let Some(lab) = Lab::find() else { return };
    let _turn = TURN.lock().await;
    lab.reset();
    let node = lab.node(3);
    lab.puppet_agent(node, &["--disable", "being repaired"]);
    let mut service = Service::start(&lab, &production(&lab));
    service.connect(&lab, &[node]).await;
    let api = service.api();

    let job = api.finished(&api.deploy(&[node]).await).await;
    assert_eq!((job.state.as_str(), job.node_state(node)), ("failed", "errored"), "{:#}", job.node(node));
    assert!(job.message(node).contains("disabled"), "{}", job.message(node));
    lab.puppet_agent(node, &["--enable"]);
    let job = api.finished(&api.deploy(&[node]).await).await;
    assert_eq!(job.node_state(node), "finished", "{:#}", job.node(node));
}

#[tokio::test]
async fn a_forced_stop_ends_a_run_half_way() {
    let Some(lab) = Lab::find() else { return };
    let _turn = TURN.lock().await;
    lab.reset();
    let node = lab.node(4);
    // Longer than the whole test may take: only the stop can end it in time.
    lab.set_mode(node, "slow 900");
    let mut service = Service::start(&lab, &production(&lab));
    service.connect(&lab, &[node]).await;
    let api = service.api();

    let number = api.deploy(&[node]).await;
    let started = lab.managed(node, "started");
    until("the run is half-way", Duration::from_secs(300), || started.exists()).await;
    assert!(lab.is_running(node));
    api.command("stop", &json!({"job": number, "force": true})).await;
    let job = api.finished(&number).await;
    assert_eq!(job.state, "stopped", "{:#}", job.node(node));
    assert!(["failed", "errored"].contains(&job.node_state(node)), "{:#}", job.node(node));
    assert!(!lab.is_running(node), "Puppet itself has ended when the job says so");

    lab.reset();
    let job = api.finished(&api.deploy(&[node]).await).await;
    assert_eq!(job.node_state(node), "finished", "the node is free again: {:#}", job.node(node));
}

#[tokio::test]
async fn tasks_come_from_the_module_path() {
    let Some(lab) = Lab::find() else { return };
    let _turn = TURN.lock().await;
    lab.reset();
    let nodes = [lab.node(1), lab.node(2)];
    let mut service = Service::start(&lab, &production(&lab));
    service.connect(&lab, &nodes).await;
    let api = service.api();
    let run = async |task: &str, params: Value| {
        let body = json!({"environment": "production", "task": task, "params": params, "scope": {"nodes": nodes}});
        api.finished(&api.command("task", &body).await).await
    };

    // An implementation by the node's features, with shared files of two modules.
    let job = run("lab_tasks::multi", json!({"what": "everything"})).await;
    for node in nodes {
        let result = &job.node(node)["result"];
        assert_eq!(job.node_state(node), "finished", "{result:#}");
        assert_eq!(result["_output"], "helped with everything\nshipped by the file server\n", "{result:#}");
    }
    // Parameters on standard input, a JSON object as the answer.
    let job = run("lab_tasks::inspect", json!({"name": "x", "settings": {"deep": [1, true]}})).await;
    for node in nodes {
        let result = &job.node(node)["result"];
        assert_eq!(result["given"]["settings"], json!({"deep": [1, true]}), "{result:#}");
    }
    // A failure with an error of the task's own.
    let job = run("lab_tasks::fails", json!({"code": 7})).await;
    for node in nodes {
        let result = &job.node(node)["result"];
        assert_eq!(job.node_state(node), "failed", "{result:#}");
        assert_eq!(result["_error"]["kind"], "lab/failed", "{result:#}");
    }
    assert_eq!(job.state, "failed");
}
