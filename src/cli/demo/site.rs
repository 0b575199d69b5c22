//! What the demo puts on disk: the service's directory, an environment with an application, a task, and per node a
//! certificate, directories of its own and the agent's configuration.
//!
//! Everything lies below one directory. Nothing is started here.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bunraku_actors::model::CertName;
use chrono::Utc;

use super::ports::Endpoints;
use crate::app::init::{self, InitRequest, Initialized};
use crate::ca::Authority;
use crate::cli::error::CliError;
use crate::config::template::quote;
use crate::files;

/// The demo's only environment.
pub(super) const ENVIRONMENT: &str = "production";
/// The application whose web nodes wait for its database node.
pub(super) const APPLICATION: &str = "Shop[demo]";
/// The task that the demo runs.
pub(super) const TASK: &str = "demo::greet";

const CONVERGE: &str = include_str!("files/converge.sh");
const TASK_PROGRAM: &str = include_str!("files/greet.sh");
const TASK_METADATA: &str = include_str!("files/greet.json");

/// The site on disk.
pub(super) struct Site {
    pub(super) made: Initialized,
    pub(super) nodes: Vec<Node>,
    pub(super) endpoints: Endpoints,
}

/// One node of the site.
pub(super) struct Node {
    pub(super) certname: CertName,
    /// The agent's configuration.
    pub(super) config: PathBuf,
}

/// What Puppet is on this machine.
pub(super) enum Puppet {
    /// The real one.
    Real(PathBuf),
    /// None: a script converges in its place.
    StandIn {
        /// Seconds that each run takes at least; a script is over before anybody could look.
        pace: u8,
    },
}

impl Puppet {
    /// Looks for Puppet where its packages put it, and in the path.
    pub(super) fn find(pace: u8) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).filter(|folder| folder.is_absolute()).collect();
        folders.push("/opt/puppetlabs/bin".into());
        let found = folders.into_iter().map(|folder| folder.join("puppet")).find(|program| is_program(program));
        found.map_or(Self::StandIn { pace }, Self::Real)
    }
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

impl Site {
    /// Writes everything below `dir`.
    ///
    /// # Errors
    /// When the directory is in use already, or something cannot be written.
    pub(super) async fn create(
        dir: &Path,
        count: usize,
        endpoints: Endpoints,
        puppet: &Puppet,
    ) -> Result<Self, CliError> {
        let request = InitRequest {
            dir: dir.to_owned(),
            names: endpoints.names(),
            ssldir: None,
            environment: true,
            settings: vec![
                ("server.listen", quote(&endpoints.api.to_string())),
                ("broker.listen", quote(&endpoints.broker.to_string())),
                // The agents are on this machine: whoever looks need not wait for those that there are not.
                ("broker.settle_time", "20s".to_owned()),
                ("limits.connect_timeout", "10s".to_owned()),
            ],
        };
        let made = init::init(&request).await?;
        let names: Vec<CertName> = (0..count).map(certname).collect();
        write_code(&made.dir, &names).context("cannot write the demo's environment")?;
        let authority = Authority::open(&made.dir.join("ca")).context("cannot open the CA just made")?;
        let mut nodes = Vec::new();
        for name in names {
            let config = write_node(&made.dir, &name, &authority, &endpoints, puppet)
                .with_context(|| format!("cannot set up the node {name}"))?;
            nodes.push(Node { certname: name, config });
        }
        Ok(Self { made, nodes, endpoints })
    }

    /// The names of all nodes.
    pub(super) fn certnames(&self) -> Vec<&str> {
        self.nodes.iter().map(|node| node.certname.as_str()).collect()
    }
}

/// The first node is the database, all others are web servers.
fn certname(index: usize) -> CertName {
    let name = if index == 0 { "db1.demo".to_owned() } else { format!("web{index}.demo") };
    CertName::parse(&name).expect("letters, digits and a dot are a certname")
}

fn environment_yaml(nodes: &[CertName]) -> String {
    let mut text = String::from(
        "# Made by bunraku demo: the web nodes consume what the database node produces, so they wait for it.\n\
         applications:\n  - type: Shop\n    instances:\n      - title: demo\n        components:\n",
    );
    for (index, node) in nodes.iter().enumerate() {
        let part = if index == 0 {
            format!(
                "          - type: Shop::Db\n            title: db\n            node: {node}\n            produces: [\"Sql[shop-demo]\"]\n"
            )
        } else {
            format!(
                "          - type: Shop::Web\n            title: web{index}\n            node: {node}\n            consumes: [\"Sql[shop-demo]\"]\n"
            )
        };
        text.push_str(&part);
    }
    text
}

fn write_code(dir: &Path, nodes: &[CertName]) -> anyhow::Result<()> {
    let environment = dir.join(format!("environments/{ENVIRONMENT}.yaml"));
    // `init` has put an empty one there.
    std::fs::write(&environment, environment_yaml(nodes)).with_context(|| environment.display().to_string())?;
    let tasks = dir.join("modules/demo/tasks");
    files::create_dirs(&tasks)?;
    files::create_program(&tasks.join("greet.sh"), TASK_PROGRAM)?;
    files::create_public(&tasks.join("greet.json"), TASK_METADATA)?;
    files::create_program(&dir.join("converge.sh"), CONVERGE)?;
    files::create_dirs(&dir.join("log"))?;
    Ok(())
}

