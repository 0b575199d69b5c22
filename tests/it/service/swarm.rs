//! `bunraku swarm` against the real process: the report adds up, and what the profile says happens.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::support::process::{Served, TOKEN};
use crate::support::service::Site;

async fn served() -> (Site, Served) {
    let site = Site::new();
    let mut served = Served::prepare(&site, &[]).await;
    served.start();
    served.ready().await;
    (site, served)
}

fn command(site: &Site, served: &Served, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bunraku"));
    command.args(["swarm", "--format", "json", "--broker", &format!("localhost:{}", served.broker), "--dir"]);
    command.arg(site.ca.site()).args(arguments).env("BUNRAKU_TOKEN", TOKEN).env("BUNRAKU_CA", &site.config.ssl.ca);
    command.env("BUNRAKU_URL", format!("https://localhost:{}", served.client.port())).kill_on_drop(true);
    command
}

/// Runs a swarm to its end; its report.
async fn swarm(site: &Site, served: &Served, arguments: &[&str]) -> Value {
    let ended = command(site, served, arguments).output().await.unwrap();
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
    let mut agents = report["agents"].clone();
    let most = agents.as_object_mut().unwrap().remove("most_runs_at_once").unwrap();
    assert!((1..=40).contains(&most.as_u64().unwrap()), "{most}");
    assert_eq!(agents, expected);
    assert_eq!(report["reconnects"]["count"], 0);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_swarm_comes_back_after_a_crash_of_the_server_and_says_so_when_asked() {
    let (site, mut served) = served().await;
    let path = "/orchestrator/v1/inventory";
    let all = |inventory: &Value| inventory["items"].as_array().unwrap().len() == 20;
    let mut process = command(&site, &served, &["--nodes", "20"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut reports = BufReader::new(process.stdout.take().unwrap()).lines();
    let pid = Pid::from_raw(process.id().unwrap().cast_signed()).unwrap();
    served.client.until(path, all).await;
    let names: Vec<String> = (0..20).map(|number| format!("node{number:05}.swarm")).collect();
    let job = served.client.deploy(&json!({"environment": "", "scope": {"nodes": names}, "concurrency": 7})).await;
    served.client.over(&job).await;

    kill_process(pid, Signal::USR1).unwrap();
    let report: Value = serde_json::from_str(&reports.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!((&report["agents"]["runs_ended"], &report["reconnects"]["count"]), (&json!(20), &json!(0)));
    assert!((1..=7).contains(&report["agents"]["most_runs_at_once"].as_u64().unwrap()), "{report}");

    served.kill();
    served.start();
    served.client.until(path, all).await;
    kill_process(pid, Signal::INT).unwrap();
    let report: Value = serde_json::from_str(&reports.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!((&report["agents"]["sessions_lost"], &report["reconnects"]["count"]), (&json!(20), &json!(20)));
    assert_eq!(report["agents"]["most_runs_at_once"], 0, "counted anew since the report before");
    assert!(process.wait().await.unwrap().success());
}
