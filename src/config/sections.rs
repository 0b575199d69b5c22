//! The sections of `bunraku.yaml`. What each key means stands in [`super::keys`], once.

use std::path::PathBuf;
use std::time::Duration;

use bunraku_actors::handle::Limits;
use serde::{Deserialize, Serialize};
use url::Url;

use super::scalar;

/// `server`: API and dashboard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    pub listen: String,
    pub names: Vec<String>,
    pub public_url: Option<String>,
    pub workers: Option<usize>,
    #[serde(with = "scalar::size")]
    pub body_limit: u64,
    pub max_connections: usize,
    #[serde(with = "scalar::duration")]
    pub drain_timeout: Duration,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: "[::]:8143".to_owned(),
            names: vec!["localhost".to_owned()],
            public_url: None,
            workers: None,
            body_limit: 16 << 20,
            max_connections: 10_000,
            drain_timeout: Duration::from_secs(60),
        }
    }
}

impl Server {
    /// Every duration with its key and the shortest value that makes sense.
    pub(super) fn durations(&self) -> [(&'static str, Duration, Duration); 1] {
        [("server.drain_timeout", self.drain_timeout, Duration::ZERO)]
    }
}

/// `broker`: the nodes' side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Broker {
    pub listen: String,
    #[serde(with = "scalar::duration")]
    pub idle_timeout: Duration,
    #[serde(with = "scalar::duration")]
    pub settle_time: Duration,
    pub max_connections: usize,
    #[serde(with = "scalar::size")]
    pub max_message_size: u64,
    #[serde(with = "scalar::size")]
    pub max_inflight: u64,
    pub controllers: Vec<String>,
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            listen: "[::]:8142".to_owned(),
            idle_timeout: Duration::from_secs(360),
            settle_time: Limits::default().settle_time,
            max_connections: 15_000,
            max_message_size: 64 << 20,
            max_inflight: 512 << 20,
            controllers: Vec::new(),
        }
    }
}

/// `ssl`: certificates of both listeners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ssl {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub ca: PathBuf,
    pub crl: Option<PathBuf>,
}

impl Default for Ssl {
    fn default() -> Self {
        Self {
            cert: "ssl/cert.pem".into(),
            key: "ssl/key.pem".into(),
            ca: "ssl/ca.pem".into(),
            crl: Some("ssl/crl.pem".into()),
        }
    }
}

/// `puppetserver` and `puppetdb`: services of others that are asked over HTTPS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Remote {
    pub url: Option<Url>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub ca: Option<PathBuf>,
    #[serde(with = "scalar::duration")]
    pub timeout: Duration,
}

impl Default for Remote {
    fn default() -> Self {
        // Less than a command may take to be planned.
        Self { url: None, cert: None, key: None, ca: None, timeout: Duration::from_secs(15) }
    }
}

impl Remote {
    /// What is wrong with it: the key, and why.
    pub(super) fn mistake(&self) -> Option<(&'static str, String)> {
        if let Some(url) = self.url.as_ref().filter(|url| url.scheme() != "https") {
            return Some(("url", format!("'{url}' must begin with https://")));
        }
        if self.cert.is_some() != self.key.is_some() {
            return Some(("cert", "and key belong together: name both, or none for those of ssl".to_owned()));
        }
        let bounds = A_SECOND..=Duration::from_secs(25);
        if !bounds.contains(&self.timeout) {
            return Some(("timeout", "must be between 1s and 25s: commands wait for it".to_owned()));
        }
        None
    }

    /// Its files, those that are named.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.cert, &mut self.key, &mut self.ca].into_iter().flatten()
    }
}

/// `limits`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSection {
    pub concurrent_compiles: u32,
    pub concurrent_runs: u32,
    pub concurrent_tasks: u32,
    #[serde(with = "scalar::duration")]
    pub compile_hold: Duration,
    #[serde(with = "scalar::duration")]
    pub deploy_timeout: Duration,
    #[serde(with = "scalar::duration")]
    pub task_timeout: Duration,
    #[serde(with = "scalar::duration")]
    pub job_timeout: Duration,
    #[serde(with = "scalar::duration")]
    pub connect_timeout: Duration,
    #[serde(with = "scalar::duration")]
    pub lost_contact: Duration,
    #[serde(with = "scalar::duration")]
    pub cancel_timeout: Duration,
    #[serde(with = "scalar::duration")]
    pub abandoned_hold: Duration,
    #[serde(with = "scalar::duration")]
    pub resend_window: Duration,
    pub resend_to_pxp_agents: bool,
    #[serde(with = "scalar::duration")]
    pub status_timeout: Duration,
    #[serde(with = "scalar::duration")]
    pub status_interval: Duration,
    #[serde(with = "scalar::duration")]
    pub plan_silence: Duration,
    pub job_nodes: u32,
    #[serde(with = "scalar::size")]
    pub output: u64,
}

