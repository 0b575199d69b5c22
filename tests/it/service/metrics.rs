//! What `/metrics` shows of the real process: what is true while nodes run, and every name with its help.

use std::collections::BTreeSet;
use std::time::Duration;

use bunraku::telemetry::catalog::METRICS;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::support::fleet::{Behavior, Fleet};
use crate::support::process::{Client, Served};
use crate::support::service::{Site, names};

fn value(page: &str, series: &str) -> Option<f64> {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

async fn scrape(client: &Client) -> String {
    client.request("GET", "/metrics").send().await.unwrap().text().await.unwrap()
}

/// Waits until all these series have these values.
async fn shows(client: &Client, expected: &[(&str, f64)]) -> String {
    let waited = async {
        loop {
            let page = scrape(client).await;
            if expected.iter().all(|(series, wanted)| value(&page, series) == Some(*wanted)) {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(60), waited).await {
        Ok(page) => page,
        Err(_) => panic!("{expected:?} is never shown in\n{}", scrape(client).await),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_of_jobs_and_nodes_while_they_run() {
    let site = Site::new();
    let mut served = Served::prepare(&site, &[("limits.concurrent_runs", "2")]).await;
    served.start();
    served.ready().await;
    let client = &served.client;
    shows(client, &[("bunraku_live_jobs{state=\"running\"}", 0.0), ("bunraku_sessions", 0.0)]).await;

    let address = ([127, 0, 0, 1], served.broker).into();
    let nodes = names(4);
    let (quick, slow) = nodes.split_at(1);
    let lasting = |shortest| Behavior { shortest, spread: Duration::ZERO };
    let _quick = Fleet::connect(&site.ca, address, quick, lasting(Duration::ZERO)).await;
    let _slow = Fleet::connect(&site.ca, address, slow, lasting(Duration::from_secs(3_600))).await;
    // No client of this broker, but a connection that counts.
    tokio::net::TcpStream::connect(address).await.unwrap().write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();

    let to = |nodes| json!({"environment": "production", "scope": {"nodes": nodes}});
    let job = client.deploy(&to(quick)).await;
    client.over(&job).await;
    client.deploy(&to(slow)).await;
    let page = shows(
        client,
        &[
            ("bunraku_live_jobs{state=\"running\"}", 1.0),
            ("bunraku_live_jobs{state=\"new\"}", 0.0),
            ("bunraku_live_nodes{state=\"running\"}", 2.0),
            ("bunraku_live_nodes{state=\"ready\"}", 1.0),
            ("bunraku_live_nodes{state=\"finished\"}", 0.0),
            ("bunraku_slots_used{limit=\"concurrent_runs\"}", 2.0),
            ("bunraku_slots_limit{limit=\"concurrent_runs\"}", 2.0),
            ("bunraku_slots_limit{limit=\"concurrent_compiles\"}", 8.0),
            ("bunraku_jobs_total{state=\"finished\"}", 1.0),
            ("bunraku_jobs_total{state=\"failed\"}", 0.0),
            ("bunraku_node_runs_total{state=\"finished\"}", 1.0),
            ("bunraku_node_starts_total", 3.0),
            ("bunraku_sessions", 4.0),
            ("bunraku_sessions_refused_total{reason=\"tls\"}", 1.0),
            ("bunraku_session_queue_frames", 0.0),
            ("bunraku_inflight_bytes", 0.0),
            ("bunraku_inflight_waiting", 0.0),
            ("bunraku_store_queue_depth", 0.0),
            ("bunraku_store_trouble", 0.0),
            ("bunraku_commands_in_progress", 0.0),
            ("bunraku_commands_limit", 256.0),
            ("bunraku_holds", 0.0),
            ("bunraku_certificate_expiry_timestamp_seconds{file=\"crl\"}", 4_102_444_800.0),
        ],
    )
    .await;
    assert!(value(&page, "bunraku_store_commit_seconds_count").unwrap() >= 3.0);
    assert!(value(&page, "bunraku_store_batch_rows_sum").unwrap() >= 8.0);
    let requests = "bunraku_http_request_seconds_count{route=\"/orchestrator/v1/jobs/{id}\"}";
    assert!(value(&page, requests).unwrap() >= 1.0, "{page}");

    let told: BTreeSet<_> = page.lines().filter(|line| line.starts_with("# ")).collect();
    let shown: BTreeSet<_> = told.iter().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let listed: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(shown, listed, "every metric is there from the beginning, and none that is not listed");
    insta::assert_snapshot!("metrics", told.into_iter().collect::<Vec<_>>().join("\n"));
}
