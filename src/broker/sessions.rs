//! Who is connected: sessions by URI, each with a generation, the newest one wins.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bunraku_actors::model::CertName;
use chrono::{DateTime, Utc};
use parking_lot::{Mutex, RwLock};
use rustls_pki_types::CertificateDer;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::contention::Contention;
use super::depths::{Depths, QueueDepth};
use super::inventory::{Change, Subscriptions};
use super::outbox::{Frame, NotQueued, Outbox};
use super::upgrade::Refusal;
use super::ws::Close;
use crate::wire::pcp::Uri;

/// Of so many nodes it is remembered when they left.
const REMEMBERED: usize = 100_000;
/// The client type of nodes.
pub(super) const AGENT: &str = "agent";

/// The far end of a session.
#[derive(Debug)]
pub struct Peer {
    /// The common name of its certificate.
    pub node: CertName,
    pub uri: Uri,
    /// Increases with every session of the process.
    pub generation: u64,
    pub since: DateTime<Utc>,
    /// The spool that our own agent names in its upgrade request.
    pub spool: Option<String>,
    /// Name and version of the agent as it calls itself.
    pub agent: Option<String>,
    /// Facts of the node as our own agent tells them: a JSON object.
    pub facts: Option<Arc<str>>,
    noted: AtomicBool,
}

impl Peer {
    /// True on the first call for this session: whoever logs a peer's oddities does it once per session.
    pub fn first_oddity(&self) -> bool {
        !self.noted.swap(true, Ordering::Relaxed)
    }
}

/// How a session is ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// At once, without a close frame: a newer session took over.
    Superseded,
    /// With a close frame.
    Close(Close),
}

/// One session as others see it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) peer: Peer,
    pub(super) outbox: Outbox,
    /// Leaf first; asked again when the CRLs change.
    pub(super) chain: Vec<CertificateDer<'static>>,
    stop: Mutex<Option<Stop>>,
    stopped: Notify,
}

impl Session {
    pub(super) fn is_agent(&self) -> bool {
        self.peer.uri.kind() == AGENT
    }

    /// Asks the session's task to end; the first reason counts, but being superseded counts more.
    pub(super) fn stop(&self, stop: Stop) {
        {
            let mut reason = self.stop.lock();
            if reason.is_none() || stop == Stop::Superseded {
                *reason = Some(stop);
            }
        }
        self.stopped.notify_one();
    }

    /// Whether a newer session has its place.
    pub(super) fn is_superseded(&self) -> bool {
        *self.stop.lock() == Some(Stop::Superseded)
    }

    /// Waits until someone asks the session to end. One waiter only.
    pub(super) async fn stopped(&self) -> Stop {
        loop {
            if let Some(stop) = *self.stop.lock() {
                return stop;
            }
            self.stopped.notified().await;
        }
    }
}

/// What a new connection brings along.
#[derive(Debug)]
pub(super) struct Newcomer {
    pub(super) node: CertName,
    pub(super) kind: String,
    pub(super) spool: Option<String>,
    pub(super) agent: Option<String>,
    pub(super) facts: Option<Arc<str>>,
    pub(super) chain: Vec<CertificateDer<'static>>,
}

#[derive(Debug, Default)]
struct Registered {
    sessions: HashMap<Uri, Arc<Session>>,
    subscriptions: Subscriptions,
    contention: Contention,
    /// When nodes that were connected left.
    left: HashMap<CertName, DateTime<Utc>>,
    /// Set for good when the broker stops.
    stopping: bool,
    /// Increases with every session that comes or goes.
    version: u64,
}

/// All sessions of this process; the way to send frames. Shared between the broker and whoever sends.
#[derive(Debug)]
pub struct Sessions {
    registered: RwLock<Registered>,
    generations: AtomicU64,
    depths: Arc<Depths>,
}

