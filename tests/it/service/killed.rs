//! `kill -9` of the real process in the middle of a job, with agents that stay up.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bunraku::api::accounts::{Accounts as _, NewToken, Role, TokenHash};
use bunraku::config::template;
use bunraku::store::{Options, Store};
use bunraku::tls;
use chrono::Utc;
use serde_json::{Value, json};

use crate::support::fleet::{Behavior, Fleet};
use crate::support::service::{Site, names};

const NODES: usize = 30;
const TOKEN: &str = "a-token-that-only-this-test-knows-0123456789";

/// The real process; killed at once when dropped.
struct Process(Child);

impl Process {
    fn serve(config: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bunraku"));
        command.args(["serve", "--config"]).arg(config).stdin(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL on Unix; an error says that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    async fn get(&self, path: &str) -> reqwest::Result<Value> {
        let request = self.http.get(format!("{}{path}", self.base)).header("X-Authentication", TOKEN);
        request.send().await?.error_for_status()?.json().await
    }

    async fn post(&self, path: &str, body: &Value) -> reqwest::Result<Value> {
        let request = self.http.post(format!("{}{path}", self.base)).header("X-Authentication", TOKEN).json(body);
        request.send().await?.error_for_status()?.json().await
    }

    /// Waits for a condition that an answer fulfills; the service may be away meanwhile.
    async fn until(&self, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let waited = async {
            loop {
                match self.get(path).await {
                    Ok(answer) if holds(&answer) => return answer,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(120), waited).await.unwrap_or_else(|_| panic!("{path} never fits"))
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Writes the configuration and a token; returns the file and the two ports.
async fn prepare(site: &Site) -> (PathBuf, u16, u16) {
    let (api, broker) = (free_port(), free_port());
    let show = |path: &Path| template::quote(&path.display().to_string());
    let ssl = &site.config.ssl;
    let values = [
        ("data_dir", show(&site.config.data_dir)),
        ("environments_dir", show(&site.config.environments_dir)),
        ("server.listen", format!("\"127.0.0.1:{api}\"")),
        ("broker.listen", format!("\"127.0.0.1:{broker}\"")),
        ("ssl.cert", show(&ssl.cert)),
        ("ssl.key", show(&ssl.key)),
        ("ssl.ca", show(&ssl.ca)),
        ("ssl.crl", show(ssl.crl.as_deref().unwrap())),
    ];
    let file = site.dir().join("bunraku.yaml");
    std::fs::write(&file, template::render(&values)).unwrap();
    std::fs::create_dir_all(&site.config.data_dir).unwrap();
    let store = Store::open(site.config.data_dir.join("bunraku.db"), Options::default()).unwrap();
    let token = NewToken {
        login: "ops".to_owned(),
        display_name: String::new(),
        role: Role::Operator,
        description: String::new(),
        expires_at: None,
    };
    store.create_token(token, TokenHash::of(TOKEN), Utc::now()).await.unwrap();
    store.close().await;
    (file, api, broker)
}

#[tokio::test(flavor = "multi_thread")]
async fn promises_1_2_and_3_hold_when_the_service_is_killed_in_mid_job() {
    let site = Site::new();
    let (config, api, broker) = prepare(&site).await;
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured(tls::anonymous_client_config(&site.config.ssl.ca).unwrap())
        .build()
        .unwrap();
    let client = Client { http, base: format!("https://localhost:{api}") };
    let process = Process::serve(&config);
    client.until("/orchestrator/v1/jobs", |_| true).await;

    let nodes = names(NODES);
    let behavior = Behavior { shortest: Duration::from_millis(300), spread: Duration::from_millis(400) };
    let fleet = Fleet::connect(&site.ca, ([127, 0, 0, 1], broker).into(), &nodes, behavior).await;
    let body = json!({"environment": "production", "scope": {"nodes": nodes}, "concurrency": 8});
    let accepted = client.post("/orchestrator/v1/command/deploy", &body).await.unwrap();
    assert_eq!(accepted["job"]["name"], "1");
    let job = "/orchestrator/v1/jobs/1";
    client.until(job, |job| job["node_states"]["finished"].as_u64() >= Some(4)).await;
    drop(process);

    let _process = Process::serve(&config);
    let ended = client.until(job, |job| job["finished_timestamp"].is_string()).await;
    assert_eq!(ended["state"], "finished", "{ended:#}");
    assert_eq!(ended["node_states"], json!({"finished": NODES}));
    let starts = fleet.ledger.starts();
    assert_eq!(starts.len(), NODES, "every node ran");
    assert!(starts.iter().all(|(_, _, times)| *times == 1), "no node ran twice");
    assert!(fleet.ledger.most_running() <= 8, "never more than the limit, not across the crash");
}
