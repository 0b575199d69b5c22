//! Port of the transport: hands runs to nodes and reports what becomes of them.
//!
//! Nothing here waits. Every answer comes back as a [`RunSignal`] through the [`SignalOutlet`] that was handed in.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::inbox::Outlet;
use crate::model::{Action, CertName, JobId, JobKind, RunOutcome, TransactionId};

/// Where signals of one run, or of one watched node, go: the reader's inbox and the reader's own key for it.
#[derive(Debug, Clone)]
pub struct SignalOutlet {
    outlet: Outlet<(u64, RunSignal)>,
    key: u64,
}

impl SignalOutlet {
    /// Signals arrive as `(key, signal)`.
    #[must_use]
    pub fn new(outlet: Outlet<(u64, RunSignal)>, key: u64) -> Self {
        Self { outlet, key }
    }

    /// Delivers one signal.
    pub fn send(&self, signal: RunSignal) {
        self.outlet.send((self.key, signal));
    }
}

/// A run to hand to a node. Its start is committed.
#[derive(Debug, Clone)]
pub struct RunRequest {
    pub job: JobId,
    pub node: CertName,
    pub transaction: TransactionId,
    pub action: Arc<Action>,
    /// The spool that was committed with the start: the request is for no other agent, whoever has the certname now.
    pub spool: Option<String>,
}

/// A node's present session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    pub node: CertName,
    /// Increases with every session of the process; a newer session has a higher one.
    pub generation: u64,
    pub since: DateTime<Utc>,
    /// Set by our own agent in its upgrade request: its spool's id; it then understands `bunraku cancel`.
    pub spool: Option<String>,
    /// Name and version of the agent as it calls itself.
    pub agent: Option<String>,
    /// Two sessions with this certname keep superseding each other.
    pub contended: bool,
}

impl Connection {
    /// When the spool was made, by the node's clock: our own agent's ids tell (UUID version 7).
    #[must_use]
    pub fn spool_made(&self) -> Option<DateTime<Utc>> {
        let id = uuid::Uuid::try_parse(self.spool.as_deref()?).ok()?;
        let (seconds, nanos) = id.get_timestamp().filter(|_| id.get_version_num() == 7)?.to_unix();
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
    }
}

/// The answer to a status query (PXP §10.5).
#[derive(Debug, Clone, PartialEq)]
pub enum StatusAnswer {
    /// The run goes on.
    Running,
    /// The run is over.
    Over(RunOutcome),
    /// "found no results directory": the request never arrived.
    NeverArrived,
    /// Any other unknown answer, in the agent's words.
    Unknown(String),
}

/// What becomes of a run, or of a watched node.
#[derive(Debug, Clone, PartialEq)]
pub enum RunSignal {
    /// The frame was not handed to any session, or its session ended before the frame was written: it was never sent.
    Unsent,
    /// The frame was written to the session's socket.
    Sent,
    /// A provisional answer.
    Accepted,
    /// Our agent tells that the catalog is there: the compile slot is free.
    CatalogReady,
    /// A final answer.
    Ended(RunOutcome),
    /// The answer to a status query.
    Status(StatusAnswer),
    /// The answer to a cancel: the agent knows it and will confirm the end by `Ended(Canceled)`, or `Status` tells more.
    CancelAccepted,
    /// The agent does not know `cancel`, or refused it.
    CancelRefused(String),
    /// The watched node has a session (again).
    Connected(Connection),
    /// The watched node's session ended.
    Disconnected,
}

impl RunSignal {
    /// A word for log lines, without anything that an agent said: that may hold secrets.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unsent => "unsent",
            Self::Sent => "sent",
            Self::Accepted => "accepted",
            Self::CatalogReady => "catalog_ready",
            Self::Ended(_) => "ended",
            Self::Status(_) => "status",
            Self::CancelAccepted => "cancel_accepted",
            Self::CancelRefused(_) => "cancel_refused",
            Self::Connected(_) => "connected",
            Self::Disconnected => "disconnected",
        }
    }
}

/// Reaches nodes. All calls return at once.
pub trait Transport: Send + Sync + 'static {
    /// Starts to route answers for this transaction of this node to `outlet`; replaces an earlier route. `kind` decides
    /// how results are read: their shape is the agent's, or a task's, to choose.
    fn expect(&self, node: &CertName, transaction: TransactionId, kind: JobKind, outlet: SignalOutlet);

    /// Stops routing; later answers are counted, logged once and dropped.
    fn forget(&self, transaction: TransactionId);

    /// Queues the request to the node's session, if that is the one of [`RunRequest::spool`]. Answers go where
    /// [`Transport::expect`] said, as does `Unsent`. Answers to
    /// queries that were made before are dropped: they know nothing of this request.
    fn send(&self, run: RunRequest);

    /// Asks the agent for the status of an expected transaction. No session: nothing happens.
    fn query_status(&self, node: &CertName, transaction: TransactionId);

    /// Asks the agent to end an expected transaction. No session: nothing happens; an agent without `cancel`:
    /// `CancelRefused`.
    fn cancel(&self, node: &CertName, transaction: TransactionId);

    /// Tells `outlet` of `Connected` and `Disconnected` of this node until [`Transport::unwatch`]; returns the present
    /// session. `watcher` names the watch: a process-wide unique number.
    fn watch(&self, node: &CertName, watcher: u64, outlet: SignalOutlet) -> Option<Connection>;

    /// Ends a watch.
    fn unwatch(&self, node: &CertName, watcher: u64);

    /// The node's present session.
    fn connection(&self, node: &CertName) -> Option<Connection>;

    /// When a node that is not connected left, as far as that is known: not from before this process began.
    fn left_at(&self, _node: &CertName) -> Option<DateTime<Utc>> {
        None
    }

    /// All present sessions, sorted by certname.
    fn connections(&self) -> Arc<[Connection]>;
}
