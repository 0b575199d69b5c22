//! What `/metrics` shows of the real process: every metric that operators are told of, with the truth in it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::support::fleet::{Behavior, Fleet};
use crate::support::process::Served;
use crate::support::service::{Site, names};

/// The names in the table of `docs/operations.md`.
fn documented() -> BTreeSet<String> {
    let text = include_str!("../../../docs/operations.md");
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("bunraku_")).map(str::to_owned).collect()
}

fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_of_jobs_and_nodes_while_they_run() {
    let site = Site::new();
    let mut served = Served::prepare(&site, &[("limits.concurrent_runs", "6")]).await;
    served.start();
    served.ready().await;
    let nodes = names(9);
    let behavior = Behavior { shortest: Duration::from_secs(2), spread: Duration::ZERO };
    let _fleet = Fleet::connect(&site.ca, ([127, 0, 0, 1], served.broker).into(), &nodes, behavior).await;
    let body = json!({"environment": "production", "scope": {"nodes": nodes}, "concurrency": 4});
    let job = served.client.deploy(&body).await;
    let path = format!("/orchestrator/v1/jobs/{job}");
    served.client.until(&path, |job| job["node_states"]["running"] == 4).await;
    let scrape = async || served.client.request("GET", "/metrics").send().await.unwrap().text().await.unwrap();
    let text = scrape().await;
    assert_eq!(value(&text, "bunraku_live_jobs{state=\"running\"}"), Some(1.0), "{text}");
    assert_eq!(value(&text, "bunraku_live_nodes{state=\"running\"}"), Some(4.0));
    assert_eq!(value(&text, "bunraku_live_nodes{state=\"ready\"}"), Some(5.0));
    assert_eq!(value(&text, "bunraku_slots_used{limit=\"concurrent_runs\"}"), Some(4.0));
    assert_eq!(value(&text, "bunraku_slots_limit{limit=\"concurrent_runs\"}"), Some(6.0));
    assert_eq!(value(&text, "bunraku_sessions"), Some(9.0));
    assert!(std::path::Path::new(&format!("/proc/{}", served.id())).exists(), "the process itself answers");
    served.client.over(&job).await;
    let text = scrape().await;
    assert_eq!(value(&text, "bunraku_live_nodes{state=\"running\"}"), Some(0.0));
    assert_eq!(value(&text, "bunraku_slots_used{limit=\"concurrent_runs\"}"), Some(0.0));

    let shown: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect();
    let undocumented: Vec<_> = shown.difference(&documented()).cloned().collect();
    assert_eq!(undocumented, Vec::<String>::new(), "operators are told of every metric");
}
