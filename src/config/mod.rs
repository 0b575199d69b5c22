//! The server's configuration: `bunraku.yaml`, overridden by `BUNRAKU_…` variables, checked and resolved.
//!
//! Every key stands once in [`keys`], from which the shipped file and the documentation's table are rendered. The agent's
//! own file is read by `agent::config`; this module only lends it [`overrides`], [`scalar`] and [`yaml`].

pub mod keys;
pub mod overrides;
pub mod scalar;
mod sections;
pub mod template;
pub mod yaml;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::telemetry;
use crate::tls::TlsPaths;
pub use sections::{Backup, Broker, Engine, LimitsSection, Log, LogFormat, Remote, Retention, Server, Ssl};
pub use yaml::ConfigError;

/// The longest duration that makes sense anywhere; far from the end of the calendar, so that deadlines can be computed.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);
/// What is younger is never removed: people still look at it.
const SHORTEST_AGE: Duration = Duration::from_secs(3_600);
const LONGEST_AGE: Duration = Duration::from_secs(100 * 31_557_600);

/// `bunraku.yaml`. Relative paths count from the file's own directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    #[serde(deserialize_with = "scalar::section")]
    pub server: Server,
    #[serde(deserialize_with = "scalar::section")]
    pub broker: Broker,
    #[serde(deserialize_with = "scalar::section")]
    pub ssl: Ssl,
    #[serde(deserialize_with = "scalar::section")]
    pub puppetserver: Remote,
    #[serde(deserialize_with = "scalar::section")]
    pub puppetdb: Remote,
    #[serde(deserialize_with = "scalar::section")]
    pub limits: LimitsSection,
    #[serde(deserialize_with = "scalar::section")]
    pub retention: Retention,
    #[serde(deserialize_with = "scalar::section")]
    pub backup: Backup,
    #[serde(deserialize_with = "scalar::section")]
    pub engine: Engine,
    #[serde(deserialize_with = "scalar::section")]
    pub log: Log,
    /// The database and everything else that the service writes.
    pub data_dir: PathBuf,
    /// One `<name>.yaml` per environment.
    pub environments_dir: PathBuf,
    /// One `*.yaml` per node group.
    pub groups_dir: PathBuf,
    /// One file with the facts of each node.
    pub facts_dir: Option<PathBuf>,
    /// Roles and who has them.
    pub access_file: PathBuf,
    /// The key for sensitive parameters.
    pub secrets_file: Option<PathBuf>,
    /// Where modules with tasks are looked for, first match wins.
    pub modulepath: Vec<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: Server::default(),
            broker: Broker::default(),
            ssl: Ssl::default(),
            puppetserver: Remote::default(),
            puppetdb: Remote::default(),
            limits: LimitsSection::default(),
            retention: Retention::default(),
            backup: Backup::default(),
            engine: Engine::default(),
            log: Log::default(),
            data_dir: "data".into(),
            environments_dir: "environments".into(),
            groups_dir: "groups".into(),
            facts_dir: None,
            access_file: "access.yaml".into(),
            secrets_file: None,
            modulepath: vec!["modules".into()],
        }
    }
}

