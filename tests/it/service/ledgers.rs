//! The check of the ledgers, with real agents of ours: what they have written down agrees with the store, and every
//! tampering with either is found.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bunraku::agent::{self, AgentConfig};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::fleet::{Behavior, Fleet};
use crate::support::process::Served;
use crate::support::service::{Site, names};

const VERIFY: &str = "/bunraku/v1/ledger/verify";

/// A service with a task, and an agent of ours on each of two nodes.
struct Lab {
    site: Site,
    served: Served,
    agents: Vec<(String, PathBuf, JoinHandle<anyhow::Result<()>>)>,
}

impl Lab {
    async fn new() -> Self {
        let site = Site::new();
        let tasks = site.dir().join("modules/lab/tasks");
        fs::create_dir_all(&tasks).unwrap();
        fs::write(tasks.join("init.sh"), "#!/bin/sh\necho done\n").unwrap();
        let mut served =
            Served::prepare(&site, &[("modulepath", &format!("[{}]", tasks.ancestors().nth(2).unwrap().display()))])
                .await;
        served.start();
        served.ready().await;
        let mut agents = Vec::new();
        for name in names(2) {
            let paths = site.ca.issue(&name);
            let mut config = AgentConfig {
                broker_uris: vec![format!("wss://localhost:{}/pcp2/", served.broker)],
                primary_uris: vec![format!("https://localhost:{}", served.client.port())],
                spool_dir: site.dir().join(&name).join("spool"),
                task_cache_dir: site.dir().join(&name).join("cache"),
                exec_run_command: [env!("CARGO_BIN_EXE_bunraku"), "agent", "exec-run"].map(str::to_owned).to_vec(),
                ..AgentConfig::default()
            };
            (config.ssl.cert, config.ssl.key, config.ssl.ca, config.ssl.crl) =
                (paths.cert, paths.key, paths.ca, paths.crl);
            let ledger = config.spool_dir.join("ledger");
            agents.push((name, ledger, tokio::spawn(agent::serve(config))));
        }
        let lab = Self { site, served, agents };
        for (name, _, _) in &lab.agents {
            let path = format!("/orchestrator/v1/inventory/{name}");
            lab.served.client.until(&path, |node| node["connected"] == true).await;
        }
        lab
    }

    /// Runs the task on both nodes.
    async fn run(&self) -> String {
        let nodes: Vec<&String> = self.agents.iter().map(|(name, _, _)| name).collect();
        let body = json!({"environment": "production", "task": "lab", "params": {}, "scope": {"nodes": nodes}});
        let answer = self.served.client.post("/orchestrator/v1/command/task", &body).await.unwrap();
        let job = answer["job"]["name"].as_str().unwrap().to_owned();
        let over = self.served.client.over(&job).await;
        assert_eq!(over["node_states"], json!({"finished": 2}), "{over:#}");
        job
    }

    async fn verify(&self, scope: &Value) -> Value {
        self.served.client.post(VERIFY, scope).await.unwrap()
    }

    fn ledger(&self, node: usize) -> String {
        fs::read_to_string(&self.agents[node].1).unwrap()
    }

    fn write_ledger(&self, node: usize, text: &str) {
        fs::write(&self.agents[node].1, text).unwrap();
    }
}

