//! Everything that outlives a process: certificates, configuration, database, spools, the log of runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bunraku::tls::TlsPaths;
use serde_json::{Value, json};

use super::process::{binary, kill_all_below};
use super::rules;

/// What every run executes, as a task and in the place of Puppet.
const WORK: &str = include_str!("work.sh");
const WORK_METADATA: &str = include_str!("work.json");

/// Nodes with our own agent.
const NATIVE: usize = 8;
/// Nodes with the scripted pxp-agent.
const SCRIPTED: usize = 4;
/// A certname that never connects.
pub(crate) const GHOST: &str = "ghost.test";

/// A node.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// Whether its agent is ours.
    pub(crate) native: bool,
    pub(crate) dir: PathBuf,
}

impl Node {
    pub(crate) fn spool(&self) -> PathBuf {
        self.dir.join("spool")
    }

    /// The certificate, as `bunraku ca issue` wrote it.
    pub(crate) fn tls(&self) -> TlsPaths {
        let at = |name: &str| self.dir.join("ssl").join(name);
        TlsPaths { cert: at("cert.pem"), key: at("key.pem"), ca: at("ca.pem"), crl: None }
    }
}

/// The whole site.
pub(crate) struct Site {
    pub(crate) dir: PathBuf,
    /// A loopback address of its own: no other socket of this machine takes its ports while the service is down.
    pub(crate) host: String,
    pub(crate) nodes: Vec<Node>,
    pub(crate) token: String,
    pub(crate) resend_to_pxp_agents: bool,
}

impl Site {
    pub(crate) const API: u16 = 8143;
    pub(crate) const BROKER: u16 = 8142;

    /// Makes a site in a new directory with `bunraku init` and `bunraku ca issue`, as a user does.
    pub(crate) fn create(dir: &Path, resend_to_pxp_agents: bool) -> Self {
        fs::create_dir_all(dir).unwrap();
        let dir = fs::canonicalize(dir).unwrap();
        let host = own_address(&dir);
        let server = dir.join("server");
        run(&["init", &server.to_string_lossy(), "--name", &host]);
        let token = fs::read_to_string(server.join("token")).unwrap().trim().to_owned();
        let nodes: Vec<Node> = (0..NATIVE + SCRIPTED)
            .map(|place| {
                let native = place < NATIVE;
                let name = format!("{}{place:02}.test", if native { "n" } else { "p" });
                Node { dir: dir.join("nodes").join(&name), name, native }
            })
            .collect();
        let site = Self { dir, host, nodes, token, resend_to_pxp_agents };
        site.write_code(&server);
        for node in &site.nodes {
            site.write_node(&server, node);
        }
        site
    }

    /// The log of runs: a line for each beginning and each end, written by the runs themselves.
    pub(crate) fn runs_log(&self) -> PathBuf {
        self.dir.join("runs.log")
    }

    /// The program that every run executes.
    pub(crate) fn work(&self) -> PathBuf {
        self.dir.join("work.sh")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.dir.join("server/data/bunraku.db")
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.dir.join("server/ssl/ca.pem")
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}:{}", self.host, Self::API)
    }

    /// What the service's environment says beside its file.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let mut variables = rules::overrides(self.resend_to_pxp_agents);
        variables.push(("BUNRAKU_SERVER__LISTEN".to_owned(), format!("{}:{}", self.host, Self::API)));
        variables.push(("BUNRAKU_BROKER__LISTEN".to_owned(), format!("{}:{}", self.host, Self::BROKER)));
        variables
    }

    fn write_code(&self, server: &Path) {
        let tasks = server.join("modules/crash/tasks");
        fs::create_dir_all(&tasks).unwrap();
        for program in [tasks.join("work.sh"), self.work()] {
            fs::write(&program, WORK).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(tasks.join("work.json"), WORK_METADATA).unwrap();
        fs::create_dir_all(self.dir.join("log")).unwrap();
        fs::write(self.runs_log(), "").unwrap();
        fs::write(server.join("environments/production.yaml"), environment(&self.nodes).to_string()).unwrap();
    }

    fn write_node(&self, server: &Path, node: &Node) {
        for part in ["vardir", "confdir"] {
            fs::create_dir_all(node.dir.join(part)).unwrap();
        }
        let ssl = node.dir.join("ssl");
        let (server, out) = (server.to_string_lossy(), ssl.to_string_lossy());
        run(&["ca", "issue", &node.name, "--dir", &server, "--out", &out]);
        let config = json!({
            "broker_uris": [format!("wss://{}:{}/pcp2/", self.host, Self::BROKER)],
            "primary_uris": [self.url()],
            "ssl": { "cert": ssl.join("cert.pem"), "key": ssl.join("key.pem"), "ca": ssl.join("ca.pem") },
            "spool_dir": node.spool(),
            "task_cache_dir": node.dir.join("tasks-cache"),
            "reconnect_max": "300ms",
            "puppet": {
                "mode": "apply", "command": self.work(), "vardir": node.dir.join("vardir"),
                "confdir": node.dir.join("confdir"), "manifest": node.dir.join("site.pp"),
            },
        });
        // JSON is YAML as well.
        fs::write(node.dir.join("agent.yaml"), config.to_string()).unwrap();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // Wrappers and the work below them outlive their agents.
        kill_all_below(&self.dir.join("nodes"));
    }
}

/// Two instances of an application: a chain of three levels, and a pair.
fn environment(nodes: &[Node]) -> Value {
    let component = |title: &str, node: usize, produces: &[&str], consumes: &[&str]| {
        json!({ "type": format!("Shop::{title}"), "title": format!("c{node}"), "node": nodes[node].name,
                "produces": produces, "consumes": consumes })
    };
    let one = [
        component("Db", 0, &["Sql[one]"], &[]),
        component("Web", 1, &["Http[one]"], &["Sql[one]"]),
        component("Web", 2, &["Http[two]"], &["Sql[one]"]),
        component("Web", 8, &[], &["Sql[one]"]),
        component("Front", 3, &[], &["Http[one]", "Http[two]"]),
    ];
    let two = [
        component("Db", 9, &["Sql[two]"], &[]),
        component("Web", 4, &[], &["Sql[two]"]),
        component("Web", 5, &[], &["Sql[two]"]),
    ];
    json!({ "applications": [{ "type": "Shop", "instances": [
        { "title": "one", "components": one },
        { "title": "two", "components": two },
    ] }] })
}

/// The nodes for which a node waits in a deploy of the environment: the same edges as the environment has.
pub(crate) fn dependencies_of(node: &str) -> &'static [&'static str] {
    match node {
        "n01.test" | "n02.test" | "p08.test" => &["n00.test"],
        "n03.test" => &["n01.test", "n02.test"],
        "n04.test" | "n05.test" => &["p09.test"],
        _ => &[],
    }
}

/// An address of 127.0.0.0/8 made from the directory and this process.
fn own_address(dir: &Path) -> String {
    let mut hash = u64::from(std::process::id());
    for byte in dir.to_string_lossy().bytes() {
        hash = hash.wrapping_mul(31).wrapping_add(u64::from(byte));
    }
    // Neither 127.0.0.1, where everybody else is, nor a network's first or last address.
    format!("127.{}.{}.{}", 1 + hash % 200, hash / 200 % 250, 2 + hash / 50_000 % 250)
}

fn run(arguments: &[&str]) {
    let output = binary().args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
