//! The real binary as processes: a service with the lab's certificates, and agents that run the lab's nodes.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::api::Api;
use crate::lab::Lab;

/// Longer than a start takes on a machine under load.
const START: Duration = Duration::from_secs(60);

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A service on ports of its own, and its agents.
pub(crate) struct Service {
    root: TempDir,
    agents: Vec<Running>,
    _server: Running,
    api: String,
    broker: String,
}

impl Service {
    /// Makes a directory with `bunraku init`, writes this environment `production`, and starts `bunraku serve`.
    pub(crate) fn start(lab: &Lab, production: &str) -> Self {
        Self::start_with(lab, Some(production), &[])
    }

    /// As [`Service::start`], with these variables of the configuration; without an environment of its own where none is
    /// given.
    pub(crate) fn start_with(lab: &Lab, production: Option<&str>, variables: &[(&str, String)]) -> Self {
        let root = TempDir::new().unwrap();
        let directory = root.path().join("service");
        let init = bunraku()
            .args(["init", "--name", "localhost", "--ssldir"])
            .arg(lab.orchestrator_ssl())
            .arg(&directory)
            .output()
            .unwrap();
        assert!(init.status.success(), "init: {}", String::from_utf8_lossy(&init.stderr));
        let environment = directory.join("environments/production.yaml");
        match production {
            Some(text) => fs::write(environment, text).unwrap(),
            None => fs::remove_file(environment).unwrap(),
        }
        let mut server = bunraku()
            .arg("serve")
            .arg("--config")
            .arg(directory.join("bunraku.yaml"))
            .env("BUNRAKU_SERVER__LISTEN", "127.0.0.1:0")
            .env("BUNRAKU_BROKER__LISTEN", "127.0.0.1:0")
            .env("BUNRAKU_BROKER__SETTLE_TIME", "1s")
            .env("BUNRAKU_LOG__FORMAT", "json")
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = server.stderr.take().unwrap();
        let server = Running(server);
        let ready = wait_ready(log);
        let address = |key: &str| ready[key].as_str().unwrap().rsplit_once(':').unwrap().1.to_owned();
        Self { agents: Vec::new(), _server: server, api: address("api"), broker: address("broker"), root }
    }

    /// A client with the admin token that `init` wrote.
    pub(crate) fn api(&self) -> Api {
        self.api_at(self.api.parse().unwrap())
    }

    /// As [`Service::api`], by another port of this machine.
    pub(crate) fn api_at(&self, port: u16) -> Api {
        let directory = self.directory();
        let token = fs::read_to_string(directory.join("token")).unwrap();
        Api::new(&format!("https://localhost:{port}"), token.trim(), &directory.join("ssl/ca.pem"))
    }

    /// What `bunraku doctor` finds, under these variables.
    pub(crate) fn doctor(&self, variables: &[(&str, String)]) -> Vec<Value> {
        let config = self.root.path().join("service/bunraku.yaml");
        let mut command = bunraku();
        command.args(["doctor", "--format", "json", "--config"]).arg(config);
        command.env("BUNRAKU_SERVER__LISTEN", format!("127.0.0.1:{}", self.api));
        let answer = command.envs(variables.iter().map(|(name, value)| (name, value))).stdout(Stdio::piped()).output();
        let text = String::from_utf8(answer.unwrap().stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The directory that `init` has made.
    pub(crate) fn directory(&self) -> PathBuf {
        self.root.path().join("service")
    }

    /// The port of the API.
    pub(crate) fn port(&self) -> &str {
        &self.api
    }

    /// The port of the broker.
    pub(crate) fn broker_port(&self) -> &str {
        &self.broker
    }

    /// Writes a file of the service's directory.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join("service").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Forgets what agents said of resources, as if they had said nothing.
    pub(crate) fn forget_events(&self) {
        let database = rusqlite::Connection::open(self.root.path().join("service/data/bunraku.db")).unwrap();
        let forgotten = database.execute("UPDATE results SET resource_events = NULL", []).unwrap();
        assert!(forgotten > 0, "there was something to forget");
    }

    /// Starts agents and waits until the service knows them as connected.
    pub(crate) async fn connect(&mut self, lab: &Lab, certnames: &[&str]) {
        self.connect_with(lab, certnames, "").await;
    }

    /// As [`Service::connect`], by another port of this machine.
    pub(crate) async fn connect_by(&mut self, lab: &Lab, certnames: &[&str], port: &str) {
        let broker = std::mem::replace(&mut self.broker, port.to_owned());
        self.connect(lab, certnames).await;
        self.broker = broker;
    }

    /// As [`Service::connect`], with more keys of the section `puppet`.
    pub(crate) async fn connect_with(&mut self, lab: &Lab, certnames: &[&str], puppet: &str) {
        for certname in certnames {
            let config = self.write_agent_config(lab, certname, puppet);
            let log = fs::File::create(self.root.path().join(format!("{certname}.log"))).unwrap();
            let agent = bunraku().arg("agent").arg("--config").arg(config).stderr(log).spawn().unwrap();
            self.agents.push(Running(agent));
        }
        self.api().connected(certnames).await;
    }

    fn write_agent_config(&self, lab: &Lab, certname: &str, puppet: &str) -> PathBuf {
        let confdir = lab.confdir(certname);
        let home = self.root.path().join(certname);
        let text = format!(
            "broker_uris: ['wss://localhost:{broker}/pcp2/']\nprimary_uris: ['https://localhost:{api}']\n\
             ssl:\n  cert: {ssl}/certs/{certname}.pem\n  key: {ssl}/private_keys/{certname}.pem\n\
             \x20 ca: {ssl}/certs/ca.pem\n  crl: {ssl}/crl.pem\n\
             spool_dir: {home}/spool\ntask_cache_dir: {home}/tasks\n\
             puppet:\n  confdir: {confdir}\n{puppet}",
            broker = self.broker,
            api = self.api,
            ssl = confdir.join("ssl").display(),
            home = home.display(),
            confdir = confdir.display(),
        );
        let path = self.root.path().join(format!("{certname}.yaml"));
        fs::write(&path, text).unwrap();
        path
    }
}

/// The binary under test, without the settings of whoever runs the tests.
fn bunraku() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bunraku"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BUNRAKU_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Waits for the log line that says where the service listens; later lines are read and dropped, so that the service
/// never waits for a reader.
fn wait_ready(log: impl std::io::Read + Send + 'static) -> Value {
    let (found, ready) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            let _ = found.send(line);
        }
    });
    let mut seen = Vec::new();
    while let Ok(line) = ready.recv_timeout(START) {
        let parsed: Option<Value> = serde_json::from_str(&line).ok();
        if let Some(parsed) = parsed.filter(|parsed| parsed["message"] == "ready") {
            return parsed;
        }
        seen.push(line);
    }
    panic!("the service did not say that it is ready; it said:\n{}", seen.join("\n"));
}

/// Waits until a condition of the file system or of processes holds.
pub(crate) async fn until(what: &str, patience: Duration, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    assert!(tokio::time::timeout(patience, wait).await.is_ok(), "it never came to: {what}");
}

/// Where a path is, for YAML.
pub(crate) fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}
