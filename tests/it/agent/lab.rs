//! A node with an agent, its broker and its scripts, in a directory that goes with the test.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bunraku::agent::{self, AgentConfig};
use bunraku::tls::{self, TlsPaths};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::broker::{Connection, FakeBroker, serve_files};
use crate::support::ca::TestCa;

/// A node and its surroundings.
pub(super) struct Lab {
    directory: TempDir,
    ca: TestCa,
    server: TlsPaths,
    pub(super) broker: FakeBroker,
    pub(super) config: AgentConfig,
    files: BTreeMap<String, String>,
}

/// A running agent.
pub(super) struct Running(JoinHandle<anyhow::Result<()>>);

impl Running {
    /// How the agent ended by itself.
    pub(super) async fn ended(self) -> anyhow::Result<()> {
        self.0.await.unwrap()
    }

    /// Ends the agent without warning; its runs go on.
    pub(super) async fn kill(self) {
        self.0.abort();
        let _ = self.0.await;
    }
}

impl Lab {
    pub(super) async fn new() -> Self {
        tls::install_provider();
        let (directory, ca) = (tempfile::tempdir().unwrap(), TestCa::new());
        let (server, node) = (ca.issue("broker.example.com"), ca.issue("web1.example.com"));
        let broker = FakeBroker::start(&server).await;
        let mut config = AgentConfig {
            broker_uris: vec![format!("wss://localhost:{}/pcp2/", broker.address().port())],
            primary_uris: Vec::new(),
            spool_dir: directory.path().join("spool"),
            task_cache_dir: directory.path().join("cache"),
            exec_run_command: [env!("CARGO_BIN_EXE_bunraku"), "agent", "exec-run"].map(str::to_owned).to_vec(),
            ..AgentConfig::default()
        };
        config.ssl.cert = node.cert;
        config.ssl.key = node.key;
        config.ssl.ca = node.ca;
        config.ssl.crl = node.crl;
        Self { directory, ca, server, broker, config, files: BTreeMap::new() }
    }

    /// Starts an agent; its first connection.
    pub(super) async fn start(&mut self) -> (Running, Connection) {
        if !self.files.is_empty() {
            let address = serve_files(&self.server, std::mem::take(&mut self.files)).await;
            self.config.primary_uris = vec![format!("https://localhost:{}", address.port())];
        }
        let running = Running(tokio::spawn(agent::serve(self.config.clone())));
        (running, self.broker.accept().await)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// An executable script.
    pub(super) fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Puts a script on the file server before the agent starts; the parameters of a task that runs it.
    pub(super) fn task(&mut self, script: &str, input: &Value) -> Value {
        let name = format!("task{}.sh", self.files.len());
        let path = format!("/puppet/v3/file_content/tasks/demo/{name}");
        self.files.insert(format!("{path}?environment=production"), script.to_owned());
        json!({
            "task": "demo",
            "input": input,
            "files": [{
                "filename": name,
                "sha256": hex::encode(Sha256::digest(script)),
                "size_bytes": script.len(),
                "uri": {"path": path, "params": {"environment": "production"}},
            }],
        })
    }

    /// How many runs were ever started.
    pub(super) fn ledger(&self) -> usize {
        fs::read_to_string(self.config.spool_dir.join("ledger")).unwrap_or_default().lines().count()
    }

    /// Whether any file of the spool holds this text.
    pub(super) fn spool_holds(&self, text: &str) -> bool {
        holds(&self.config.spool_dir, text)
    }

    /// A certificate of another name.
    pub(super) fn revoke_broker(&self) {
        self.ca.revoke("broker.example.com");
    }
}

fn holds(directory: &Path, text: &str) -> bool {
    fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, text);
        }
        // A file that is being replaced may be gone under its first name.
        match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).contains(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => panic!("{error}"),
        }
    })
}

/// Waits until a file exists; only a failing test waits long.
pub(super) async fn until_exists(path: &Path) {
    until(|| path.exists()).await;
}

/// Waits until a condition holds.
pub(super) async fn until(mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await.expect("the condition holds");
}
