//! The real `bunraku serve` as a process of its own, and a client of its API.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use bunraku::api::accounts::{Accounts as _, NewToken, Role, TokenHash};
use bunraku::config::template;
use bunraku::store::{Options, Store};
use bunraku::tls;
use chrono::Utc;
use reqwest::RequestBuilder;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::service::Site;

pub(crate) const TOKEN: &str = "a-token-that-only-the-tests-know-0123456789";
/// Long enough on the busiest machine; what takes longer never happens.
const PATIENCE: Duration = Duration::from_secs(120);

/// A configured service, started or not. Its files are the site's, so it can be started again and again.
pub(crate) struct Served {
    pub(crate) client: Client,
    pub(crate) broker: u16,
    pub(crate) log: PathBuf,
    config: PathBuf,
    process: Option<Child>,
}

impl Served {
    /// Writes the configuration, with these keys besides what every site needs, and a token. Starts nothing.
    pub(crate) async fn prepare(site: &Site, keys: &[(&'static str, &str)]) -> Self {
        let (api, broker) = (free_port(), free_port());
        let show = |path: &Path| template::quote(&path.display().to_string());
        let ssl = &site.config.ssl;
        let mut values = vec![
            ("data_dir", show(&site.config.data_dir)),
            ("environments_dir", show(&site.config.environments_dir)),
            ("server.listen", format!("\"127.0.0.1:{api}\"")),
            ("broker.listen", format!("\"127.0.0.1:{broker}\"")),
            ("ssl.cert", show(&ssl.cert)),
            ("ssl.key", show(&ssl.key)),
            ("ssl.ca", show(&ssl.ca)),
            ("ssl.crl", show(ssl.crl.as_deref().unwrap())),
        ];
        values.extend(keys.iter().map(|(key, value)| (*key, (*value).to_owned())));
        let config = site.dir().join("bunraku.yaml");
        std::fs::write(&config, template::render(&values)).unwrap();
        std::fs::create_dir_all(&site.config.data_dir).unwrap();
        add_token(&site.config.data_dir).await;
        let client = Client::new(&ssl.ca, api, TOKEN);
        Self { client, broker, log: site.dir().join("serve.log"), config, process: None }
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// Starts the process; its log goes on in one file.
    pub(crate) fn start(&mut self) {
        self.start_with(|_| {});
    }

    /// As [`Served::start`], with something changed.
    pub(crate) fn start_with(&mut self, change: impl FnOnce(&mut Command)) {
        let log = File::options().append(true).create(true).open(&self.log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_bunraku"));
        command.args(["serve", "--config"]).arg(&self.config).stdin(Stdio::null()).stderr(log);
        change(&mut command);
        self.process = Some(command.spawn().unwrap());
    }

    /// As [`Served::start`], with disk and clock as `control` says (see `tests/faults`), now and whenever it changes.
    pub(crate) fn start_spoiled(&mut self, control: &Path) {
        // Cargo has built it beside this test.
        let library = std::env::current_exe().unwrap().with_file_name("libbunraku_faults.so");
        assert!(library.exists(), "{} is built with the tests", library.display());
        self.start_with(|command| {
            command.env("LD_PRELOAD", library).env("DISK_FAULTS", control);
        });
    }

    /// Waits until the API takes commands.
    pub(crate) async fn ready(&self) {
        self.client.until("/readyz", |_| true).await;
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // An error says that it has ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.process.as_ref().expect("it runs")), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("it runs");
        let waited = tokio::task::spawn_blocking(move || process.wait().unwrap());
        tokio::time::timeout(PATIENCE, waited).await.expect("the service never ends").unwrap()
    }

    /// Its number, while it runs.
    pub(crate) fn id(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn add_token(data_dir: &Path) {
    let store = Store::open(data_dir.join("bunraku.db"), Options::default()).unwrap();
    let token = NewToken {
        login: "ops".to_owned(),
        display_name: String::new(),
        role: Role::Admin.into(),
        description: String::new(),
        expires_at: None,
    };
    store.create_token(token, TokenHash::of(TOKEN), Utc::now()).await.unwrap();
    store.close().await;
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A client of the API.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    port: u16,
    token: String,
}

impl Client {
    fn new(ca: &Path, port: u16, token: &str) -> Self {
        let config = tls::anonymous_client_config(ca).unwrap();
        let http = reqwest::Client::builder().tls_backend_preconfigured(config).build().unwrap();
        Self { http, base: format!("https://localhost:{port}"), port, token: token.to_owned() }
    }

    /// The port of the API.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A request with the token.
    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        self.http.request(method, format!("{}{path}", self.base)).header("X-Authentication", &self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Result<Value> {
        self.request("GET", path).send().await?.error_for_status()?.json().await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> reqwest::Result<Value> {
        self.request("POST", path).json(body).send().await?.error_for_status()?.json().await
    }

    /// Starts a job and returns its number.
    pub(crate) async fn deploy(&self, body: &Value) -> String {
        let answer = self.post("/orchestrator/v1/command/deploy", body).await.unwrap();
        answer["job"]["name"].as_str().unwrap().to_owned()
    }

    /// Waits for a condition that an answer fulfills; the service may be away meanwhile.
    pub(crate) async fn until(&self, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let waited = async {
            loop {
                match self.get(path).await {
                    Ok(answer) if holds(&answer) => return answer,
                    _ => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("{path} never fits"))
    }

    /// Waits for the end of a job.
    pub(crate) async fn over(&self, job: &str) -> Value {
        self.until(&format!("/orchestrator/v1/jobs/{job}"), |job| job["finished_timestamp"].is_string()).await
    }
}
