//! The transport itself: the port on one side, the broker's controller on the other.

use std::borrow::Cow;
use std::sync::Arc;

use bunraku_actors::model::{CertName, JobKind, RunOutcome, TransactionId};
use bunraku_actors::ports::{Connection, RunRequest, RunSignal, SignalOutlet, StatusAnswer, Transport};
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::advice::{self, advised};
use super::answer::{invalid, invalid_text, parse_results, parse_status};
use super::asks::Asks;
use super::output::short_text;
use super::request::Encoder;
use super::routes::{Ask, Match, Query, Routes};
use super::watches::Watches;
use crate::broker::{Controller, Peer, Sessions};
use crate::wire::pcp::{Message, MessageType, Uri};
use crate::wire::pxp::{CATALOG_READY_KEY, CancelResults, LOST_PROCESS, LedgerResults, Response, RpcError};

/// Options of the transport.
#[derive(Debug, Clone)]
pub struct Options {
    /// The sender of our requests; the same as the broker's `own_uri`.
    pub own_uri: Uri,
    /// Bytes of output that are kept of one run.
    pub output_limit: usize,
    /// Where agents fetch the files of tasks, the address to tell first; none: nobody is advised.
    pub files_at: Vec<String>,
}

impl Options {
    /// The defaults for this sender.
    #[must_use]
    pub fn new(own_uri: Uri) -> Self {
        Self { own_uri, output_limit: 1024 * 1024, files_at: Vec::new() }
    }
}

/// The engine's transport over PXP. Give the same sessions to the broker, and this as its controller.
pub struct PxpTransport {
    sessions: Arc<Sessions>,
    encoder: Encoder,
    output_limit: usize,
    files_at: Vec<String>,
    routes: Mutex<Routes>,
    watches: Watches,
    asks: Asks,
    /// The list of connections as it was last asked for, with the version of the sessions that it shows.
    listed: Mutex<Option<(u64, Arc<[Connection]>)>>,
}

/// Why an agent's ledger was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    #[error("not connected")]
    NotConnected,
    /// The agent does not know the request, or cannot read its ledger.
    #[error("the agent does not show its ledger")]
    Refused,
    #[error("the answer cannot be read")]
    Unreadable,
}

/// The least that every PXP answer has.
#[derive(Deserialize)]
struct Addressed<'a> {
    #[serde(borrow)]
    transaction_id: Cow<'a, str>,
}

/// What matters of a provisional response: the catalog is there, which only our own agent says.
#[derive(Deserialize)]
struct Provisional {
    #[serde(default, rename = "catalog_ready")]
    catalog: Option<Value>,
}

/// The transaction that an answer names.
fn transaction_of(message: &Message) -> Option<Uuid> {
    let addressed: Addressed<'_> = message.data_as().ok()?;
    Uuid::parse_str(&addressed.transaction_id).ok()
}

impl PxpTransport {
    /// A transport that sends through these sessions.
    #[must_use]
    pub fn new(sessions: Arc<Sessions>, options: Options) -> Arc<Self> {
        Arc::new(Self {
            sessions,
            encoder: Encoder::new(options.own_uri),
            output_limit: options.output_limit,
            files_at: options.files_at,
            routes: Mutex::default(),
            watches: Watches::default(),
            asks: Asks::default(),
            listed: Mutex::default(),
        })
    }

    fn signal(&self, transaction: TransactionId, signal: RunSignal) -> bool {
        self.routes.lock().signal(transaction, signal)
    }

    /// Sends a query to a node; without a session nothing happens, as the port says.
    fn ask(&self, node: &CertName, about: TransactionId, ask: Ask) {
        let Some(query) = self.routes.lock().query(node, about, ask) else { return };
        let frame = match ask {
            Ask::Status => self.encoder.status(node, about, query),
            Ask::Cancel => self.encoder.cancel(node, about, query),
        };
        if let Err(error) = self.sessions.send(node, frame) {
            tracing::debug!(%node, %about, ?ask, %error, "a query was not sent");
            self.routes.lock().answered(query);
        }
    }

    /// A part of the ledger of a node's agent, from this place on. Waits until the answer is there; drop it to give up.
    ///
    /// # Errors
    /// See [`LedgerError`].
    pub async fn ledger(&self, node: &CertName, from: u64) -> Result<LedgerResults, LedgerError> {
        let mut wait = self.asks.wait(node);
        let frame = self.encoder.ledger(node, from, wait.id);
        self.sessions.send(node, frame).map_err(|_| LedgerError::NotConnected)?;
        match wait.answer().await {
            Some(Ok(results)) => LedgerResults::deserialize(results).map_err(|_| LedgerError::Unreadable),
            Some(Err(_)) => Err(LedgerError::Refused),
            None => Err(LedgerError::NotConnected),
        }
    }

    /// Takes an answer to a request that has nothing to do with a run.
    fn asked(&self, peer: &Peer, message: &Message, transaction: Option<Uuid>) -> bool {
        let id = transaction.or(message.in_reply_to);
        let Some(id) = id.filter(|id| self.asks.knows(&peer.node, *id)) else { return false };
        let answer = match message.message_type {
            MessageType::BlockingResponse => message.data_as::<Response>().map(|response| response.results),
            _ => return self.asks.answer(&peer.node, id, Err("it was refused".to_owned())).is_ok(),
        };
        self.asks.answer(&peer.node, id, answer.map_err(|error| error.to_string())).is_ok()
    }