fn verdicts(report: &Value) -> [u64; 4] {
    ["agree", "lost", "twice", "unknown"].map(|key| report[key].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_2_store_and_ledgers_agree_and_every_difference_is_found() {
    let lab = Lab::new().await;
    lab.run().await;
    let second = lab.run().await;
    let report = lab.verify(&json!({})).await;
    assert_eq!(verdicts(&report), [4, 0, 0, 0], "{report:#}");
    assert_eq!((&report["jobs"], &report["runs"], &report["ledgers"]), (&json!(2), &json!(4), &json!(2)));
    assert_eq!(verdicts(&lab.verify(&json!({ "job": second })).await), [2, 0, 0, 0]);

    let whole = lab.ledger(0);
    let (first_line, _) = whole.split_once('\n').unwrap();
    lab.write_ledger(0, &format!("{whole}{first_line}\n"));
    let report = lab.verify(&json!({})).await;
    assert_eq!(verdicts(&report), [3, 0, 1, 0], "{report:#}");
    let finding = &report["findings"][0];
    assert_eq!(
        (&finding["verdict"], &finding["times"], &finding["node"]),
        (&json!("twice"), &json!(2), &json!(lab.agents[0].0))
    );

    lab.write_ledger(0, &format!("{first_line}\n"));
    let report = lab.verify(&json!({})).await;
    assert_eq!(verdicts(&report), [3, 1, 0, 0], "{report:#}");
    assert_eq!(report["findings"][0]["job"], json!(second));
    lab.write_ledger(0, &whole);

    lab.agents[1].2.abort();
    let path = format!("/orchestrator/v1/inventory/{}", lab.agents[1].0);
    lab.served.client.until(&path, |node| node["connected"] == false).await;
    let report = lab.verify(&json!({})).await;
    assert_eq!(verdicts(&report), [2, 0, 0, 0]);
    assert_eq!(report["not_asked"], json!({"not_connected": 1, "no_ledger": 0, "no_answer": 0}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_the_store_does_not_know_is_found() {
    let mut lab = Lab::new().await;
    let job = lab.run().await;
    lab.served.kill();
    // As after a restore without the jump of numbers: the start is gone from the store, and is in the ledger.
    let file = rusqlite::Connection::open(lab.site.config.data_dir.join("bunraku.db")).unwrap();
    file.execute("UPDATE job_nodes SET state = 'skipped', attempt = NULL WHERE node = 0", []).unwrap();
    drop(file);
    lab.served.start();
    lab.served.ready().await;
    for (name, _, _) in &lab.agents {
        lab.served.client.until(&format!("/orchestrator/v1/inventory/{name}"), |node| node["connected"] == true).await;
    }
    let report = lab.verify(&json!({ "job": job })).await;
    assert_eq!(verdicts(&report), [1, 0, 0, 1], "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_jobs_that_the_store_does_not_have_are_found_unless_they_are_too_old() {
    let lab = Lab::new().await;
    let line = |hours: i64, job: &str| {
        let time = (chrono::Utc::now() - chrono::TimeDelta::hours(hours)).to_rfc3339();
        let id = uuid::Uuid::new_v4();
        format!("{{\"time\": \"{time}\", \"transaction_id\": \"{id}\", \"module\": \"task\", \"job\": \"{job}\"}}\n")
    };
    let (recent, old) = (line(2, "99"), line(24 * 40, "98"));
    // There is no job at all in the store, and the agents are asked all the same.
    lab.write_ledger(0, &format!("{recent}{old}{{\"time\": \n"));
    let report = lab.verify(&json!({})).await;
    assert_eq!(verdicts(&report), [0, 0, 0, 1], "{report:#}");
    assert_eq!(report["findings"][0]["job"], "99");
    assert_eq!([&report["older"], &report["unreadable"], &report["ledgers"]], [1, 1, 2]);
    let since = (chrono::Utc::now() - chrono::TimeDelta::hours(1)).to_rfc3339();
    assert_eq!(verdicts(&lab.verify(&json!({ "since": since })).await), [0, 0, 0, 0]);
    // A job of before that time is in the store, and no stranger.
    lab.run().await;
    let since = chrono::Utc::now().to_rfc3339();
    let whole = lab.ledger(1);
    let run = whole.lines().next().unwrap().replace("\"time\":\"20", "\"time\":\"21");
    lab.write_ledger(1, &format!("{run}\n"));
    let report = lab.verify(&json!({ "since": since })).await;
    assert_eq!((&report["jobs"], verdicts(&report)), (&json!(0), [1, 0, 0, 0]), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_without_a_ledger_are_said_to_have_none() {
    let site = Site::new();
    let mut served = Served::prepare(&site, &[]).await;
    served.start();
    served.ready().await;
    let nodes = names(1);
    let behavior = Behavior { shortest: Duration::from_millis(5), spread: Duration::ZERO };
    let _fleet = Fleet::connect(&site.ca, ([127, 0, 0, 1], served.broker).into(), &nodes, behavior).await;
    let job = served.client.deploy(&json!({"environment": "production", "scope": {"nodes": nodes}})).await;
    served.client.over(&job).await;
    let report = served.client.post(VERIFY, &json!({})).await.unwrap();
    assert_eq!(report["not_asked"], json!({"not_connected": 0, "no_ledger": 1, "no_answer": 0}));
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_start_during_a_check_are_no_findings() {
    let lab = Lab::new().await;
    let jobs = async {
        for _ in 0..6 {
            lab.run().await;
        }
    };
    let checks = async {
        let mut most = 0;
        loop {
            let report = lab.verify(&json!({})).await;
            assert_eq!(verdicts(&report)[1..], [0, 0, 0], "{report:#}");
            most = most.max(report["runs"].as_u64().unwrap());
            if most >= 10 {
                return;
            }
        }
    };
    tokio::join!(jobs, checks);
}
