//! The agent's configuration file (`config/agent.yaml`): parsed strictly, validated once, then handed down.
//!
//! Touches nothing but the file that it is given and the variables that override its keys.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_tungstenite::tungstenite::http::Uri;

use crate::config::{overrides, scalar};
use crate::tls::TlsPaths;

/// Everything that the agent can be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentConfig {
    /// The brokers, tried in turn: `wss://HOST:8142/pcp2/`.
    pub broker_uris: Vec<String>,
    /// Where task files are fetched, tried in turn: `https://HOST:8143`.
    pub primary_uris: Vec<String>,
    /// The node's TLS files.
    pub ssl: SslConfig,
    /// What is known of every run.
    pub spool_dir: PathBuf,
    /// How long an ended run is known.
    #[serde(with = "scalar::duration")]
    pub spool_ttl: Duration,
    /// Downloaded task files, by content.
    pub task_cache_dir: PathBuf,
    /// How long an unused task file is kept.
    #[serde(with = "scalar::duration")]
    pub task_cache_ttl: Duration,
    /// What this node lets the orchestrator do.
    pub modules: Vec<Module>,
    /// Bytes of the largest message, in either direction.
    pub max_message_size: usize,
    /// Time between two pings.
    #[serde(with = "scalar::duration")]
    pub ping_interval: Duration,
    /// The longest pause between two attempts to connect.
    #[serde(with = "scalar::duration")]
    pub reconnect_max: Duration,
    /// Bytes kept of each output of a run.
    pub output_limit: usize,
    /// Where external facts lie that the orchestrator is told at each connect.
    pub facts_dirs: Vec<PathBuf>,
    /// How Puppet is run.
    pub puppet: PuppetConfig,
    /// What is logged.
    pub log: LogConfig,
    /// The command that `DIR` is appended to in order to start a run; empty: this program's `agent exec-run`.
    pub exec_run_command: Vec<String>,
}

/// A module that can be enabled; `ping`, `echo`, `status` and `bunraku` always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Module {
    Puppet,
    Task,
}

/// The PEM files of the node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SslConfig {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub ca: PathBuf,
    pub crl: Option<PathBuf>,
}

/// Whether Puppet asks a server for its catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PuppetMode {
    /// `puppet agent`.
    Agent,
    /// `puppet apply`.
    Apply,
}

/// How Puppet is run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PuppetConfig {
    pub mode: PuppetMode,
    /// The program; `None`: `/opt/puppetlabs/bin/puppet`, then `puppet` in the path.
    pub command: Option<PathBuf>,
    /// Puppet's own defaults when absent.
    pub confdir: Option<PathBuf>,
    /// Puppet's own defaults when absent; needed in mode `apply`.
    pub vardir: Option<PathBuf>,
    /// The environment of runs that ask for none; `None` leaves it to Puppet.
    pub environment: Option<String>,
    /// The manifest for mode `apply`.
    pub manifest: Option<PathBuf>,
    /// How long a run waits for another one to end.
    #[serde(with = "scalar::duration")]
    pub lock_wait: Duration,
}

/// What is logged, to standard error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// A level, or directives such as `info,bunraku::agent=debug`.
    pub level: String,
    pub format: LogFormat,
}

/// The shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// What would turn the attempts to connect into a busy loop when it is shorter.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            broker_uris: vec!["wss://puppet:8142/pcp2/".to_owned()],
            primary_uris: vec!["https://puppet:8143".to_owned()],
            ssl: SslConfig::default(),
            spool_dir: "/var/lib/bunraku-agent/spool".into(),
            spool_ttl: 14 * DAY,
            task_cache_dir: "/var/lib/bunraku-agent/tasks-cache".into(),
            task_cache_ttl: 14 * DAY,
            modules: vec![Module::Puppet, Module::Task],
            max_message_size: 64 << 20,
            ping_interval: Duration::from_secs(120),
            reconnect_max: Duration::from_secs(60),
            output_limit: 1 << 20,
            facts_dirs: vec!["/etc/puppetlabs/facter/facts.d".into(), "/etc/facter/facts.d".into()],
            puppet: PuppetConfig::default(),
            log: LogConfig::default(),
            exec_run_command: Vec::new(),
        }
    }
}

impl Default for SslConfig {
    fn default() -> Self {
        Self {
            cert: "/etc/bunraku/agent/cert.pem".into(),
            key: "/etc/bunraku/agent/key.pem".into(),
            ca: "/etc/bunraku/agent/ca.pem".into(),
            crl: None,
        }
    }
}

impl SslConfig {
    /// The same files, as the TLS module names them.
    #[must_use]
    pub fn paths(&self) -> TlsPaths {
        TlsPaths { cert: self.cert.clone(), key: self.key.clone(), ca: self.ca.clone(), crl: self.crl.clone() }
    }
}

