//! The Puppet lab that the suite runs on: found by its environment variables, never started here (`tests/lab/up` does).

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running lab.
pub(crate) struct Lab {
    directory: PathBuf,
    nodes: Vec<String>,
}

impl Lab {
    /// The lab, or `None` after saying on standard error why there is none. Where everything is required, that is a
    /// failure.
    pub(crate) fn find() -> Option<Self> {
        Self::look().map_err(|reason| skip(&reason)).ok()
    }

    /// As [`Lab::find`], for a test that needs this program as well; `tests/lab/up` installs it.
    pub(crate) fn with(program: &str) -> Option<Self> {
        let lab = Self::find()?;
        let paths = env::var_os("PATH").unwrap_or_default();
        let mut folders = env::split_paths(&paths).chain(["/usr/sbin".into()]);
        if folders.any(|folder| folder.join(program).is_file()) {
            return Some(lab);
        }
        skip(&format!("{program} is not installed"));
        None
    }

    fn look() -> Result<Self, String> {
        const HOW: &str = "start one with `tests/lab/up DIR` and source DIR/env";
        let directory = env::var_os("PUPPET_LAB_DIR")
            .map(PathBuf::from)
            .ok_or_else(|| format!("there is no Puppet lab (PUPPET_LAB_DIR is not set); {HOW}"))?;
        if !directory.join("orchestrator/ssl").is_dir() {
            return Err(format!("PUPPET_LAB_DIR={} holds no Puppet lab; {HOW}", directory.display()));
        }
        let nodes = env::var("PUPPET_LAB_NODES").unwrap_or_default();
        let nodes: Vec<String> = nodes.split_whitespace().map(str::to_owned).collect();
        if nodes.len() < 4 {
            return Err(format!("the lab has {} nodes (PUPPET_LAB_NODES), and four are needed; {HOW}", nodes.len()));
        }
        let puppet = Command::new("puppet").arg("--version").output();
        if !puppet.is_ok_and(|answer| answer.status.success()) {
            return Err("there is no `puppet` in the path".to_owned());
        }
        Ok(Self { directory, nodes })
    }

    /// The certname of a node, the first being 1.
    pub(crate) fn node(&self, number: usize) -> &str {
        &self.nodes[number - 1]
    }

    /// Puppet's `ssldir` of the orchestrator.
    pub(crate) fn orchestrator_ssl(&self) -> PathBuf {
        self.directory.join("orchestrator/ssl")
    }

    /// The environments of the Puppet server, each with its modules.
    pub(crate) fn code(&self) -> PathBuf {
        self.directory.join("code/environments")
    }

    /// The variables of a configuration that name the lab's puppetserver and PuppetDB.
    pub(crate) fn sources() -> Vec<(&'static str, String)> {
        let url = |name: &str| env::var(name).unwrap_or_else(|_| panic!("no {name}: start the lab with --puppetdb"));
        vec![("BUNRAKU_PUPPETSERVER__URL", url("PUPPET_LAB_URL")), ("BUNRAKU_PUPPETDB__URL", url("PUPPET_LAB_PDB_URL"))]
    }

    /// Puppet's `confdir` of a node.
    pub(crate) fn confdir(&self, certname: &str) -> PathBuf {
        self.directory.join("agents").join(certname)
    }

    /// A file that the node's catalog manages.
    pub(crate) fn managed(&self, certname: &str, file: &str) -> PathBuf {
        self.confdir(certname).join("root").join(file)
    }

    /// Says how the node's next runs end; see `tests/lab/up`.
    pub(crate) fn set_mode(&self, certname: &str, mode: &str) {
        fs::write(self.directory.join("modes").join(certname), mode).unwrap();
    }

    /// Puts all nodes back to runs that change nothing but what is missing.
    pub(crate) fn reset(&self) {
        for certname in &self.nodes {
            self.set_mode(certname, "ok");
            let disabled = self.confdir(certname).join("var/state/agent_disabled.lock");
            remove(&disabled);
            remove(&self.managed(certname, "started"));
        }
    }

    /// Runs `puppet agent` with these arguments as that node; it must succeed.
    pub(crate) fn puppet_agent(&self, certname: &str, arguments: &[&str]) {
        let answer = self.puppet(certname, arguments).output().unwrap();
        assert!(answer.status.success(), "puppet agent {arguments:?}: {}", String::from_utf8_lossy(&answer.stderr));
    }

    /// Starts `puppet agent` as that node and does not wait for it.
    pub(crate) fn puppet_in_background(&self, certname: &str) -> Child {
        let mut command = self.puppet(certname, &["--onetime", "--no-daemonize"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn puppet(&self, certname: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("puppet");
        command.arg("agent").arg("--confdir").arg(self.confdir(certname)).args(arguments);
        // A proxy's CA bundle would only confuse a private CA.
        command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR").env("LC_ALL", "C.UTF-8");
        command
    }

    /// The process of the node's Puppet run.
    pub(crate) fn running(&self, certname: &str) -> Option<i32> {
        let lock = self.confdir(certname).join("var/state/agent_catalog_run.lock");
        let pid = fs::read_to_string(lock).ok()?.trim().parse().ok()?;
        Path::new("/proc").join(i32::to_string(&pid)).exists().then_some(pid)
    }

    /// Whether a Puppet run of this node goes on.
    pub(crate) fn is_running(&self, certname: &str) -> bool {
        self.running(certname).is_some()
    }
}

/// Says on standard error why a test is skipped. Where everything is required, that is a failure.
fn skip(reason: &str) {
    let all = env::var_os("BUNRAKU_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!all, "BUNRAKU_REQUIRE_ALL=1, but {reason}");
    // Not eprintln: the test harness would keep the line to itself.
    std::io::stderr().write_all(format!("skipped: {reason}\n").as_bytes()).unwrap();
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{}: {error}", path.display()),
        _ => {}
    }
}
