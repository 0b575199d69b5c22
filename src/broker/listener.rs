//! From an accepted socket to a session: TLS, the upgrade request, and every refusal at the door.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};
use tracing::Instrument as _;

use super::router::Router;
use super::sessions::{AGENT, Newcomer, Session};
use super::silent::{Place, Silent};
use super::upgrade::{HEAD_LIMIT, Refusal, Upgrade};
use super::{same_node, session};
use crate::tls::{self, ReloadableVerifier};

/// The pause after a failed accept, which mostly means that the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a handshake keeps its turn.
const TURN: Duration = Duration::from_millis(250);

/// Accepts connections until told to stop.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    /// Replaced at every reload, after the verifier.
    pub(super) tls: Arc<ArcSwap<ServerConfig>>,
    pub(super) verifier: Arc<ReloadableVerifier>,
    pub(super) router: Arc<Router>,
    /// Held by every connection, so that the end of all of them can be awaited.
    pub(super) alive: mpsc::Sender<()>,
    pub(super) stop: watch::Receiver<bool>,
}

/// Why a connection came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("TLS handshake failed: {0}")]
    Tls(io::Error),
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
    #[error("refused: {}", .0.text)]
    Refused(Refusal),
    #[error("the handshake took too long")]
    TooSlow,
    #[error("too many connections of which nobody knows whose they are")]
    Silent,
}

impl Failed {
    fn reason(&self) -> &'static str {
        match self {
            Self::Tls(_) => "tls",
            Self::Io(_) => "lost",
            Self::Refused(refusal) => refusal.reason,
            Self::TooSlow => "handshake_timeout",
            Self::Silent => "silent",
        }
    }
}

/// A connection at the end of its handshake.
type Admitted = (TlsStream<TcpStream>, String, Arc<Session>);

/// What a new connection has to pass.
#[derive(Clone)]
struct Door {
    silent: Silent,
    handshakes: Arc<Semaphore>,
    tls: Arc<ArcSwap<ServerConfig>>,
    verifier: Arc<ReloadableVerifier>,
    router: Arc<Router>,
}

impl Listener {
    pub(super) async fn run(mut self) {
        let options = &self.router.options;
        let door = Door {
            silent: Silent::new(options.max_silent, options.silent_grace),
            handshakes: Arc::new(Semaphore::new(options.max_handshakes)),
            tls: self.tls,
            verifier: self.verifier,
            router: Arc::clone(&self.router),
        };
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                _ = self.stop.changed() => return,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Without a place for it nobody else is accepted: the next ones wait in the kernel's backlog.
            let place = tokio::select! {
                place = door.silent.enter() => place,
                _ = self.stop.changed() => return,
            };
            let (door, alive) = (door.clone(), self.alive.clone());
            tokio::spawn(async move {
                // Boxed, so that the memory of the handshake is gone while the session idles.
                let admitted = Box::pin(door.admit(stream, place)).await;
                if let Some((stream, response, session)) = admitted {
                    tokio::spawn(async move {
                        session::run(stream, response, session, door.router).await;
                        drop(alive);
                    });
                }
            });
        }
    }
}

impl Door {
    async fn admit(&self, stream: TcpStream, place: Place) -> Option<Admitted> {
        let limit = self.router.options.handshake_timeout;
        let peer = stream.peer_addr().ok();
        let about = tracing::debug_span!("handshake", ?peer, node = tracing::field::Empty);
        let failed = match timeout(limit, self.pass(stream, place)).instrument(about.clone()).await {
            Ok(Ok(admitted)) => return Some(admitted),
            Ok(Err(failed)) => failed,
            Err(_) => Failed::TooSlow,
        };
        metrics::counter!("bunraku_sessions_refused_total", "reason" => failed.reason()).increment(1);
        about.in_scope(|| tracing::debug!(reason = %failed, "connection refused"));
        None
    }

    async fn pass(&self, stream: TcpStream, place: Place) -> Result<Admitted, Failed> {
        // Frames are written whole; waiting for more to send only delays them.
        stream.set_nodelay(true)?;
        // Until the client has said hello there is nothing to compute, so nobody waits for it.
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream);
        let hello = place.wait(hello).await.ok_or(Failed::Silent)?.map_err(Failed::Tls)?;
        let tls = self.tls.load_full();
        let mut stream = self.shake_hands(hello, Arc::clone(&tls)).await?;
        let entered = match read_head(&mut stream).await {
            Ok(head) => self.enter(&stream, &head, &tls),
            Err(Failed::Refused(refusal)) => Err(refusal),
            Err(failed) => return Err(failed),
        };
        match entered {
            Ok((response, session)) => Ok((stream, response, session)),
            Err(refusal) => {
                stream.write_all(refusal.response().as_bytes()).await?;
                stream.shutdown().await?;
                Err(Failed::Refused(refusal))
            }
        }
    }

    /// The costly part, in turn.
    async fn shake_hands(
        &self,
        hello: StartHandshake<TcpStream>,
        tls: Arc<ServerConfig>,
    ) -> Result<TlsStream<TcpStream>, Failed> {
        let turn = self.handshakes.acquire().await;
        let mut handshake = std::pin::pin!(hello.into_stream(tls));
        tokio::select! {
            biased;
            done = &mut handshake => return done.map_err(Failed::Tls),
            () = sleep(TURN) => {}
        }
        // Its peer is slow, or keeps us waiting on purpose: the others need not.
        drop(turn);
        let place = self.silent.enter().await;
        place.wait(handshake).await.ok_or(Failed::Silent)?.map_err(Failed::Tls)
    }

    /// Decides about an upgrade request; on success the session is registered. `tls`: what the handshake was made with.
    fn enter(
        &self,
        stream: &TlsStream<TcpStream>,
        head: &[u8],
        tls: &Arc<ServerConfig>,
    ) -> Result<(String, Arc<Session>), Refusal> {
        let upgrade = Upgrade::parse(head)?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
        let leaf = chain.first().ok_or(Refusal::NO_COMMON_NAME)?;
        let node = tls::common_name(leaf).map_err(|_| Refusal::NO_COMMON_NAME)?;
        tracing::Span::current().record("node", node.as_str());
        let options = &self.router.options;
        if upgrade.kind != AGENT && !options.controllers.contains(&node) {
            return Err(Refusal::TYPE_REFUSED);
        }
        // Our own sender URI is not for rent, not even to a configured controller.
        if same_node(&node, options.own_uri.common_name()) && upgrade.kind == options.own_uri.kind() {
            return Err(Refusal::TYPE_REFUSED);
        }
        let response = upgrade.response();
        let Upgrade { kind, spool, agent, facts, .. } = upgrade;
        let newcomer = Newcomer { node, kind, spool, agent, facts, chain };
        // What a reload that came during the handshake refuses now was accepted before.
        let accepted =
            |newcomer: &Newcomer| Arc::ptr_eq(&self.tls.load(), tls) || self.verifier.accepts(&newcomer.chain);
        Ok((response, self.router.sessions.join(newcomer, options.max_connections, accepted)?))
    }
}

/// Reads up to the empty line that ends a request's head.
async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, Failed> {
    let mut head = Vec::with_capacity(1024);
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if head.len() >= HEAD_LIMIT {
            return Err(Failed::Refused(Refusal::HEAD_TOO_LARGE));
        }
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    Ok(head)
}