impl Default for LimitsSection {
    fn default() -> Self {
        let engine = Limits::default();
        Self {
            concurrent_compiles: engine.concurrent_compiles,
            concurrent_runs: engine.concurrent_runs,
            concurrent_tasks: engine.concurrent_tasks,
            compile_hold: engine.compile_hold,
            deploy_timeout: engine.deploy_timeout,
            task_timeout: engine.task_timeout,
            job_timeout: engine.job_timeout,
            connect_timeout: engine.connect_timeout,
            lost_contact: engine.lost_contact,
            cancel_timeout: engine.cancel_timeout,
            abandoned_hold: engine.abandoned_hold,
            resend_window: engine.resend_window,
            resend_to_pxp_agents: engine.resend_to_pxp_agents,
            status_timeout: engine.status_timeout,
            status_interval: engine.status_interval,
            plan_silence: A_DAY,
            job_nodes: engine.job_nodes,
            output: 1 << 20,
        }
    }
}

const A_DAY: Duration = Duration::from_secs(86_400);

/// What would turn a wait into a busy loop when it is shorter.
const A_SECOND: Duration = Duration::from_secs(1);

impl Broker {
    /// Every duration with its key and the shortest value that makes sense.
    pub(super) fn durations(&self) -> [(&'static str, Duration, Duration); 2] {
        [("broker.idle_timeout", self.idle_timeout, A_SECOND), ("broker.settle_time", self.settle_time, Duration::ZERO)]
    }
}

impl LimitsSection {
    /// Every duration with its key and the shortest value that makes sense.
    pub(super) fn durations(&self) -> [(&'static str, Duration, Duration); 12] {
        [
            ("limits.compile_hold", self.compile_hold, Duration::ZERO),
            ("limits.deploy_timeout", self.deploy_timeout, A_SECOND),
            ("limits.task_timeout", self.task_timeout, A_SECOND),
            ("limits.job_timeout", self.job_timeout, A_SECOND),
            ("limits.connect_timeout", self.connect_timeout, Duration::ZERO),
            ("limits.lost_contact", self.lost_contact, A_SECOND),
            ("limits.cancel_timeout", self.cancel_timeout, A_SECOND),
            ("limits.abandoned_hold", self.abandoned_hold, Duration::ZERO),
            ("limits.resend_window", self.resend_window, Duration::ZERO),
            ("limits.status_timeout", self.status_timeout, A_SECOND),
            ("limits.status_interval", self.status_interval, A_SECOND),
            ("limits.plan_silence", self.plan_silence, A_SECOND),
        ]
    }

    /// The engine's limits, with what stands in the sections of broker and engine.
    #[must_use]
    pub fn for_engine(&self, broker: &Broker, engine: &Engine) -> Limits {
        Limits {
            concurrent_compiles: self.concurrent_compiles,
            concurrent_runs: self.concurrent_runs,
            concurrent_tasks: self.concurrent_tasks,
            compile_hold: self.compile_hold,
            deploy_timeout: self.deploy_timeout,
            task_timeout: self.task_timeout,
            job_timeout: self.job_timeout,
            connect_timeout: self.connect_timeout,
            lost_contact: self.lost_contact,
            cancel_timeout: self.cancel_timeout,
            abandoned_hold: self.abandoned_hold,
            resend_window: self.resend_window,
            resend_to_pxp_agents: self.resend_to_pxp_agents,
            settle_time: broker.settle_time,
            status_timeout: self.status_timeout,
            status_interval: self.status_interval,
            hang_timeout: engine.hang_timeout,
            job_nodes: self.job_nodes,
        }
    }
}

/// `retention`: how long what is over is kept; `None` is for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    #[serde(with = "scalar::optional_duration")]
    pub jobs: Option<Duration>,
    #[serde(with = "scalar::optional_duration")]
    pub output: Option<Duration>,
    #[serde(with = "scalar::optional_duration")]
    pub audit: Option<Duration>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { jobs: Some(30 * A_DAY), output: Some(7 * A_DAY), audit: Some(400 * A_DAY) }
    }
}

impl Retention {
    /// Every age with its key.
    pub(super) fn ages(&self) -> [(&'static str, Option<Duration>); 3] {
        [("retention.jobs", self.jobs), ("retention.output", self.output), ("retention.audit", self.audit)]
    }
}

/// `backup`: copies that are made by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backup {
    pub dir: Option<PathBuf>,
    #[serde(with = "scalar::duration")]
    pub every: Duration,
    pub keep: usize,
}

impl Default for Backup {
    fn default() -> Self {
        Self { dir: None, every: A_DAY, keep: 7 }
    }
}

impl Backup {
    /// Every duration with its key and the shortest value that makes sense.
    pub(super) fn durations(&self) -> [(&'static str, Duration, Duration); 1] {
        [("backup.every", self.every, Duration::from_secs(60))]
    }
}

/// `engine`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Engine {
    pub threads: Option<usize>,
    #[serde(with = "scalar::duration")]
    pub hang_timeout: Duration,
}

impl Default for Engine {
    fn default() -> Self {
        Self { threads: None, hang_timeout: Limits::default().hang_timeout }
    }
}

impl Engine {
    /// Every duration with its key and the shortest value that makes sense: a few beats of the engine.
    pub(super) fn durations(&self) -> [(&'static str, Duration, Duration); 1] {
        [("engine.hang_timeout", self.hang_timeout, Duration::from_secs(30))]
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// `log`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Human }
    }
}
