//! Every fault of the disk in the middle of a job: no new work and the reason, reads go on, what is known is kept; and when
//! the disk is well again the job ends as if nothing had been, whether or not the process was killed meanwhile.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::fleet::{Behavior, Fleet};
use crate::support::process::Served;
use crate::support::service::{Site, names};

const NODES: usize = 24;
const JOB: &str = "/orchestrator/v1/jobs/1";

/// A service whose disk can be spoiled, with a job in the middle of its nodes.
struct Spoiled {
    served: Served,
    fleet: Fleet,
    control: PathBuf,
    _site: Site,
}

impl Spoiled {
    async fn in_mid_job() -> Self {
        let site = Site::new();
        let control = site.dir().join("faults");
        let mut served = Served::prepare(&site, &[("broker.settle_time", "\"1s\"")]).await;
        served.start_spoiled(&control);
        served.ready().await;
        let nodes = names(NODES);
        let behavior = Behavior { shortest: Duration::from_millis(100), spread: Duration::from_millis(200) };
        let fleet = Fleet::connect(&site.ca, ([127, 0, 0, 1], served.broker).into(), &nodes, behavior).await;
        let body = json!({"environment": "production", "scope": {"nodes": nodes}, "concurrency": 4});
        assert_eq!(served.client.deploy(&body).await, "1");
        served.client.until(JOB, |job| job["node_states"]["finished"].as_u64() >= Some(2)).await;
        Self { served, fleet, control, _site: site }
    }

    fn spoil(&self, faults: &str) {
        std::fs::write(&self.control, faults).unwrap();
    }

    async fn status_of_a_deploy(&self) -> (StatusCode, Value) {
        let body = json!({"environment": "production", "scope": {"nodes": ["never.example.com"]}});
        let request = self.served.client.request("POST", "/orchestrator/v1/command/deploy").json(&body);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    /// New work is refused with the reason, reads are answered.
    async fn is_unready(&self, reason: &str) {
        let (status, error) = loop {
            // Until the first write met the fault nobody can know of it.
            let (status, answer) = self.status_of_a_deploy().await;
            if status != StatusCode::ACCEPTED {
                break (status, answer);
            }
        };
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{error}");
        assert!(error["msg"].as_str().unwrap().contains(reason), "{error}");
        let ready = self.served.client.request("GET", "/readyz").send().await.unwrap();
        assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(ready.text().await.unwrap().contains(reason), "the reason is told");
        let job = self.served.client.get(JOB).await.unwrap();
        assert_eq!(job["state"], "running", "{job:#}");
    }

    /// The disk is well: everything comes to its end, and nothing was lost or done twice.
    async fn ends_well(&self) {
        self.spoil("");
        self.served.ready().await;
        let ended = self.served.client.over("1").await;
        assert_eq!(ended["node_states"], json!({"finished": NODES}), "{ended:#}");
        let starts = self.fleet.ledger.starts();
        assert_eq!(starts.len(), NODES);
        assert!(starts.iter().all(|(_, _, times)| *times == 1), "no node ran twice");
        assert!(self.fleet.ledger.most_running() <= 4, "a slot is taken until the end is stored");
        let events = self.served.client.get(&format!("{JOB}/events")).await.unwrap();
        let ids: Vec<u64> = events["items"].as_array().unwrap().iter().map(id_of).collect();
        assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
        assert_eq!(ids.len(), 2 * NODES + 1);
        let (status, _) = self.status_of_a_deploy().await;
        assert_eq!(status, StatusCode::ACCEPTED);
    }
}

fn id_of(event: &Value) -> u64 {
    event["id"].as_str().unwrap().parse().unwrap()
}

async fn survives(fault: &str, reason: &str) {
    let spoiled = Spoiled::in_mid_job().await;
    spoiled.spoil(fault);
    spoiled.is_unready(reason).await;
    spoiled.ends_well().await;
}

async fn survives_with_a_kill(fault: &str, reason: &str) {
    let mut spoiled = Spoiled::in_mid_job().await;
    spoiled.spoil(fault);
    spoiled.is_unready(reason).await;
    spoiled.served.kill();
    spoiled.spoil("");
    spoiled.served.start_spoiled(&spoiled.control);
    spoiled.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing() {
    survives("write ENOSPC\n", "the disk is full").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_in_the_middle_of_a_write_loses_nothing() {
    survives("write short\n", "the disk is full").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_error_loses_nothing() {
    survives("write EIO\n", "check the disk").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_is_never_taken_for_a_good_one() {
    survives("sync EIO\n", "check the disk").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_became_read_only_loses_nothing() {
    survives("write EROFS\nsync EROFS\n", "the disk").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_and_a_killed_process_lose_nothing() {
    survives_with_a_kill("write ENOSPC\n", "the disk is full").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_and_a_killed_process_lose_nothing() {
    survives_with_a_kill("sync EIO\n", "check the disk").await;
}
