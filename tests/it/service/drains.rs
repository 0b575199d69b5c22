//! The real process stops, or is drained: what runs is left to finish, nothing new starts, nothing is lost.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::fleet::{Behavior, Fleet};
use crate::support::process::{Client, Served};
use crate::support::service::{Site, names};

/// Runs that take so long.
fn lasting(milliseconds: u64) -> Behavior {
    Behavior { shortest: Duration::from_millis(milliseconds), spread: Duration::ZERO }
}

async fn started(site: &Site, keys: &[(&'static str, &str)]) -> Served {
    let mut served = Served::prepare(site, keys).await;
    served.start();
    served.ready().await;
    served
}

async fn fleet(site: &Site, served: &Served, nodes: &[String], behavior: Behavior) -> Fleet {
    Fleet::connect(&site.ca, ([127, 0, 0, 1], served.broker).into(), nodes, behavior).await
}

fn deploy(nodes: &[String], concurrency: u32) -> Value {
    json!({"environment": "production", "scope": {"nodes": nodes}, "concurrency": concurrency})
}

async fn running(client: &Client, job: &str, nodes: u64) {
    let path = format!("/orchestrator/v1/jobs/{job}");
    client.until(&path, |job| job["node_states"]["running"].as_u64() == Some(nodes)).await;
}

/// Reads a job's events as they come, over as many connections as it takes, up to the last one.
fn reader(client: Client, job: &str) -> JoinHandle<Vec<(u64, String)>> {
    let path = format!("/orchestrator/v1/jobs/{job}/events");
    tokio::spawn(async move {
        let mut seen: Vec<(u64, String)> = Vec::new();
        loop {
            let mut request = client.request("GET", &path).header("Accept", "text/event-stream");
            if let Some((last, _)) = seen.last() {
                request = request.header("Last-Event-ID", last.to_string());
            }
            let mut text = String::new();
            if let Ok(mut stream) = request.send().await {
                while let Ok(Some(chunk)) = stream.chunk().await {
                    text.push_str(&String::from_utf8_lossy(&chunk));
                }
            }
            for event in text.split("\n\n") {
                let field = |name| event.lines().find_map(|line: &str| line.strip_prefix(name));
                if let (Some(id), Some(kind), Some(_)) = (field("id: "), field("event: "), field("data: ")) {
                    seen.push((id.parse().unwrap(), kind.to_owned()));
                }
            }
            if seen.last().is_some_and(|(_, kind)| kind == "job_finished") {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn promises_2_3_and_6_hold_when_the_service_is_asked_to_stop() {
    let site = Site::new();
    let mut served = started(&site, &[]).await;
    let nodes = names(8);
    let fleet = fleet(&site, &served, &nodes, lasting(1_500)).await;
    let client = served.client.clone();
    let job = client.deploy(&deploy(&nodes[..6], 3)).await;
    let other = client.deploy(&deploy(&nodes[6..], 1)).await;
    running(&client, &job, 3).await;
    running(&client, &other, 1).await;
    let events = reader(client.clone(), &job);

    served.signal(Signal::TERM);
    client.until("/bunraku/v1/drain", |state| state["draining"] == true).await;
    let refused = client.request("POST", "/orchestrator/v1/command/deploy").json(&deploy(&nodes, 1));
    let refused = refused.send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert!(refused.text().await.unwrap().contains("shutting down"));
    assert_eq!(client.request("GET", "/readyz").send().await.unwrap().status(), 503);
    assert_eq!(client.request("GET", "/livez").send().await.unwrap().status(), 200);
    let simple = client.request("GET", "/status/v1/simple/orchestrator-service").send().await.unwrap();
    assert_eq!((simple.status().as_u16(), simple.text().await.unwrap().as_str()), (503, "stopping"));
    let stopped = client.post("/orchestrator/v1/command/stop", &json!({ "job": other })).await.unwrap();
    assert_eq!(stopped["job"]["nodes"]["skipped"], 1, "a stop is taken while the service ends");

    assert!(served.ended().await.success());
    assert_eq!(fleet.ledger.starts().len(), 4, "nothing started after the signal");
    served.start();
    assert_eq!(client.over(&job).await["node_states"], json!({"finished": 6}));
    let other = client.over(&other).await;
    assert_eq!((&other["state"], &other["node_states"]), (&json!("stopped"), &json!({"finished": 1, "skipped": 1})));
    let starts = fleet.ledger.starts();
    assert!(starts.len() == 7 && starts.iter().all(|(_, _, times)| *times == 1), "{starts:?}");

    let seen = tokio::time::timeout(Duration::from_secs(60), events).await.unwrap().unwrap();
    assert_eq!(seen.len(), 13, "six starts, six ends, one last event: {seen:?}");
    assert!(seen.windows(2).all(|pair| pair[0].0 < pair[1].0), "each once, in order, across the restart: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_2_what_runs_longer_than_the_drain_is_taken_up_by_the_next_start() {
    let site = Site::new();
    let mut served = started(&site, &[("server.drain_timeout", "0s")]).await;
    let nodes = names(3);
    let fleet = fleet(&site, &served, &nodes, lasting(2_500)).await;
    let client = served.client.clone();
    let job = client.deploy(&deploy(&nodes, 3)).await;
    running(&client, &job, 3).await;
    served.signal(Signal::TERM);
    assert!(served.ended().await.success());
    assert_eq!(fleet.ledger.running(), 3, "the runs outlive the service");
    served.start();
    assert_eq!(client.over(&job).await["node_states"], json!({"finished": 3}));
    assert!(fleet.ledger.starts().iter().all(|(_, _, times)| *times == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_wait() {
    let site = Site::new();
    let mut served = started(&site, &[("server.drain_timeout", "1h")]).await;
    let nodes = names(1);
    let _fleet = fleet(&site, &served, &nodes, lasting(3_600_000)).await;
    let client = served.client.clone();
    let job = client.deploy(&deploy(&nodes, 1)).await;
    running(&client, &job, 1).await;
    served.signal(Signal::TERM);
    client.until("/bunraku/v1/drain", |state| state["draining"] == true).await;
    served.signal(Signal::INT);
    assert!(served.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_can_be_taken_back() {
    let site = Site::new();
    let served = started(&site, &[]).await;
    let nodes = names(4);
    let fleet = fleet(&site, &served, &nodes, lasting(700)).await;
    let client = &served.client;
    let job = client.deploy(&deploy(&nodes, 2)).await;
    running(client, &job, 2).await;
    let drained = client.post("/bunraku/v1/drain", &json!({"drain": true})).await.unwrap();
    assert_eq!(drained, json!({"draining": true, "nodes_running": 2}));
    client.until("/bunraku/v1/drain", |state| state["nodes_running"] == 0).await;
    assert_eq!(fleet.ledger.starts().len(), 2);
    let live = client.get(&format!("/bunraku/v1/jobs/{job}/live")).await.unwrap();
    assert_eq!(live["binding"], "draining");
    assert_eq!(client.request("GET", "/readyz").send().await.unwrap().status(), 503);
    client.post("/bunraku/v1/drain", &json!({"drain": false})).await.unwrap();
    served.ready().await;
    assert_eq!(client.over(&job).await["state"], "finished");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_told_the_truth() {
    let site = Site::new();
    let path = site.dir().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let hear = |wanted: &str| loop {
        let mut told = [0; 300];
        let length = manager.recv(&mut told).unwrap_or_else(|error| panic!("{wanted} is never said: {error}"));
        let told = String::from_utf8_lossy(&told[..length]).into_owned();
        if told.contains(wanted) {
            return told;
        }
    };
    let mut served = Served::prepare(&site, &[]).await;
    served.start_with(|command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
    });
    hear("READY=1");
    served.ready().await;
    assert!(hear("WATCHDOG=1").contains("STATUS=0 agents connected, 0 jobs, 0 nodes run"));
    served.signal(Signal::HUP);
    hear("RELOADING=1");
    hear("READY=1");
    hear("WATCHDOG=1");
    served.signal(Signal::TERM);
    let stopping = hear("STOPPING=1");
    assert!(stopping.contains("EXTEND_TIMEOUT_USEC=120000000"), "{stopping}");
    assert!(served.ended().await.success());
}