impl Default for PuppetConfig {
    fn default() -> Self {
        Self {
            mode: PuppetMode::Agent,
            command: None,
            confdir: None,
            vardir: None,
            environment: None,
            manifest: None,
            lock_wait: Duration::from_secs(600),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

/// Why a configuration is refused; names the file, and line or key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: {reason}")]
    Syntax { path: PathBuf, reason: String },
    #[error(transparent)]
    Variable(#[from] crate::config::ConfigError),
    #[error("{path}: {key}: {reason}")]
    Value { path: PathBuf, key: &'static str, reason: String },
}

impl AgentConfig {
    /// Reads a file, applies the `BUNRAKU_…` variables of the environment, and validates.
    ///
    /// # Errors
    /// When the file cannot be read, has an unknown key, or a value that cannot be used.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_with(path, std::env::vars_os())
    }

    /// As [`AgentConfig::load`], with the variables given.
    ///
    /// # Errors
    /// As [`AgentConfig::load`].
    pub fn load_with(
        path: &Path,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let config = overrides::apply(Self::parse(&text, path)?, variables)?;
        config.check().map_err(|(key, reason)| ConfigError::Value { path: path.to_owned(), key, reason })?;
        Ok(config)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        // A file of comments only is the empty document, which is no mapping.
        let empty = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
        if empty {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(text)
            .map_err(|error| ConfigError::Syntax { path: path.to_owned(), reason: error.to_string() })
    }

    /// Checks what the types cannot say; the key and the reason of the first fault.
    fn check(&self) -> Result<(), (&'static str, String)> {
        if self.broker_uris.is_empty() {
            return Err(("broker_uris", "name at least one broker".to_owned()));
        }
        for uri in &self.broker_uris {
            check_uri(uri, "wss").map_err(|reason| ("broker_uris", reason))?;
        }
        for uri in &self.primary_uris {
            check_uri(uri, "https").map_err(|reason| ("primary_uris", reason))?;
        }
        if self.ping_interval < Duration::from_secs(1) {
            return Err(("ping_interval", format!("{:?} is less than a second", self.ping_interval)));
        }
        if self.reconnect_max < SHORTEST_PAUSE {
            return Err(("reconnect_max", format!("{:?} is less than {SHORTEST_PAUSE:?}", self.reconnect_max)));
        }
        if self.max_message_size < 1024 {
            return Err(("max_message_size", format!("{} is less than 1024", self.max_message_size)));
        }
        if self.output_limit == 0 || self.output_limit > self.max_message_size {
            return Err((
                "output_limit",
                format!("{} is not between 1 and max_message_size ({})", self.output_limit, self.max_message_size),
            ));
        }
        self.puppet.check()
    }
}

impl PuppetConfig {
    fn check(&self) -> Result<(), (&'static str, String)> {
        if self.mode == PuppetMode::Agent {
            return Ok(());
        }
        let needed = [("puppet.manifest", &self.manifest), ("puppet.vardir", &self.vardir)];
        for (key, value) in needed {
            if value.is_none() {
                return Err((key, "mode apply needs it".to_owned()));
            }
        }
        Ok(())
    }
}

fn check_uri(text: &str, scheme: &str) -> Result<(), String> {
    let uri: Uri = text.parse().map_err(|error| format!("'{text}' is not a URI: {error}"))?;
    if uri.scheme_str() != Some(scheme) {
        return Err(format!("'{text}' does not begin with {scheme}://"));
    }
    match uri.host() {
        Some(host) if !host.is_empty() => Ok(()),
        _ => Err(format!("'{text}' names no host")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AgentConfig, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.yaml");
        std::fs::write(&path, text).unwrap();
        AgentConfig::load(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn the_shipped_file_says_the_defaults_and_every_key() {
        let shipped = include_str!("../../config/agent.yaml");
        assert_eq!(parse(shipped).unwrap(), AgentConfig::default());
        for key in
            ["broker_uris", "lock_wait", "task_cache_ttl", "reconnect_max", "output_limit", "manifest", "crl", "format"]
        {
            assert!(shipped.contains(&format!("{key}:")), "{key}");
        }
        assert_eq!(parse("# nothing\n").unwrap(), AgentConfig::default());
    }

    #[test]
    fn variables_override_keys() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.yaml");
        std::fs::write(&path, "").unwrap();
        let load = |name: &str, value: &str| {
            AgentConfig::load_with(&path, [(name.into(), value.into())]).map_err(|error| error.to_string())
        };
        assert_eq!(load("BUNRAKU_SPOOL_TTL", "2d").unwrap().spool_ttl, 2 * DAY);
        assert_eq!(load("BUNRAKU_LOG__LEVEL", "debug").unwrap().log.level, "debug");
        let unknown = load("BUNRAKU_SPOOL", "x").unwrap_err();
        assert!(unknown.contains("BUNRAKU_SPOOL") && unknown.contains("no key"), "{unknown}");
        let mode = load("BUNRAKU_PUPPET__MODE", "bad").unwrap_err();
        assert!(mode.contains("BUNRAKU_PUPPET__MODE"), "{mode}");
    }

    #[test]
    fn faults_name_file_line_and_key() {
        let typo = parse("broker_uris: [wss://a/pcp2]\nspool_dri: /x\n").unwrap_err();
        assert!(typo.contains("agent.yaml") && typo.contains("spool_dri") && typo.contains("line 2"), "{typo}");
        let duration = parse("spool_ttl: often\n").unwrap_err();
        assert!(duration.contains("often"), "{duration}");
        let scheme = parse("broker_uris: ['http://a/pcp2']\n").unwrap_err();
        assert!(scheme.contains("broker_uris") && scheme.contains("wss://"), "{scheme}");
        let manifest = parse("puppet: {mode: apply}\n").unwrap_err();
        assert!(manifest.contains("puppet.manifest"), "{manifest}");
        assert!(parse("reconnect_max: 1ms\n").unwrap_err().contains("reconnect_max"));
        assert!(parse("modules: [command]\n").unwrap_err().contains("command"));
    }
}
