//! Sensitive parameters: a planted secret reaches its task, also over a restart, and is found nowhere else.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::process::Served;
use crate::support::service::{Site, names};

const SECRET: &str = "Pl4nted-Secret-QX7";
const TASK: &str = "/orchestrator/v1/command/task";
const METADATA: &str = r#"{"input_method": "both", "parameters": {
    "password": {"type": "String[8]", "sensitive": true}, "signs": {"type": "String"}}}"#;
/// Says that it runs, waits, and tells how long the secret is and whether both ways of input agree.
const SCRIPT: &str = r#"#!/bin/sh
touch "$PT_signs/started"
while [ ! -e "$PT_signs/go" ]; do sleep 0.05; done
grep -q "$PT_password" && echo "${#PT_password} characters"
"#;

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A service that tells all it can in its log, and an agent as a process on each of two nodes.
struct Lab {
    site: Site,
    served: Served,
    _agents: Vec<Running>,
}

impl Lab {
    async fn start() -> Self {
        let site = Site::new();
        let tasks = site.dir().join("modules/vault/tasks");
        fs::create_dir_all(&tasks).unwrap();
        fs::create_dir(site.dir().join("signs")).unwrap();
        fs::write(tasks.join("init.sh"), SCRIPT).unwrap();
        fs::write(tasks.join("init.json"), METADATA).unwrap();
        let modules = format!("[{}]", site.dir().join("modules").display());
        let keys = [("modulepath", modules.as_str()), ("log.level", "trace"), ("broker.settle_time", "1s")];
        let mut served = Served::prepare(&site, &keys).await;
        served.start();
        served.ready().await;
        let agents = names(2).iter().map(|name| agent(&site, &served, name)).collect();
        for name in names(2) {
            let path = format!("/orchestrator/v1/inventory/{name}");
            served.client.until(&path, |node| node["connected"] == true).await;
        }
        Self { site, served, _agents: agents }
    }

    fn signs(&self) -> std::path::PathBuf {
        self.site.dir().join("signs")
    }

    fn command(&self) -> Value {
        let params = json!({ "password": SECRET, "signs": self.signs() });
        json!({ "task": "vault", "params": params, "scope": { "nodes": names(2) }, "concurrency": 1 })
    }

    /// Starts the task, and waits until the first node is at it.
    async fn half_way(&self) {
        let request = self.served.client.request("POST", TASK).header("Idempotency-Key", "once");
        let answer = request.json(&self.command()).send().await.unwrap();
        assert_eq!(answer.status(), 202, "{}", answer.text().await.unwrap());
        let started = async {
            while !self.signs().join("started").exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), started).await.unwrap();
    }

    /// How many jobs have sealed parameters in the database.
    fn sealed(&self) -> u32 {
        let database = rusqlite::Connection::open(self.site.config.data_dir.join("bunraku.db")).unwrap();
        database.query_row("SELECT count(*) FROM job_secrets", [], |row| row.get(0)).unwrap()
    }
}

fn agent(site: &Site, served: &Served, name: &str) -> Running {
    let ssl = site.ca.issue(name);
    let home = site.dir().join(name);
    fs::create_dir(&home).unwrap();
    let text = format!(
        "broker_uris: ['wss://localhost:{}/pcp2/']\nprimary_uris: ['https://localhost:{}']\nssl:\n  cert: {}\n  key: {}\n  ca: {}\n  crl: {}\n\
         spool_dir: {home}/spool\ntask_cache_dir: {home}/tasks\nlog:\n  level: trace\n",
        served.broker,
        served.client.port(),
        ssl.cert.display(),
        ssl.key.display(),
        ssl.ca.display(),
        ssl.crl.unwrap().display(),
        home = home.display(),
    );
    let config = home.join("agent.yaml");
    fs::write(&config, text).unwrap();
    let log = File::create(home.join("agent.log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bunraku"));
    command.args(["agent", "--config"]).arg(config).stdin(Stdio::null()).stderr(log);
    Running(command.spawn().unwrap())
}

/// Every file below a directory that holds the secret.
fn leaks(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(leaks(&entry.path()));
        } else if fs::read(entry.path()).is_ok_and(|content| holds(&content)) {
            found.push(entry.path().display().to_string());
        }
    }
    found
}

fn holds(content: &[u8]) -> bool {
    content.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
}