fn write_node(
    dir: &Path,
    name: &CertName,
    authority: &Authority,
    endpoints: &Endpoints,
    puppet: &Puppet,
) -> anyhow::Result<PathBuf> {
    let node = dir.join("nodes").join(name.as_str());
    for part in ["ssl", "confdir", "vardir", "desired", "actual", "code/environments/production/manifests"] {
        files::create_dirs(&node.join(part))?;
    }
    let issued = authority.issue_node(name, Utc::now())?;
    files::create_public(&node.join("ssl/cert.pem"), &issued.cert_pem)?;
    files::create_private(&node.join("ssl/key.pem"), issued.key_pem.as_bytes())?;
    files::create_public(&node.join("ssl/ca.pem"), authority.cert_pem())?;
    let role = if name.as_str().starts_with("db") { "database" } else { "web server" };
    files::create_public(&node.join("desired/motd"), format!("{name} is a {role} of the demo.\n"))?;
    files::create_public(&node.join("desired/role"), format!("{role}\n"))?;
    files::create_public(&node.join("confdir/puppet.conf"), puppet_conf(&node, name))?;
    let manifest = node.join("code/environments/production/manifests/site.pp");
    files::create_public(&manifest, manifest_text(&node))?;
    let config = node.join("agent.yaml");
    let command = match puppet {
        Puppet::Real(program) => program.clone(),
        Puppet::StandIn { pace } => {
            files::create_public(&node.join("pace"), format!("{pace}\n"))?;
            dir.join("converge.sh")
        }
    };
    files::create_public(&config, agent_yaml(&node, &manifest, &command, endpoints))?;
    Ok(config)
}

/// Every directory of Puppet lies below the node's own: nothing of the machine's Puppet is read or written.
fn puppet_conf(node: &Path, name: &CertName) -> String {
    let at = |part: &str| node.join(part).display().to_string();
    format!(
        "[main]\ncertname = {name}\ncodedir = {}\nssldir = {}\nlogdir = {}\nrundir = {}\npublicdir = {}\nreports = store\n",
        at("code"),
        at("vardir/ssl"),
        at("vardir/log"),
        at("vardir/run"),
        at("vardir/public"),
    )
}

fn manifest_text(node: &Path) -> String {
    let puppet_quoted =
        |path: PathBuf| format!("'{}'", path.display().to_string().replace('\\', "\\\\").replace('\'', "\\'"));
    format!(
        "# The node's directory `actual` holds what its directory `desired` holds.\n\
         file {{ {}:\n  ensure  => directory,\n  recurse => true,\n  source  => {},\n}}\n",
        puppet_quoted(node.join("actual")),
        puppet_quoted(node.join("desired")),
    )
}

fn agent_yaml(node: &Path, manifest: &Path, command: &Path, endpoints: &Endpoints) -> String {
    let at = |part: &str| quote(&node.join(part).to_string_lossy());
    let quoted = |path: &Path| quote(&path.to_string_lossy());
    format!(
        "broker_uris: [{}]\nprimary_uris: [{}]\nssl:\n  cert: {}\n  key: {}\n  ca: {}\nspool_dir: {}\n\
         task_cache_dir: {}\npuppet:\n  mode: apply\n  command: {}\n  confdir: {}\n  vardir: {}\n  manifest: {}\n",
        quote(&endpoints.broker_uri()),
        quote(&endpoints.url()),
        at("ssl/cert.pem"),
        at("ssl/key.pem"),
        at("ssl/ca.pem"),
        at("spool"),
        at("tasks-cache"),
        quoted(command),
        at("confdir"),
        at("vardir"),
        quoted(manifest),
    )
}

/// The address under which a listener is reached from this machine.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    let loopback = if address.is_ipv4() { "127.0.0.1" } else { "::1" };
    SocketAddr::new(loopback.parse().expect("a loopback address is an address"), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::AgentConfig;

    #[tokio::test]
    async fn what_is_written_can_be_read_by_those_who_must() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("with 'quotes' and blanks");
        let endpoints = Endpoints { api: "127.0.0.1:1".parse().unwrap(), broker: "127.0.0.1:2".parse().unwrap() };
        let site = Site::create(&dir, 3, endpoints, &Puppet::StandIn { pace: 0 }).await.unwrap();
        let names: Vec<_> = site.nodes.iter().map(|node| node.certname.as_str()).collect();
        assert_eq!(names, ["db1.demo", "web1.demo", "web2.demo"]);
        for node in &site.nodes {
            let config = AgentConfig::load(&node.config).unwrap();
            assert_eq!(config.broker_uris, ["wss://127.0.0.1:2/pcp2/"]);
            assert!(config.puppet.command.is_some_and(|command| is_program(&command)));
            crate::tls::install_provider();
            crate::tls::client_config(&config.ssl.paths()).unwrap();
        }
        let config = crate::config::Config::load_with(&site.made.config(), []).unwrap();
        assert_eq!((config.server.listen.as_str(), config.broker.listen.as_str()), ("127.0.0.1:1", "127.0.0.1:2"));
        assert!(
            Site::create(&dir, 1, endpoints, &Puppet::StandIn { pace: 0 }).await.is_err(),
            "a used directory is refused"
        );
    }
}
