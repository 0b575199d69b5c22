//! A backup of yesterday is put back beside agents that know of today: what really ran is seen, nothing runs again, and
//! what nobody can tell is called unknown.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::fleet::{Behavior, Fleet};
use crate::support::process::Served;
use crate::support::service::{Site, names};

fn bunraku(arguments: &[&str], config: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bunraku"));
    command.args(arguments).arg("--config").arg(config).output().unwrap()
}

fn deploy(nodes: &[String], concurrency: u32) -> Value {
    json!({"environment": "production", "scope": {"nodes": nodes}, "concurrency": concurrency})
}

#[tokio::test(flavor = "multi_thread")]
async fn promises_2_and_4_hold_when_a_backup_is_put_back_beside_newer_agents() {
    let site = Site::new();
    let mut served = Served::prepare(&site, &[]).await;
    served.start();
    served.ready().await;
    let client = served.client.clone();
    let nodes = names(7);
    let (fleet_nodes, late_node) = nodes.split_at(6);
    let behavior = Behavior { shortest: Duration::from_millis(500), spread: Duration::ZERO };
    let broker = ([127, 0, 0, 1], served.broker).into();
    let fleet = Fleet::connect(&site.ca, broker, fleet_nodes, behavior).await;
    let leaving = Fleet::connect(&site.ca, broker, late_node, behavior).await;
    let job = client.deploy(&deploy(&nodes, 2)).await;
    client.until(&format!("/orchestrator/v1/jobs/{job}"), |job| job["node_states"]["running"] == 2).await;
    let copy = site.dir().join("yesterday.db");
    let copied = bunraku(&["backup", copy.to_str().unwrap()], served.config());
    assert!(copied.status.success(), "{copied:?}");
    assert_eq!(client.over(&job).await["node_states"], json!({"finished": 7}));
    let later = client.deploy(&deploy(fleet_nodes, 6)).await;
    client.over(&later).await;

    let refused = bunraku(&["restore", copy.to_str().unwrap()], served.config());
    assert_eq!(refused.status.code(), Some(2), "not under a service that runs: {refused:?}");
    served.kill();
    // One node goes, and with it the only one who could tell.
    drop(leaving);
    let restored = bunraku(&["restore", copy.to_str().unwrap()], served.config());
    assert!(restored.status.success(), "{restored:?}");
    served.start();
    served.ready().await;

    client.until(&format!("/orchestrator/v1/jobs/{job}"), |job| job["node_states"]["finished"] == 6).await;
    let live = client.get(&format!("/bunraku/v1/jobs/{job}/live")).await.unwrap();
    assert_eq!(live["binding"], "restored");
    let counts = client.post("/orchestrator/v1/command/stop", &json!({ "job": job })).await.unwrap();
    assert_eq!(counts["job"]["nodes"]["skipped"], 0);
    let ended = client.over(&job).await;
    assert_eq!((&ended["state"], &ended["causes"]), (&json!("stopped"), &json!({"outcome_unknown": 1})));
    let shown = client.get(&format!("/orchestrator/v1/jobs/{job}/nodes?state=errored")).await.unwrap();
    assert_eq!(shown["items"][0]["name"], json!(late_node[0]));
    assert!(shown["items"][0]["details"]["message"].as_str().unwrap().contains("restored from a backup"));

    let fresh = client.deploy(&deploy(fleet_nodes, 6)).await;
    assert!(fresh.parse::<u64>().unwrap() > later.parse().unwrap(), "no number is given twice");
    assert_eq!(client.over(&fresh).await["node_states"], json!({"finished": 6}));
    let starts = fleet.ledger.starts();
    assert_eq!(starts.len(), 18, "three jobs on six nodes");
    assert!(starts.iter().all(|(_, _, times)| *times == 1), "nothing ran twice: {starts:?}");
}