/// The command lines of all processes that hold the secret.
fn shown_to_everybody() -> Vec<String> {
    let lines = fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    lines.filter(|line| holds(line)).map(|line| String::from_utf8_lossy(&line).into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_secret_is_found_nowhere_and_reaches_its_task_over_a_restart() {
    let mut lab = Lab::start().await;
    lab.half_way().await;
    assert_eq!(lab.sealed(), 1);
    assert_eq!(shown_to_everybody(), Vec::<String>::new());
    let copy = lab.site.dir().join("copy.db");
    let mut backup = Command::new(env!("CARGO_BIN_EXE_bunraku"));
    let copied = backup.arg("backup").arg(&copy).arg("--config").arg(lab.served.config()).status().unwrap();
    assert!(copied.success() && copy.exists());
    assert_eq!(leaks(lab.site.dir()), Vec::<String>::new());
    lab.served.kill();
    lab.served.start();
    lab.served.ready().await;
    fs::write(lab.signs().join("go"), "").unwrap();
    let job = lab.served.client.over("1").await;
    assert_eq!(job["node_states"], json!({ "finished": 2 }), "{job:#}");
    assert_eq!(job["options"]["sensitive"], json!(["password"]));
    assert_eq!(job["options"]["params"], json!({ "signs": lab.signs() }));
    let nodes = lab.served.client.get("/orchestrator/v1/jobs/1/nodes").await.unwrap();
    for node in nodes["items"].as_array().unwrap() {
        assert_eq!(node["result"]["_output"], format!("{} characters\n", SECRET.len()), "{node:#}");
    }
    assert_eq!(lab.sealed(), 0, "wiped with the end of the job");
    // The same command is known again, by a fingerprint that nobody can guess from.
    let request = lab.served.client.request("POST", TASK).header("Idempotency-Key", "once");
    let again: Value = request.json(&lab.command()).send().await.unwrap().json().await.unwrap();
    assert_eq!(again["job"]["name"], "1");
    for path in ["jobs", "jobs/1", "jobs/1/nodes", "jobs/1/events", "jobs/1/report"]
        .map(|path| format!("orchestrator/v1/{path}"))
    {
        let shown = lab.served.client.get(&format!("/{path}")).await.unwrap().to_string();
        assert!(!holds(shown.as_bytes()), "{path}: {shown}");
    }
    for path in ["/bunraku/v1/audit", "/bunraku/v1/events?start=1"] {
        let shown = lab.served.client.get(path).await.unwrap().to_string();
        assert!(!holds(shown.as_bytes()), "{path}: {shown}");
    }
    let retried = lab.served.client.request("POST", "/bunraku/v1/jobs/1/retry").json(&json!({ "which": "all" }));
    let refused: Value = retried.send().await.unwrap().json().await.unwrap();
    assert!(
        refused["msg"].as_str().unwrap().contains("sensitive parameters (password), which are not kept"),
        "{refused}"
    );
    let at = chrono::Utc::now() + chrono::TimeDelta::hours(1);
    let params = json!({ "password": { "value": SECRET }, "signs": { "value": "/" } });
    let scheduled = json!({
        "type": "task", "environment": "production", "schedule": { "start_time": at, "interval": null },
        "input": { "name": "vault", "parameters": params, "scope": { "nodes": names(1) } },
    });
    let request = lab.served.client.request("POST", "/orchestrator/v1/scheduled_jobs/environment_jobs");
    let refused: Value = request.json(&scheduled).send().await.unwrap().json().await.unwrap();
    assert!(refused["msg"].as_str().unwrap().contains("a schedule keeps no such values"), "{refused}");
    assert_eq!(leaks(lab.site.dir()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_4_a_job_whose_secrets_cannot_be_opened_is_ended_and_says_why() {
    let mut lab = Lab::start().await;
    lab.half_way().await;
    lab.served.kill();
    fs::write(lab.site.config.data_dir.join("secrets.key"), "0".repeat(64)).unwrap();
    lab.served.start();
    lab.served.ready().await;
    let job = lab.served.client.over("1").await;
    assert_eq!(job["state"], "failed", "{job:#}");
    let events = lab.served.client.get("/orchestrator/v1/jobs/1/events").await.unwrap();
    let last = events["items"].as_array().unwrap().last().unwrap()["message"].as_str().unwrap().to_owned();
    assert!(last.contains("sealed with another key than the one of secrets_file"), "{last}");
    assert_eq!(lab.sealed(), 0);
    fs::write(lab.signs().join("go"), "").unwrap();
}
