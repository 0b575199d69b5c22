//! What the real process does by itself: it counts the usage of nodes, ends plans of which nothing is heard, and takes a
//! changed `access.yaml` only if it can be used.

use std::time::Duration;

use bunraku::api::records::{PlanSpec, Records as _, UsageNotes};
use bunraku::store::{Options, Store};
use bunraku_actors::model::Owner;
use chrono::{TimeDelta, Utc};
use rustix::process::Signal;
use serde_json::{Map, Value, json};

use crate::support::fleet::{Behavior, Fleet};
use crate::support::process::Served;
use crate::support::service::{Site, names};

fn store(site: &Site) -> Store {
    Store::open(site.config.data_dir.join("bunraku.db"), Options::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_counts_the_nodes_and_changes_of_what_ran_while_nobody_counted() {
    let site = Site::new();
    let modules = site.dir().join("modules");
    std::fs::create_dir_all(modules.join("probe/tasks")).unwrap();
    std::fs::write(modules.join("probe/tasks/init.sh"), "#!/bin/sh\n").unwrap();
    let modulepath = format!("[{:?}]", modules.display().to_string());
    let mut served = Served::prepare(&site, &[("modulepath", &modulepath), ("broker.settle_time", "0s")]).await;
    // Counted from the first event on, whenever the first look at them is.
    let before = store(&site);
    before.note_usage(UsageNotes { cursor: Some(1), ..UsageNotes::default() }).await.unwrap();
    before.close().await;
    served.start();
    served.ready().await;
    let nodes = names(3);
    let behavior = Behavior { shortest: Duration::ZERO, spread: Duration::ZERO };
    let fleet = Fleet::connect(&site.ca, ([127, 0, 0, 1], served.broker).into(), &nodes, behavior).await;
    let client = served.client.clone();
    let puppet = client.deploy(&json!({"environment": "production", "scope": {"nodes": nodes}})).await;
    client.over(&puppet).await;
    let task = json!({"environment": "production", "task": "probe", "params": {}, "scope": {"nodes": nodes[..2]}});
    client.post("/orchestrator/v1/command/task", &task).await.unwrap();
    assert_eq!(client.over("2").await["state"], "finished");
    let report = client.get("/orchestrator/v1/jobs/1/nodes").await.unwrap();
    let changed = |item: &Value| item["details"]["metrics"]["changed"].as_u64().unwrap();
    let changes: u64 = report["items"].as_array().unwrap().iter().map(changed).sum();
    assert!(changes > 0, "{report:#}");
    drop(fleet);

    // Of what has been counted nothing is counted again.
    for _ in 0..2 {
        served.kill();
        served.start();
        served.ready().await;
        let counted = |usage: &Value| sum(usage, "nodes_affected_by_task_runs") == 2;
        let usage = client.until("/orchestrator/v1/usage", counted).await;
        let of_both = sum(&usage, "corrective_agent_changes") + sum(&usage, "intentional_agent_changes");
        assert_eq!(of_both, changes, "{usage:#}");
        assert_eq!(sum(&usage, "nodes_affected_by_plan_runs"), 0);
    }
}

/// Of all days: the test may run over midnight.
fn sum(usage: &Value, key: &str) -> u64 {
    usage["items"].as_array().unwrap().iter().map(|day| day[key].as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn never_stuck_a_plan_of_which_nothing_is_heard_is_ended() {
    let site = Site::new();
    let mut served = Served::prepare(&site, &[("limits.plan_silence", "1h")]).await;
    let before = store(&site);
    for minutes in [61, 1] {
        let spec = PlanSpec {
            plan: "shop::deploy".to_owned(),
            description: String::new(),
            parameters: Map::new(),
            sensitive: Vec::new(),
            environment: None,
            owner: Owner {
                id: String::new(),
                login: "ops".to_owned(),
                display_name: String::new(),
                role: String::new(),
            },
            userdata: Value::Null,
            created_at: Utc::now() - TimeDelta::minutes(minutes),
        };
        before.start_plan(spec, None).await.unwrap();
    }
    before.close().await;
    served.start();
    served.ready().await;
    let plan = served.client.until("/orchestrator/v1/plan_jobs/1", |plan| plan["state"] == "failure").await;
    assert_eq!(plan["result"]["_error"]["kind"], "puppetlabs.orchestrator/plan-lost", "{plan:#}");
    assert_eq!(served.client.get("/orchestrator/v1/plan_jobs/2").await.unwrap()["state"], "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_cannot_be_used_are_refused_at_the_start_and_by_a_running_service() {
    const TEAM: &str =
        "roles:\n  team:\n    permissions: [orchestrator:view]\nbindings:\n  - role: team\n    logins: [alice]\n";
    let site = Site::new();
    let mut served = Served::prepare(&site, &[]).await;
    let file = site.dir().join("access.yaml");
    let log = |served: &Served| std::fs::read_to_string(&served.log).unwrap();

    std::fs::write(&file, TEAM.replace(":view", ":vew")).unwrap();
    served.start();
    assert!(!served.ended().await.success());
    assert!(
        log(&served).contains("access.yaml: the role 'team' has the permission 'orchestrator:vew'"),
        "{}",
        log(&served)
    );

    std::fs::write(&file, TEAM).unwrap();
    served.start();
    served.ready().await;
    let client = served.client.clone();
    let alice = json!({"login": "alice", "password": "correct horse battery"});
    client.post("/bunraku/v1/users", &alice).await.unwrap();
    let roles = async || client.get("/bunraku/v1/users").await.unwrap()["items"][0]["roles"].clone();
    assert_eq!(roles().await, json!(["team"]));

    std::fs::write(&file, TEAM.replace(":view", ":vew")).unwrap();
    served.signal(Signal::HUP);
    let refused = tokio::time::timeout(Duration::from_secs(60), async {
        while !log(&served).contains("roles and bindings stay as they were") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    refused.await.expect("the refusal is never logged");
    assert_eq!(roles().await, json!(["team"]));

    std::fs::write(&file, "bindings: []\n").unwrap();
    served.signal(Signal::HUP);
    client.until("/bunraku/v1/users", |users| users["items"][0]["roles"] == json!([])).await;
}