impl Config {
    /// Reads a file, applies the overrides of the environment, checks, and makes paths absolute.
    ///
    /// # Errors
    /// Names the file with line and key, or the variable, and what is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_with(path, std::env::vars_os())
    }

    /// As [`Config::load`], with the variables given.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_with(
        path: &Path,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let config: Self = yaml::read(path)?;
        let config = overrides::apply(config, variables)?;
        config.check(path)?;
        let base = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let base = std::path::absolute(base).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Ok(config.anchored(&base))
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let invalid = |key: &str, reason: String| {
            Err(ConfigError::Invalid { path: path.to_owned(), key: key.to_owned(), reason })
        };
        let limits = &self.limits;
        let counts = [
            ("limits.concurrent_compiles", limits.concurrent_compiles),
            ("limits.concurrent_runs", limits.concurrent_runs),
            ("limits.concurrent_tasks", limits.concurrent_tasks),
            ("limits.job_nodes", limits.job_nodes),
        ];
        if let Some((key, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return invalid(key, "must be at least 1".to_owned());
        }
        let durations = limits.durations().into_iter().chain(self.broker.durations()).chain(self.engine.durations());
        let durations = durations.chain(self.server.durations()).chain(self.backup.durations());
        let remotes = [("puppetserver", &self.puppetserver), ("puppetdb", &self.puppetdb)];
        for (section, remote) in remotes {
            if let Some(reason) = remote.mistake() {
                return invalid(&format!("{section}.{}", reason.0), reason.1);
            }
        }
        for (key, duration, least) in durations {
            if duration > LONGEST {
                return invalid(key, format!("must not be more than {}", humantime::format_duration(LONGEST)));
            }
            if duration < least {
                return invalid(key, format!("must be at least {}", humantime::format_duration(least)));
            }
        }
        for (key, timeout) in [("deploy_timeout", limits.deploy_timeout), ("task_timeout", limits.task_timeout)] {
            if timeout > limits.job_timeout {
                return invalid(&format!("limits.{key}"), "must not be more than limits.job_timeout".to_owned());
            }
        }
        for (key, age) in self.retention.ages() {
            if age.is_some_and(|age| age < SHORTEST_AGE || age > LONGEST_AGE) {
                let bounds = [SHORTEST_AGE, LONGEST_AGE].map(humantime::format_duration);
                return invalid(key, format!("must be null, or between {} and {}", bounds[0], bounds[1]));
            }
        }
        if let Some(dir) = &self.backup.dir
            && (dir.as_os_str().is_empty() || *dir == self.data_dir)
        {
            let reason = format!("'{}' must be a directory of its own; null for no backups", dir.display());
            return invalid("backup.dir", reason);
        }
        for (key, none) in
            [("backup.keep", self.backup.keep == 0), ("server.max_connections", self.server.max_connections == 0)]
        {
            if none {
                return invalid(key, "must be at least 1".to_owned());
            }
        }
        if let Err(error) = telemetry::check_level(&self.log.level) {
            return invalid("log.level", format!("is not usable: {error}"));
        }
        for (key, threads) in [("engine.threads", self.engine.threads), ("server.workers", self.server.workers)] {
            if threads == Some(0) {
                return invalid(key, "must be at least 1".to_owned());
            }
        }
        for (key, address) in [("server.listen", &self.server.listen), ("broker.listen", &self.broker.listen)] {
            if let Err(error) = address.parse::<SocketAddr>() {
                return invalid(key, format!("'{address}' is not an address with a port: {error}"));
            }
        }
        if self.server.names.is_empty() {
            return invalid("server.names", "needs at least one name".to_owned());
        }
        if let Some(url) = &self.server.public_url
            && !url.starts_with("https://")
        {
            return invalid("server.public_url", format!("'{url}' must begin with https://"));
        }
        Ok(())
    }

    fn anchored(mut self, base: &Path) -> Self {
        let ssl = &mut self.ssl;
        let single = [
            &mut self.data_dir,
            &mut self.environments_dir,
            &mut self.groups_dir,
            &mut self.access_file,
            &mut ssl.cert,
            &mut ssl.key,
            &mut ssl.ca,
        ];
        let optional =
            [ssl.crl.as_mut(), self.backup.dir.as_mut(), self.facts_dir.as_mut(), self.secrets_file.as_mut()];
        let remotes = self.puppetserver.paths().chain(self.puppetdb.paths());
        let several = self.modulepath.iter_mut().chain(remotes);
        for path in single.into_iter().chain(optional.into_iter().flatten()).chain(several) {
            *path = base.join(&*path);
        }
        self
    }

    /// Where the TLS material of both listeners is.
    #[must_use]
    pub fn tls_paths(&self) -> TlsPaths {
        let ssl = &self.ssl;
        TlsPaths { cert: ssl.cert.clone(), key: ssl.key.clone(), ca: ssl.ca.clone(), crl: ssl.crl.clone() }
    }

    /// The base of all links, where none is configured and the request's Host is none of our names.
    #[must_use]
    pub fn default_url(&self, api: SocketAddr) -> String {
        let name = self.server.names.first().map_or("localhost", String::as_str);
        let name = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
        format!("https://{name}:{}", api.port())
    }
}
