//! Retention in the real process: removed jobs are unknown on every path, removed output says so, and a clock that jumped
//! removes nothing.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::json;

use crate::support::fleet::{Behavior, Fleet};
use crate::support::process::Served;
use crate::support::service::{Site, names};

/// A service that has run so many jobs over two nodes, and was killed then.
async fn with_jobs(count: usize) -> (Site, Served) {
    let site = Site::new();
    let mut served = Served::prepare(&site, &[]).await;
    served.start();
    served.ready().await;
    let nodes = names(2);
    let behavior = Behavior { shortest: Duration::from_millis(5), spread: Duration::ZERO };
    let _fleet = Fleet::connect(&site.ca, ([127, 0, 0, 1], served.broker).into(), &nodes, behavior).await;
    for _ in 0..count {
        let body = json!({"environment": "production", "scope": {"nodes": nodes}});
        let job = served.client.deploy(&body).await;
        assert_eq!(served.client.over(&job).await["state"], "finished");
    }
    served.kill();
    (site, served)
}

/// Lets a job have ended so many days ago.
fn age(site: &Site, job: i64, days: i64) {
    let file = rusqlite::Connection::open(site.config.data_dir.join("bunraku.db")).unwrap();
    let ended = (Utc::now() - TimeDelta::days(days)).timestamp_micros();
    assert_eq!(file.execute("UPDATE jobs SET finished_at = ?2 WHERE id = ?1", (job, ended)).unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_job_is_unknown_on_every_path_and_removed_output_says_so() {
    let (site, mut served) = with_jobs(3).await;
    age(&site, 1, 31);
    age(&site, 2, 8);
    age(&site, 3, 6);
    served.start();
    served.ready().await;
    let client = served.client.clone();
    client.until("/orchestrator/v1/jobs", |jobs| jobs["pagination"]["total"] == 2).await;
    for path in ["", "/nodes", "/events", "/report"] {
        let answer = client.request("GET", &format!("/orchestrator/v1/jobs/1{path}")).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
        let error: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(error["kind"], "puppetlabs.orchestrator/unknown-job", "{path}: {error}");
    }
    let pruned = |nodes: &serde_json::Value| nodes["items"][1]["result"]["_pruned"].is_string();
    let nodes = client.until("/orchestrator/v1/jobs/2/nodes", pruned).await;
    assert_eq!(nodes["items"][0]["state"], "finished");
    assert_eq!(nodes["items"][0]["details"]["metrics"]["total"], 8, "counters stay: {nodes:#}");
    let events = client.get("/orchestrator/v1/jobs/2/events").await.unwrap();
    let told =
        events["items"].as_array().unwrap().iter().filter(|event| event["details"]["detail"]["_pruned"].is_string());
    assert_eq!(told.count(), 2, "{events:#}");
    let report = client.get("/orchestrator/v1/jobs/2/report").await.unwrap();
    assert_eq!(report["report"].as_array().unwrap().len(), 2);
    let young = client.get("/orchestrator/v1/jobs/3/nodes").await.unwrap();
    assert!(young["items"][0]["result"]["metrics"].is_object(), "{young:#}");
    let next = client.deploy(&json!({"environment": "production", "scope": {"nodes": ["x.example.com"]}})).await;
    assert_eq!(next, "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumped_ahead_by_more_than_a_month_removes_nothing() {
    let (site, mut served) = with_jobs(1).await;
    let control = site.dir().join("faults");
    std::fs::write(&control, "clock 3000000\n").unwrap();
    served.start_spoiled(&control);
    served.ready().await;
    let log = served.log.clone();
    while !std::fs::read_to_string(&log).unwrap().contains("the clock jumped not long ago") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(served.client.get("/orchestrator/v1/jobs/1").await.unwrap()["state"], "finished");
}
