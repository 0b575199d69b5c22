//! `bunraku swarm` against the real process: the report adds up, and what the profile says happens.

use serde_json::{Value, json};

use crate::support::process::{Served, TOKEN};
use crate::support::service::Site;

async fn served() -> (Site, Served) {
    let site = Site::new();
    let mut served = Served::prepare(&site, &[]).await;
    served.start();
    served.ready().await;
    (site, served)
}

/// Runs a swarm to its end; its report.
async fn swarm(site: &Site, served: &Served, arguments: &[&str]) -> Value {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_bunraku"));
    command.args(["swarm", "--format", "json", "--broker", &format!("localhost:{}", served.broker), "--dir"]);
    command.arg(site.ca.site()).args(arguments).env("BUNRAKU_TOKEN", TOKEN).env("BUNRAKU_CA", &site.config.ssl.ca);
    let ended =
        command.env("BUNRAKU_URL", format!("https://localhost:{}", served.client.port())).output().await.unwrap();
    assert!(ended.status.success(), "{ended:?}");
    serde_json::from_slice(&ended.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swarm_runs_its_jobs_and_its_report_adds_up() {
    let (site, served) = served().await;
    let pid = served.id().to_string();
    let report = swarm(&site, &served, &["--nodes", "40", "--jobs", "2", "--server-pid", &pid]).await;
    assert_eq!(report["handshakes"]["count"], 40);
    let jobs = report["jobs"].as_array().unwrap();
    assert_eq!(jobs.iter().map(|job| job["job"].as_str().unwrap()).collect::<Vec<_>>(), ["1", "2"]);
    for job in jobs {
        assert_eq!((&job["state"], &job["node_states"]), (&json!("finished"), &json!({"finished": 40})));
        let time = |key: &str| job[key].as_f64().unwrap();
        assert!(time("accepted_ms") > 0.0 && time("first_request_ms") > 0.0 && time("server_cpu_ms_per_run") >= 0.0);
    }
    let expected = json!({"connected": 40, "sessions_lost": 0, "connects_failed": 0, "runs_started": 80,
        "runs_ended": 80, "requests_repeated": 0});
    assert_eq!(report["agents"], expected);
    assert!(report["server"]["memory_bytes"].as_u64() > Some(0));
    let shown = served.client.get("/orchestrator/v1/jobs/1").await.unwrap();
    assert_eq!(shown["node_count"], 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_what_happens() {
    let (site, served) = served().await;
    let profile = ["--nodes", "10", "--jobs", "1", "--failing", "100", "--output", "70000", "--run-time", "1ms..20ms"];
    let report = swarm(&site, &served, &profile).await;
    assert_eq!(report["jobs"][0]["node_states"], json!({"failed": 10}));
    let nodes = served.client.get("/orchestrator/v1/jobs/1/report").await.unwrap();
    let message = nodes["report"][0]["events"][0]["message"].as_str().unwrap();
    assert_eq!(message.len(), 70_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swarm_of_pxp_agents_whose_sessions_are_cut_comes_to_its_end() {
    let (site, served) = served().await;
    let profile =
        ["--nodes", "20", "--jobs", "2", "--pxp", "--dropping", "100", "--run-time", "0s..2s", "--prefix", "cut"];
    let report = swarm(&site, &served, &profile).await;
    for job in report["jobs"].as_array().unwrap() {
        assert_eq!(job["state"], "finished", "{report:#}");
    }
    assert_eq!(report["agents"]["runs_started"], 40, "nothing ran twice: {report:#}");
}