impl Sessions {
    /// Nobody is here yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { registered: RwLock::default(), generations: AtomicU64::new(1), depths: Arc::default() })
    }

    /// Queues a frame to a node's session.
    ///
    /// # Errors
    /// When the node has none, or the session does not read what is sent to it.
    pub fn send(&self, node: &CertName, frame: Frame) -> Result<(), NotQueued> {
        self.send_to(&Uri::of(node.as_str(), AGENT), frame)
    }

    /// As [`Sessions::send`], to the agent with this spool only.
    ///
    /// # Errors
    /// As there, and when another agent has the node's session.
    pub fn send_to_spool(&self, node: &CertName, spool: Option<&str>, frame: Frame) -> Result<(), NotQueued> {
        self.send_if(&Uri::of(node.as_str(), AGENT), frame, |peer| peer.spool.as_deref() == spool)
    }

    pub(super) fn send_to(&self, uri: &Uri, frame: Frame) -> Result<(), NotQueued> {
        self.send_if(uri, frame, |_| true)
    }

    fn send_if(&self, uri: &Uri, frame: Frame, fits: impl FnOnce(&Peer) -> bool) -> Result<(), NotQueued> {
        let session = self.registered.read().sessions.get(uri).cloned().ok_or(NotQueued::NotConnected)?;
        if !fits(&session.peer) {
            return Err(NotQueued::AnotherAgent);
        }
        let queued = session.outbox.push(frame);
        if queued == Err(NotQueued::Full) {
            metrics::counter!("bunraku_session_queue_full_total").increment(1);
        }
        queued
    }

    /// The present session of a node.
    #[must_use]
    pub fn with_connection<T>(&self, node: &CertName, read: impl FnOnce(&Peer, bool) -> T) -> Option<T> {
        let uri = Uri::of(node.as_str(), AGENT);
        let registered = self.registered.read();
        let session = registered.sessions.get(&uri)?;
        Some(read(&session.peer, registered.contention.is_contended(&uri, Instant::now())))
    }

    /// When a node that is not connected left, as far as this process has seen it.
    #[must_use]
    pub fn left_at(&self, node: &CertName) -> Option<DateTime<Utc>> {
        self.registered.read().left.get(node).copied()
    }

    /// All present sessions of nodes, in no order; the flag tells contended ones.
    pub fn for_each_connection(&self, mut read: impl FnMut(&Peer, bool)) {
        let registered = self.registered.read();
        let now = Instant::now();
        for (uri, session) in registered.sessions.iter().filter(|(_, session)| session.is_agent()) {
            read(&session.peer, registered.contention.is_contended(uri, now));
        }
    }

    /// As long as this is the same, [`Sessions::for_each_connection`] reads the same; `None` while that may change by itself.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        let registered = self.registered.read();
        registered.contention.is_quiet().then_some(registered.version)
    }

    /// How many sessions there are, controllers included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.registered.read().sessions.len()
    }

    /// How many frames wait for all sessions.
    #[must_use]
    pub fn queued(&self) -> QueueDepth {
        self.depths.read()
    }

    /// Enters a session and ends an older one with the same URI. `accepted` tells whether its certificate still is: asked
    /// in the moment of entering, so that whoever changes what is accepted and then looks at all sessions misses none.
    pub(super) fn join(
        &self,
        newcomer: Newcomer,
        max: usize,
        accepted: impl FnOnce(&Newcomer) -> bool,
    ) -> Result<Arc<Session>, Refusal> {
        let uri = Uri::of(newcomer.node.as_str(), &newcomer.kind);
        let now = Instant::now();
        let mut guard = self.registered.write();
        let registered = &mut *guard;
        let supersedes = registered.sessions.contains_key(&uri);
        if registered.stopping {
            return Err(Refusal::STOPPING);
        }
        if !accepted(&newcomer) {
            return Err(Refusal::REVOKED);
        }
        if supersedes && registered.contention.refuses(&uri, now) {
            return Err(Refusal::CONTENDED);
        }
        if !supersedes && registered.sessions.len() >= max {
            return Err(Refusal::FULL);
        }
        let session = Arc::new(Session {
            peer: Peer {
                node: newcomer.node,
                uri: uri.clone(),
                // Drawn under the lock, so that of two sessions the one registered later has the higher one.
                generation: self.generations.fetch_add(1, Ordering::Relaxed),
                since: Utc::now(),
                spool: newcomer.spool,
                agent: newcomer.agent,
                facts: newcomer.facts,
                noted: AtomicBool::new(false),
            },
            outbox: Outbox::new(Arc::clone(&self.depths)),
            chain: newcomer.chain,
            stop: Mutex::new(None),
            stopped: Notify::new(),
        });
        registered.version += 1;
        registered.left.remove(&session.peer.node);
        let old = registered.sessions.insert(uri.clone(), Arc::clone(&session));
        registered.subscriptions.note(&uri, Change::Connected);
        if let Some(old) = old {
            old.stop(Stop::Superseded);
            metrics::counter!("bunraku_supersedes_total").increment(1);
            if registered.contention.superseded(&uri, now) {
                tracing::warn!(node = %session.peer.node, %uri, "two agents use this certname and keep superseding each other; newcomers are refused for a while");
            }
        }
        Ok(session)
    }

    /// Removes a session that ended, unless a newer one has its place; tells whether it was removed.
    pub(super) fn leave(&self, session: &Session) -> bool {
        let mut guard = self.registered.write();
        let registered = &mut *guard;
        let uri = &session.peer.uri;
        registered.subscriptions.cancel(uri, session.peer.generation);
        let present = registered.sessions.get(uri).map(|present| present.peer.generation);
        if present != Some(session.peer.generation) {
            return false;
        }
        registered.version += 1;
        registered.sessions.remove(uri);
        if session.is_agent() {
            // For people who ask; who asks of so many finds out elsewhere.
            if registered.left.len() >= REMEMBERED {
                registered.left.clear();
            }
            registered.left.insert(session.peer.node.clone(), Utc::now());
        }
        registered.subscriptions.note(uri, Change::Disconnected);
        true
    }

    /// Reads the URIs of all sessions and, in the same instant, sets or cancels a subscription to changes.
    pub(super) fn inventory(&self, asker: &Session, patterns: Vec<Uri>, subscribe: bool) -> Vec<Uri> {
        let mut guard = self.registered.write();
        let registered = &mut *guard;
        let mut uris: Vec<Uri> = registered
            .sessions
            .keys()
            .filter(|uri| patterns.iter().any(|pattern| pattern.matches(uri)))
            .cloned()
            .collect();
        uris.sort_unstable();
        if subscribe {
            registered.subscriptions.set(asker.peer.uri.clone(), asker.peer.generation, patterns);
        } else {
            registered.subscriptions.cancel(&asker.peer.uri, asker.peer.generation);
        }
        uris
    }

    /// The changes that subscribers have not seen yet.
    pub(super) fn take_changes(&self) -> Vec<(Uri, Vec<(Uri, Change)>)> {
        if self.registered.read().subscriptions.is_quiet() {
            return Vec::new();
        }
        self.registered.write().subscriptions.take()
    }

    /// All sessions of this moment.
    pub(super) fn all(&self) -> Vec<Arc<Session>> {
        self.registered.read().sessions.values().cloned().collect()
    }

    /// Refuses newcomers from now on.
    pub(super) fn refuse_newcomers(&self) {
        self.registered.write().stopping = true;
    }

    /// Ends the session under this URI.
    pub(super) fn stop(&self, uri: &Uri, stop: Stop) {
        if let Some(session) = self.registered.read().sessions.get(uri) {
            session.stop(stop);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newcomer(name: &str) -> Newcomer {
        let node = CertName::parse(name).unwrap();
        Newcomer { node, kind: AGENT.to_owned(), spool: None, agent: None, facts: None, chain: Vec::new() }
    }

    #[tokio::test]
    async fn the_newest_session_wins_and_a_late_end_of_the_old_one_changes_nothing() {
        let sessions = Sessions::new();
        let node = CertName::parse("a").unwrap();
        let old = sessions.join(newcomer("a"), 10, |_| true).unwrap();
        let new = sessions.join(newcomer("a"), 10, |_| true).unwrap();
        assert!(new.peer.generation > old.peer.generation);
        assert_eq!(old.stopped().await, Stop::Superseded);
        assert!(!sessions.leave(&old) && old.is_superseded() && !new.is_superseded());
        assert_eq!(sessions.with_connection(&node, |peer, _| peer.generation), Some(new.peer.generation));
        assert_eq!(sessions.left_at(&node), None, "it is connected");
        assert!(sessions.leave(&new) && !sessions.leave(&new));
        assert!(sessions.left_at(&node).is_some());
        assert_eq!(sessions.send(&node, Frame::plain("x".into())), Err(NotQueued::NotConnected));
    }

    #[tokio::test]
    async fn a_frame_for_one_spool_reaches_no_other() {
        let sessions = Sessions::new();
        let node = CertName::parse("a").unwrap();
        let with_spool = |spool: &str| Newcomer { spool: Some(spool.into()), ..newcomer("a") };
        sessions.join(with_spool("one"), 10, |_| true).unwrap();
        let send = |spool| sessions.send_to_spool(&node, spool, Frame::plain("x".into()));
        assert_eq!(send(Some("one")), Ok(()));
        sessions.join(with_spool("two"), 10, |_| true).unwrap();
        assert_eq!(send(Some("one")), Err(NotQueued::AnotherAgent));
        assert_eq!(send(None), Err(NotQueued::AnotherAgent), "nor one that names none");
        assert_eq!(send(Some("two")), Ok(()));
    }

    #[tokio::test]
    async fn limits_and_contention_refuse_at_the_door() {
        let sessions = Sessions::new();
        sessions.join(newcomer("a"), 1, |_| true).unwrap();
        assert_eq!(sessions.join(newcomer("b"), 1, |_| true).unwrap_err(), Refusal::FULL);
        let refused = (0..10).find_map(|_| sessions.join(newcomer("a"), 1, |_| true).err());
        assert_eq!(refused, Some(Refusal::CONTENDED), "superseding needs no free place, but has a rate");
        assert_eq!(sessions.with_connection(&CertName::parse("a").unwrap(), |_, contended| contended), Some(true));
        sessions.refuse_newcomers();
        assert_eq!(sessions.join(newcomer("c"), 9, |_| true).unwrap_err(), Refusal::STOPPING);
    }
}