    /// An answer that nobody waits for: a duplicate, a late one, or another node's.
    fn stray(&self, peer: &Peer, message: &Message) {
        metrics::counter!("bunraku_stray_answers_total").increment(1);
        if peer.first_oddity() {
            let kind = String::from(message.message_type.clone());
            tracing::warn!(node = %peer.node, kind, "an answer that nobody waits for; further cases of this session are not logged");
        }
    }

    /// What a PXP answer belongs to.
    fn matched(&self, peer: &Peer, transaction: Uuid) -> Option<(Uuid, Match)> {
        let matched = self.routes.lock().by_transaction(&peer.node, transaction)?;
        Some((transaction, matched))
    }

    fn answer(&self, peer: &Peer, message: &Message, transaction: Option<Uuid>) {
        let taken = match transaction.and_then(|transaction| self.matched(peer, transaction)) {
            // An end can overtake the provisional response that was meant to precede it.
            Some((_, Match::Run { ended: true, .. })) => message.message_type == MessageType::ProvisionalResponse,
            Some((_, Match::Run { transaction, kind, .. })) => match self.run_signal(peer, message, kind) {
                Some(signal) => {
                    if matches!(signal, RunSignal::Status(_)) {
                        // Said about the request itself, so it arrived, also where this overtakes the news of its
                        // sending.
                        self.signal(transaction, RunSignal::Accepted);
                    }
                    self.signal(transaction, signal)
                }
                None => false,
            },
            Some((id, Match::Query { query, kind })) => {
                self.routes.lock().answered(id);
                self.query_answer(peer, message, query, kind)
            }
            None => false,
        };
        if !taken {
            self.stray(peer, message);
        }
    }

    /// What an answer tells of a run; `None` when such an answer never belongs to one.
    fn run_signal(&self, peer: &Peer, message: &Message, kind: JobKind) -> Option<RunSignal> {
        let signal = match message.message_type {
            MessageType::ProvisionalResponse => message.data_as::<Provisional>().map(|data| {
                if data.catalog == Some(Value::Bool(true)) { RunSignal::CatalogReady } else { RunSignal::Accepted }
            }),
            MessageType::NonBlockingResponse => message.data_as::<Response>().map(|response| {
                let may_cancel = peer.spool.is_some();
                RunSignal::Ended(parse_results(response.results, kind, may_cancel, self.output_limit))
            }),
            MessageType::RpcErrorMessage => {
                message.data_as::<RpcError>().map(|error| match refused(error.description) {
                    RunSignal::Ended(outcome) => RunSignal::Ended(self.advised(peer, outcome)),
                    lost => lost,
                })
            }
            _ => return None,
        };
        Some(signal.unwrap_or_else(|error| RunSignal::Ended(invalid(&error))))
    }

    fn advised(&self, peer: &Peer, outcome: RunOutcome) -> RunOutcome {
        let kind = if peer.spool.is_some() { advice::Kind::Ours } else { advice::Kind::PxpAgent };
        advised(outcome, kind, &self.files_at)
    }

    fn query_answer(&self, peer: &Peer, message: &Message, query: Query, kind: JobKind) -> bool {
        let results = match message.message_type {
            MessageType::BlockingResponse => message.data_as::<Response>().map(|response| response.results),
            MessageType::RpcErrorMessage => match message.data_as::<RpcError>() {
                Ok(error) => return self.query_refused(query, error.description),
                Err(error) => Err(error),
            },
            _ => return false,
        };
        match (results, query.ask) {
            (Err(error), _) => self.query_refused(query, invalid_text(&error)),
            (Ok(results), Ask::Status) => {
                if peer.spool.is_some() && results.get(CATALOG_READY_KEY) == Some(&Value::Bool(true)) {
                    self.signal(query.about, RunSignal::CatalogReady);
                }
                let answer = parse_status(&results, kind, peer.spool.is_some(), self.output_limit);
                let answer = match answer {
                    StatusAnswer::Over(outcome) => StatusAnswer::Over(self.advised(peer, outcome)),
                    other => other,
                };
                self.signal(query.about, RunSignal::Status(answer))
            }
            (Ok(results), Ask::Cancel) => match CancelResults::deserialize(results) {
                Ok(CancelResults { canceled: true, .. }) => self.signal(query.about, RunSignal::CancelAccepted),
                Ok(_) => {
                    // The run was over before the cancel: its status tells how.
                    self.ask(&peer.node, query.about, Ask::Status);
                    true
                }
                Err(error) => self.query_refused(query, invalid_text(&error)),
            },
        }
    }

    fn query_refused(&self, query: Query, description: String) -> bool {
        let description = short_text(description);
        let signal = match query.ask {
            Ask::Status => RunSignal::Status(StatusAnswer::Unknown(description)),
            Ask::Cancel => RunSignal::CancelRefused(description),
        };
        self.signal(query.about, signal)
    }

