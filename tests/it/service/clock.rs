//! A wall clock that jumps in the middle of a job, both ways, also over a restart: everything comes to its end, once.

use std::time::Duration;

use serde_json::json;

use crate::support::fleet::{Behavior, Fleet};
use crate::support::process::Served;
use crate::support::service::{Site, names};

const NODES: usize = 20;
const JOB: &str = "/orchestrator/v1/jobs/1";

/// Lets the clock jump by the first number of seconds in mid-job, and to the second one in a later life.
async fn survives(first: i64, then: i64) {
    let site = Site::new();
    let control = site.dir().join("faults");
    let mut served = Served::prepare(&site, &[("broker.settle_time", "\"1s\"")]).await;
    served.start_spoiled(&control);
    served.ready().await;
    let nodes = names(NODES);
    let behavior = Behavior { shortest: Duration::from_millis(100), spread: Duration::from_millis(200) };
    let fleet = Fleet::connect(&site.ca, ([127, 0, 0, 1], served.broker).into(), &nodes, behavior).await;
    let body = json!({"environment": "production", "scope": {"nodes": nodes}, "concurrency": 3});
    assert_eq!(served.client.deploy(&body).await, "1");
    let finished = |count: u64| move |job: &serde_json::Value| job["node_states"]["finished"].as_u64() >= Some(count);
    served.client.until(JOB, finished(3)).await;
    std::fs::write(&control, format!("clock {first}\n")).unwrap();
    served.client.until(JOB, finished(8)).await;
    served.kill();
    std::fs::write(&control, format!("clock {then}\n")).unwrap();
    served.start_spoiled(&control);
    let ended = served.client.over("1").await;
    assert_eq!(ended["node_states"], json!({"finished": NODES}), "{ended:#}");
    let shown: chrono::DateTime<chrono::Utc> = ended["finished_timestamp"].as_str().unwrap().parse().unwrap();
    let wrong = (shown - chrono::Utc::now()).num_seconds();
    assert!((wrong - then).abs() < 120, "the clock of the process really jumped: {wrong} s");
    let starts = fleet.ledger.starts();
    assert!(starts.len() == NODES && starts.iter().all(|(_, _, times)| *times == 1), "{starts:?}");
    assert!(fleet.ledger.most_running() <= 3);
    let events = served.client.get(&format!("{JOB}/events")).await.unwrap();
    let ids: Vec<u64> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["id"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(
        ids,
        (1..=ids.len() as u64).collect::<Vec<_>>(),
        "whatever the time of an event, its number tells its place"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn promises_2_and_3_hold_when_the_clock_jumps_ahead() {
    survives(1_500, 3_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn promises_2_and_3_hold_when_the_clock_jumps_back() {
    survives(-1_500, -3_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn promises_2_and_3_hold_when_the_clock_is_put_right_again() {
    survives(2_000, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn never_a_lie_a_jump_of_hours_makes_no_run_older() {
    let site = Site::new();
    let control = site.dir().join("faults");
    let mut served = Served::prepare(&site, &[("broker.settle_time", "\"1s\"")]).await;
    served.start_spoiled(&control);
    served.ready().await;
    let nodes = names(NODES);
    let behavior = Behavior { shortest: Duration::from_millis(200), spread: Duration::from_millis(400) };
    let _fleet = Fleet::connect(&site.ca, ([127, 0, 0, 1], served.broker).into(), &nodes, behavior).await;
    let body = json!({"environment": "production", "scope": {"nodes": nodes}, "concurrency": 3});
    assert_eq!(served.client.deploy(&body).await, "1");
    for (count, jump) in [(2, 100_000), (8, -100_000), (14, 0)] {
        let finished = move |job: &serde_json::Value| job["node_states"]["finished"].as_u64() >= Some(count);
        served.client.until(JOB, finished).await;
        // Deadlines of one hour, and one day for all starts, are long over by this clock.
        std::fs::write(&control, format!("clock {jump}\n")).unwrap();
    }
    let ended = served.client.over("1").await;
    assert_eq!(ended["node_states"], json!({"finished": NODES}), "{ended:#}");
    let shown: chrono::DateTime<chrono::Utc> = ended["finished_timestamp"].as_str().unwrap().parse().unwrap();
    let wrong = (shown - chrono::Utc::now()).num_seconds();
    assert!(wrong.abs() < 120, "the time of the service did not jump: {wrong} s");
}
