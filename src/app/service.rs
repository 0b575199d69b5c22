//! A running service: every part started in order, and stopped in the opposite one.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use actix::Arbiter;
use arc_swap::ArcSwap;
use bunraku_actors::handle::{Engine, JobSeed, Orchestrator, Ports};
use bunraku_actors::model::CertName;
use bunraku_actors::ports::JobStore as _;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::backup::{DATABASE, DataLock, DatabaseError};
use super::upkeep::Upkeep;
use super::{SteadyClock, ledger, observe};
use crate::api::rights::Rules;
use crate::api::{self, accounts::Accounts};
use crate::broker::{self, Broker, Sessions};
use crate::config::{self, Config};
use crate::directory::{self, Sources};
use crate::store::{self, KeyError, SecretKey, Store};
use crate::tls::{ReloadableServer, TlsError, TlsPaths};
use crate::transport::{self, PxpTransport};
use crate::wire::pcp::Uri;

/// The client type of our own sender URI.
const OWN_TYPE: &str = "orchestrator";
/// The key for sensitive parameters, in the data directory where nothing else is said.
const SECRETS: &str = "secrets.key";
/// How often a drain looks whether any agent is left.
const SESSIONS_LOOK: Duration = Duration::from_millis(100);

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot make {path}: {source}")]
    DataDir { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    InUse(#[from] DatabaseError),
    #[error(transparent)]
    Store(#[from] store::OpenError),
    #[error("secrets_file: {0}")]
    Secrets(#[from] KeyError),
    #[error(transparent)]
    Directory(#[from] directory::StartError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("{key} '{value}' is not an address with a port: {reason}")]
    Address { key: &'static str, value: String, reason: String },
    #[error("cannot listen on {address} ({key}): {source}")]
    Listen { key: &'static str, address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Broker(#[from] broker::BrokerError),
    #[error("access_file {path}: {reason}")]
    Access { path: PathBuf, reason: String },
    #[error("broker.controllers: {0}")]
    Controller(#[from] bunraku_actors::model::InvalidName),
    #[error("the database holds no usable sender: {0}")]
    Sender(#[from] crate::wire::pcp::InvalidUri),
    #[error("cannot start threads: {0}")]
    Threads(std::io::Error),
}

impl StartError {
    /// True when the configuration names an address at which the service cannot listen.
    #[must_use]
    pub fn is_an_address(&self) -> bool {
        matches!(self, Self::Address { .. } | Self::Listen { .. } | Self::Broker(broker::BrokerError::Listen { .. }))
    }
}

/// A running service.
pub struct Service {
    orchestrator: Orchestrator,
    api: api::Server,
    api_tls: Arc<ReloadableServer>,
    broker: Broker,
    broker_runtime: BrokerRuntime,
    sessions: Arc<Sessions>,
    _lock: DataLock,
    arbiters: Vec<Arbiter>,
    store: Store,
    directory: Arc<Sources>,
    rules: Arc<ArcSwap<Rules>>,
    tls_paths: TlsPaths,
    /// Ends when it is dropped.
    _observing: JoinSet<()>,
}

impl Service {
    /// Starts store, directory, broker, engine and API, in this order; must be called on an actix system.
    ///
    /// # Errors
    /// Names the part, and the file or address that it could not use.
    pub async fn start(config: &Config, metrics: Option<PrometheusHandle>) -> Result<Self, StartError> {
        let data = &config.data_dir;
        std::fs::create_dir_all(data).map_err(|source| StartError::DataDir { path: data.clone(), source })?;
        let lock = DataLock::take(data)?;
        // Bound first, served last: a taken port is told before anything else happens.
        let (api_listener, api_address) = bind("server.listen", &config.server.listen)?;
        let broker_listen = listen_address("broker.listen", &config.broker.listen)?;
        let tls_paths = config.tls_paths();
        let rules = read_rules(&config.access_file)?;
        let api_tls = Arc::new(ReloadableServer::load(tls_paths.clone(), false)?);
        let secrets = SecretKey::of_file(&secrets_file(config))?;
        let store = Store::open(
            data.join(DATABASE),
            store::Options {
                sender_uri: first_uri(&config.server.names),
                abandoned_hold: config.limits.abandoned_hold,
                secrets: Some(secrets.clone()),
                ..store::Options::default()
            },
        )?;
        let sessions = Sessions::new();
        let agents = Arc::clone(&sessions);
        let of_agents =
            directory::FactsOfAgent::new(move |node| agents.with_connection(node, |peer, _| peer.facts.clone())?);
        let directory = Arc::new(Sources::start(directory_options(config)).await?.with_facts_of_agents(of_agents));

        let own_uri = Uri::parse(store.sender_uri())?;
        let transport = PxpTransport::new(Arc::clone(&sessions), transport_options(config, &own_uri, api_address));
        let broker_runtime = BrokerRuntime::new()?;
        let options = broker_options(config, broker_listen, own_uri)?;
        let controller: Arc<dyn broker::Controller> = Arc::clone(&transport) as _;
        let started = broker_runtime
            .handle()
            .spawn(Broker::start(options, tls_paths.clone(), Arc::clone(&sessions), controller))
            .await;
        let broker = started.map_err(|error| StartError::Threads(std::io::Error::other(error)))??;

        let mut observing = JoinSet::new();
        // Before the engine, which may end nodes as soon as it takes up their jobs.
        observing.spawn(observe::count_events(store.subscribe()));
        if let Some(metrics) = &metrics {
            observing.spawn(observe::keep_up(metrics.clone()));
        }
        observing.spawn(Upkeep::new(config, store.clone(), Arc::clone(&directory), Arc::clone(&transport) as _).run());
        let verify_ledgers = ledger::verifier(Arc::new(store.clone()), Arc::clone(&transport), config.retention.jobs);
        let ports = Ports {
            store: Arc::new(store.clone()),
            transport,
            directory: Arc::clone(&directory) as _,
            clock: Arc::new(SteadyClock::default()),
        };
        let threads = config.engine.threads.unwrap_or_else(|| available_parallelism().map_or(2, usize::from));
        let (arbiters, spawn_job) = job_threads(threads);
        let limits = config.limits.for_engine(&config.broker, &config.engine);
        let orchestrator = Engine::start(ports, limits, spawn_job);

        let mut state = api_state(config, &orchestrator, &store, api_address, metrics);
        state.verify_ledgers = verify_ledgers;
        state.fingerprints = secrets.derived("fingerprints of commands");
        state.broker_probe = Arc::new(broker.probe());
        let gauges = observe::Gauges {
            orchestrator: orchestrator.clone(),
            sessions: Arc::clone(&sessions),
            store: store.clone(),
            receiving: Box::new(broker.receiving()),
        };
        state.before_metrics = Arc::new(move || gauges.publish());
        let listen_error = |source| StartError::Listen { key: "server.listen", address: api_address, source };
        state.rules.store(Arc::new(rules));
        let rules = Arc::clone(&state.rules);
        observing.spawn(api::schedule::Scheduler::new(state.clone()).run());
        let api = api::Server::start(api_listener, api_tls.config(), state).map_err(listen_error)?;
        observe::publish_expiries(&tls_paths);
        Ok(Self {
            orchestrator,
            api,
            api_tls,
            broker,
            broker_runtime,
            sessions,
            _lock: lock,
            arbiters,
            store,
            directory,
            rules,
            tls_paths,
            _observing: observing,
        })
    }

    /// Where the API listens.
    #[must_use]
    pub fn api_address(&self) -> SocketAddr {
        self.api.addr
    }

    /// Where agents connect.
    #[must_use]
    pub fn broker_address(&self) -> SocketAddr {
        self.broker.address()
    }

    /// The way into the engine.
    #[must_use]
    pub fn orchestrator(&self) -> &Orchestrator {
        &self.orchestrator
    }

    /// The tokens.
    #[must_use]
    pub fn accounts(&self) -> &dyn Accounts {
        &self.store
    }

    /// Reads certificates and revocation lists again, for both listeners; what is unusable is logged and stays as it was.
    pub async fn reload_tls(&mut self) {
        if let Err(error) = self.api_tls.reload() {
            tracing::error!(%error, "the API keeps its certificates");
        }
        match self.broker.reload_tls() {
            Ok(closed) => tracing::info!(closed, "certificates and revocation lists read again"),
            Err(error) => tracing::error!(%error, "the broker keeps its certificates"),
        }
        self.directory.reload_tls();
        observe::publish_expiries(&self.tls_paths);
    }

    /// Reads roles and bindings again; what is unusable is logged, and what was before stays.
    pub fn reload_rules(&self, path: &Path) {
        match read_rules(path) {
            Ok(rules) => self.rules.store(Arc::new(rules)),
            Err(error) => tracing::error!(%error, "roles and bindings stay as they were"),
        }
    }

    /// Takes no new jobs and starts no node, then waits until none runs whose agent could still tell how it ended.
    ///
    /// Returns at once when the engine has ended already.
    pub async fn drain(&self) {
        if self.orchestrator.leave().await.is_err() {
            return;
        }
        let nobody_left = async {
            while self.sessions.count() > 0 {
                sleep(SESSIONS_LOOK).await;
            }
        };
        tokio::select! {
            () = self.orchestrator.idle() => {}
            () = nobody_left => {}
        }
    }

    /// The connected agents.
    pub(super) fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// Stops in order: no new commands, streams end, jobs are left to the next start, sessions close, the store closes.
    pub async fn stop(self) {
        if let Err(error) = self.orchestrator.shutdown().await {
            tracing::error!(%error, "the engine did not end well");
        }
        self.api.stop(true).await;
        let closing = self.broker_runtime.handle().spawn(self.broker.shutdown());
        if let Err(error) = closing.await {
            tracing::error!(%error, "the broker did not end well");
        }
        self.store.close().await;
        for arbiter in self.arbiters {
            arbiter.stop();
            if arbiter.join().is_err() {
                tracing::error!("a job thread did not end well");
            }
        }
    }
}

/// The broker's own threads. A runtime must not be dropped where another one runs, so this one ends in the background,
/// also when a later part of the service does not start.
struct BrokerRuntime(Option<Runtime>);

impl BrokerRuntime {
    fn new() -> Result<Self, StartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("broker").enable_all().build();
        Ok(Self(Some(runtime.map_err(StartError::Threads)?)))
    }

    fn handle(&self) -> &tokio::runtime::Handle {
        self.0.as_ref().expect("only taken when it is dropped").handle()
    }
}

impl Drop for BrokerRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Arbiters for jobs, and the function that spreads jobs over them.
fn job_threads(threads: usize) -> (Vec<Arbiter>, impl Fn(JobSeed) + Send + 'static) {
    let arbiters: Vec<_> = (0..threads.max(1)).map(|_| Arbiter::new()).collect();
    let handles: Vec<_> = arbiters.iter().map(Arbiter::handle).collect();
    let next = AtomicUsize::new(0);
    let spawn_job = move |job: JobSeed| {
        let (turn, id) = (next.fetch_add(1, Ordering::Relaxed), job.id());
        let started = handles[turn % handles.len()].spawn_fn(move || job.start());
        // A job thread ends only with the service; a job that comes too late is taken up at the next start.
        tracing::debug!(job = %id, started, "job handed to a thread");
    };
    (arbiters, spawn_job)
}

/// An address as configured; the unspecified IPv6 one becomes IPv4's where the machine has no IPv6.
fn listen_address(key: &'static str, value: &str) -> Result<SocketAddr, StartError> {
    let address: SocketAddr = value.parse().map_err(|error: std::net::AddrParseError| StartError::Address {
        key,
        value: value.to_owned(),
        reason: error.to_string(),
    })?;
    let lacks_ipv6 = address.is_ipv6() && address.ip().is_unspecified() && TcpListener::bind("[::]:0").is_err();
    Ok(if lacks_ipv6 { SocketAddr::from(([0, 0, 0, 0], address.port())) } else { address })
}

fn bind(key: &'static str, value: &str) -> Result<(TcpListener, SocketAddr), StartError> {
    let address = listen_address(key, value)?;
    let listen_error = |source| StartError::Listen { key, address, source };
    let listener = TcpListener::bind(address).map_err(listen_error)?;
    let bound = listener.local_addr().map_err(listen_error)?;
    Ok((listener, bound))
}

/// The rules of a file; those that are always there when it is not.
pub(super) fn read_rules(path: &Path) -> Result<Rules, StartError> {
    let refused = |reason: String| StartError::Access { path: path.to_owned(), reason };
    match std::fs::read_to_string(path) {
        Ok(text) => Rules::parse(&text).map_err(|error| refused(error.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Rules::default()),
        Err(error) => Err(refused(error.to_string())),
    }
}

/// The sender URI of a new installation, after the first of its names.
pub(super) fn first_uri(names: &[String]) -> String {
    Uri::of(names.first().map_or("localhost", String::as_str), OWN_TYPE).into()
}

/// Where the key for sensitive parameters is.
pub(super) fn secrets_file(config: &Config) -> PathBuf {
    config.secrets_file.clone().unwrap_or_else(|| config.data_dir.join(SECRETS))
}

pub(super) fn directory_options(config: &Config) -> directory::Options {
    directory::Options {
        environments_dir: config.environments_dir.clone(),
        module_path: config.modulepath.clone(),
        file_store: config.data_dir.join("files"),
        groups_dir: config.groups_dir.clone(),
        facts_dir: config.facts_dir.clone(),
        puppetserver: remote_options(config, &config.puppetserver),
        puppetdb: remote_options(config, &config.puppetdb),
    }
}

fn remote_options(config: &Config, remote: &config::Remote) -> Option<directory::RemoteOptions> {
    let url = remote.url.clone()?;
    let own = config.tls_paths();
    let tls = TlsPaths {
        cert: remote.cert.clone().unwrap_or(own.cert),
        key: remote.key.clone().unwrap_or(own.key),
        ca: remote.ca.clone().unwrap_or(own.ca),
        crl: own.crl,
    };
    Some(directory::RemoteOptions { url, tls, timeout: remote.timeout })
}

fn broker_options(config: &Config, listen: SocketAddr, own_uri: Uri) -> Result<broker::Options, StartError> {
    let section = &config.broker;
    let mut options = broker::Options::new(listen, own_uri);
    options.idle_timeout = section.idle_timeout;
    options.max_connections = section.max_connections;
    options.max_message_size = usize::try_from(section.max_message_size).unwrap_or(usize::MAX);
    options.max_inflight = usize::try_from(section.max_inflight).unwrap_or(usize::MAX);
    options.controllers = section.controllers.iter().map(|name| CertName::parse(name)).collect::<Result<_, _>>()?;
    Ok(options)
}

fn transport_options(config: &Config, own_uri: &Uri, address: SocketAddr) -> transport::Options {
    let mut options = transport::Options::new(own_uri.clone());
    let host = |name: &String| if name.contains(':') { format!("[{name}]") } else { name.clone() };
    options.files_at = config.server.public_url.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
    let names = config.server.names.iter().map(|name| format!("https://{}:{}", host(name), address.port()));
    options.files_at.extend(names);
    options.output_limit = usize::try_from(config.limits.output).unwrap_or(usize::MAX);
    options
}

fn api_state(
    config: &Config,
    orchestrator: &Orchestrator,
    store: &Store,
    address: SocketAddr,
    metrics: Option<PrometheusHandle>,
) -> api::State {
    let section = &config.server;
    let mut options = api::Options::new(section.names.clone(), address.port());
    options.public_url = section.public_url.clone();
    options.body_limit = usize::try_from(section.body_limit).unwrap_or(usize::MAX);
    options.max_connections = section.max_connections;
    options.workers = section.workers.unwrap_or(options.workers);
    let mut state = api::State::new(orchestrator.clone(), Arc::new(store.clone()), options);
    state.metrics = metrics;
    state
}
