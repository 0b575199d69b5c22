//! `kill -9` of the real process in the middle of a job, with agents that stay up.

use std::time::Duration;

use serde_json::json;

use crate::support::fleet::{Behavior, Fleet};
use crate::support::process::Served;
use crate::support::service::{Site, names};

const NODES: usize = 30;

#[tokio::test(flavor = "multi_thread")]
async fn promises_1_2_and_3_hold_when_the_service_is_killed_in_mid_job() {
    let site = Site::new();
    let mut served = Served::prepare(&site, &[]).await;
    served.start();
    served.ready().await;

    let nodes = names(NODES);
    let behavior = Behavior { shortest: Duration::from_millis(300), spread: Duration::from_millis(400) };
    let fleet = Fleet::connect(&site.ca, ([127, 0, 0, 1], served.broker).into(), &nodes, behavior).await;
    let body = json!({"environment": "production", "scope": {"nodes": nodes}, "concurrency": 8});
    assert_eq!(served.client.deploy(&body).await, "1");
    let job = "/orchestrator/v1/jobs/1";
    served.client.until(job, |job| job["node_states"]["finished"].as_u64() >= Some(4)).await;
    let process = format!("/proc/{}", served.id());
    served.kill();
    assert!(!std::path::Path::new(&process).exists());

    served.start();
    let ended = served.client.over("1").await;
    assert_eq!(ended["state"], "finished", "{ended:#}");
    assert_eq!(ended["node_states"], json!({"finished": NODES}));
    let starts = fleet.ledger.starts();
    assert_eq!(starts.len(), NODES, "every node ran");
    assert!(starts.iter().all(|(_, _, times)| *times == 1), "no node ran twice");
    assert!(fleet.ledger.most_running() <= 8, "never more than the limit, not across the crash");
}