    /// A PCP error: the agent could not even read the request.
    fn pcp_error(&self, peer: &Peer, message: &Message) {
        let text = message.data_as::<String>().map_or_else(|_| "an error without a text".to_owned(), short_text);
        let id = message.in_reply_to;
        let matched = id.and_then(|id| self.routes.lock().by_message(&peer.node, id));
        let taken = match (matched, id) {
            (Some(Match::Run { transaction, .. }), _) => {
                self.signal(transaction, RunSignal::Ended(RunOutcome::Refused { description: text }))
            }
            (Some(Match::Query { query, .. }), Some(id)) => {
                self.routes.lock().answered(id);
                self.query_refused(query, text)
            }
            _ => false,
        };
        if !taken {
            self.stray(peer, message);
        }
    }
}

/// What an agent's error about a run means: a refusal, or that it lost the run and cannot tell how it ended.
fn refused(description: String) -> RunSignal {
    let lost = description.contains(LOST_PROCESS);
    let description = short_text(description);
    if lost {
        RunSignal::Status(StatusAnswer::Unknown(description))
    } else {
        RunSignal::Ended(RunOutcome::Refused { description })
    }
}

fn connection(peer: &Peer, contended: bool) -> Connection {
    Connection {
        node: peer.node.clone(),
        generation: peer.generation,
        since: peer.since,
        spool: peer.spool.clone(),
        agent: peer.agent.clone(),
        contended,
    }
}

impl Transport for PxpTransport {
    fn expect(&self, node: &CertName, transaction: TransactionId, kind: JobKind, outlet: SignalOutlet) {
        self.routes.lock().expect(node, transaction, kind, outlet);
    }

    fn forget(&self, transaction: TransactionId) {
        self.routes.lock().forget(transaction);
    }

    fn send(&self, run: RunRequest) {
        let (request, frame) = self.encoder.run(&run);
        self.routes.lock().sending(run.transaction, request);
        if let Err(error) = self.sessions.send_to_spool(&run.node, run.spool.as_deref(), frame) {
            tracing::debug!(job = %run.job, node = %run.node, transaction = %run.transaction, %error, "a run was not sent");
            self.signal(run.transaction, RunSignal::Unsent);
        }
    }

    fn query_status(&self, node: &CertName, transaction: TransactionId) {
        self.ask(node, transaction, Ask::Status);
    }

    fn cancel(&self, node: &CertName, transaction: TransactionId) {
        match self.sessions.with_connection(node, |peer, _| peer.spool.is_some()) {
            Some(true) => self.ask(node, transaction, Ask::Cancel),
            Some(false) => {
                let reason = "the node's agent cannot end a run".to_owned();
                self.signal(transaction, RunSignal::CancelRefused(reason));
            }
            None => {}
        }
    }

    fn watch(&self, node: &CertName, watcher: u64, outlet: SignalOutlet) -> Option<Connection> {
        self.watches.add(node, watcher, outlet, || self.connection(node))
    }

    fn unwatch(&self, node: &CertName, watcher: u64) {
        self.watches.remove(node, watcher);
    }

    fn connection(&self, node: &CertName) -> Option<Connection> {
        self.sessions.with_connection(node, connection)
    }

    fn left_at(&self, node: &CertName) -> Option<DateTime<Utc>> {
        self.sessions.left_at(node)
    }

    fn connections(&self) -> Arc<[Connection]> {
        // Read first: what comes while the list is made may be in it, and is in the next one for certain.
        let version = self.sessions.version();
        if let Some((listed, list)) = &*self.listed.lock()
            && Some(*listed) == version
        {
            return Arc::clone(list);
        }
        let mut connections = Vec::with_capacity(self.sessions.count());
        self.sessions.for_each_connection(|peer, contended| connections.push(connection(peer, contended)));
        connections.sort_unstable_by(|a, b| a.node.cmp(&b.node));
        let list: Arc<[Connection]> = connections.into();
        *self.listed.lock() = version.map(|version| (version, Arc::clone(&list)));
        list
    }
}

impl Controller for PxpTransport {
    fn connected(&self, peer: &Peer) {
        // Told from the present moment: a session that was superseded meanwhile is announced by its successor.
        self.watches.tell(&peer.node, || self.connection(&peer.node).map(RunSignal::Connected));
    }

    fn disconnected(&self, peer: &Peer) {
        let gone = || self.connection(&peer.node).is_none().then_some(RunSignal::Disconnected);
        self.watches.tell(&peer.node, gone);
    }

    fn received(&self, peer: &Peer, message: Message) {
        let transaction = transaction_of(&message);
        match message.message_type {
            _ if self.asked(peer, &message, transaction) => {}
            MessageType::ErrorMessage => self.pcp_error(peer, &message),
            _ => self.answer(peer, &message, transaction),
        }
    }

    fn sent(&self, tag: Uuid) {
        self.signal(TransactionId(tag), RunSignal::Sent);
    }

    fn unsent(&self, tag: Uuid) {
        self.signal(TransactionId(tag), RunSignal::Unsent);
    }
}
