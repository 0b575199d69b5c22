//! What every handler can reach, and the options of the HTTP side.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bunraku_actors::handle::Orchestrator;
use bunraku_actors::model::Owner;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::accounts::Accounts;
use super::audit::Refusals;
use super::inventory;
use super::login::Guard;
use super::records::Records;
use super::rights::{Rights, Rules};
use super::types::ledger::{LedgerReport, LedgerScope};
use super::{ApiError, LedgerRefusal};

/// Settings of the HTTP side, resolved and checked by whoever starts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The base of all links, without a trailing slash, such as `https://orch.example.com:8143`.
    pub public_url: Option<String>,
    /// Host names by which clients may call us; links use a request's `Host` only if it is one of them. Not empty.
    pub names: Vec<String>,
    /// The port of links when neither `public_url` nor the request settles it.
    pub port: u16,
    /// The largest request body.
    pub body_limit: usize,
    /// How long nothing of a request's body may arrive before it is given up; the whole may take ten times as long.
    pub body_silence: Duration,
    /// How long a client may leave data unread before its connection is cut.
    pub stalled_client: Duration,
    /// The most connections at once; those beyond are told so and closed.
    pub max_connections: usize,
    /// How long a TLS handshake, and the head of a request from its first byte on, may take.
    pub head_timeout: Duration,
    /// How long an idle connection is kept.
    pub keep_alive: Duration,
    /// The most event streams at once.
    pub max_streams: usize,
    /// How often a silent event stream sends a comment, so that proxies keep it.
    pub sse_comment: Duration,
    /// How often an event stream checks that its token still holds.
    pub sse_recheck: Duration,
    /// Threads that serve HTTP.
    pub workers: usize,
    /// How long a stop waits for requests in progress.
    pub shutdown_timeout: Duration,
}

impl Options {
    /// Defaults for a service known by these names.
    #[must_use]
    pub fn new(names: Vec<String>, port: u16) -> Self {
        Self {
            public_url: None,
            names,
            port,
            body_limit: 16 * 1024 * 1024,
            body_silence: Duration::from_secs(30),
            stalled_client: Duration::from_secs(30),
            max_connections: 10_000,
            head_timeout: Duration::from_secs(15),
            keep_alive: Duration::from_secs(75),
            max_streams: 1_000,
            sse_comment: Duration::from_secs(15),
            sse_recheck: Duration::from_secs(30),
            workers: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

/// Tells whether a part of the service has trouble, for people; `None` when all is well.
pub type Probe = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// Compares the store with the ledgers of the agents.
pub type VerifyLedgers =
    Arc<dyn Fn(LedgerScope) -> BoxFuture<'static, Result<LedgerReport, LedgerRefusal>> + Send + Sync>;

/// What every handler can reach. Cheap to clone.
#[derive(Clone)]
pub struct State {
    /// The engine, and through it the read side of the store, the directory and the transport.
    pub orchestrator: Orchestrator,
    /// Tokens, users, the audit log.
    pub accounts: Arc<dyn Accounts>,
    /// What is kept beside jobs.
    pub records: Arc<dyn Records>,
    /// Roles and who has them; may be replaced at any time.
    pub rules: Arc<ArcSwap<Rules>>,
    /// Settings.
    pub options: Arc<Options>,
    /// Renders `/metrics`; `None` answers it with 404.
    pub metrics: Option<PrometheusHandle>,
    /// The URI by which nodes know the broker, shown in the inventory.
    pub broker_uri: String,
    /// The broker's health.
    pub broker_probe: Probe,
    /// Publishes what is only looked at when someone asks for metrics.
    pub before_metrics: Arc<dyn Fn() + Send + Sync>,
    /// The check of the agents' ledgers.
    pub verify_ledgers: VerifyLedgers,
    /// Mixed into the fingerprints of commands that are kept under an idempotency key.
    pub fingerprints: [u8; 32],
    pub(super) guard: Arc<Guard>,
    pub(super) refusals: Arc<Refusals>,
    pub(super) inventory: Arc<inventory::Listed>,
    streams: Arc<Semaphore>,
    closing: Arc<watch::Sender<bool>>,
}

impl State {
    /// A state without metrics and ledgers, and with a broker that is always well; set the fields to change that.
    #[must_use]
    pub fn new(orchestrator: Orchestrator, store: Arc<impl Accounts + Records>, options: Options) -> Self {
        let broker_uri = format!("pcp://{}/server", options.names.first().map_or("localhost", String::as_str));
        Self {
            orchestrator,
            accounts: store.clone(),
            records: store,
            rules: Arc::default(),
            streams: Arc::new(Semaphore::new(options.max_streams)),
            options: Arc::new(options),
            metrics: None,
            broker_uri,
            broker_probe: Arc::new(|| None),
            before_metrics: Arc::new(|| {}),
            verify_ledgers: Arc::new(|_| Box::pin(async { Err(LedgerRefusal::Busy) })),
            fingerprints: [0; 32],
            guard: Arc::default(),
            refusals: Arc::default(),
            inventory: Arc::default(),
            closing: Arc::new(watch::Sender::new(false)),
        }
    }

    /// The present time, by the engine's clock.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.orchestrator.clock().now()
    }

    /// What the owner of something may do now: by the roles of their login, and of the tokens that they hold.
    ///
    /// # Errors
    /// 403 for a user who is revoked; the store's.
    pub(super) async fn rights_of(&self, owner: &Owner) -> Result<Arc<Rights>, ApiError> {
        if let Some((user, _)) = self.accounts.user(&owner.login).await?
            && user.revoked_at.is_some()
        {
            let msg = format!("the user {} has been revoked", owner.login);
            return Err(ApiError::not_permitted(msg, json!({ "login": owner.login })));
        }
        let rules = self.rules.load();
        let mut roles = self.accounts.token_roles(&owner.login, self.now()).await?;
        roles.extend(rules.roles_of(&owner.login));
        self.rights_by(rules.rights(&roles)).await
    }

    /// The rights that roles grant, with what task targets stand for in their place.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn rights_by(&self, granted: Arc<Rights>) -> Result<Arc<Rights>, ApiError> {
        if !granted.needs_targets() {
            return Ok(granted);
        }
        Ok(Arc::new(granted.through(&self.records.task_targets().await?)))
    }

    /// Leave to send an event stream, for as long as it is kept; `None` when there are too many.
    pub(super) fn stream(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.streams).try_acquire_owned().ok()
    }

    /// Ends all event streams; they would hold up a graceful stop.
    pub(super) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Becomes true when event streams must end.
    pub(super) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }
}
