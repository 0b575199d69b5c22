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
use super::silent::Silent;
use super::upgrade::{HEAD_LIMIT, Refusal, Upgrade};
use super::{same_node, session};
use crate::tls;

/// The pause after a failed accept, which mostly means that the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a handshake keeps its turn.
const TURN: Duration = Duration::from_millis(250);

/// Accepts connections until told to stop.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    pub(super) tls: Arc<ArcSwap<ServerConfig>>,
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
    #[error("too many connections that say nothing")]
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
    router: Arc<Router>,
}

impl Listener {
    pub(super) async fn run(mut self) {
        let options = &self.router.options;
        let door = Door {
            silent: Silent::new(options.max_silent),
            handshakes: Arc::new(Semaphore::new(options.max_handshakes)),
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
            let (tls, door, alive) = (self.tls.load_full(), door.clone(), self.alive.clone());
            tokio::spawn(async move {
                // Boxed, so that the memory of the handshake is gone while the session idles.
                let admitted = Box::pin(door.admit(stream, tls)).await;
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
    async fn admit(&self, stream: TcpStream, tls: Arc<ServerConfig>) -> Option<Admitted> {
        let limit = self.router.options.handshake_timeout;
        let peer = stream.peer_addr().ok();
        let about = tracing::debug_span!("handshake", ?peer, node = tracing::field::Empty);
        let failed = match timeout(limit, self.pass(stream, tls)).instrument(about.clone()).await {
            Ok(Ok(admitted)) => return Some(admitted),
            Ok(Err(failed)) => failed,
            Err(_) => Failed::TooSlow,
        };
        metrics::counter!("bunraku_sessions_refused_total", "reason" => failed.reason()).increment(1);
        about.in_scope(|| tracing::debug!(reason = %failed, "connection refused"));
        None
    }

    async fn pass(&self, stream: TcpStream, tls: Arc<ServerConfig>) -> Result<Admitted, Failed> {
        // Frames are written whole; waiting for more to send only delays them.
        stream.set_nodelay(true)?;
        // Until the client has said hello there is nothing to compute, so nobody waits for it.
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream);
        let hello = self.silent.enter().wait(hello).await.ok_or(Failed::Silent)?.map_err(Failed::Tls)?;
        let mut stream = self.shake_hands(hello, tls).await.map_err(Failed::Tls)?;
        let entered = match read_head(&mut stream).await {
            Ok(head) => enter(&stream, &head, &self.router),
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
    ) -> io::Result<TlsStream<TcpStream>> {
        let turn = self.handshakes.acquire().await;
        let mut handshake = std::pin::pin!(hello.into_stream(tls));
        tokio::select! {
            biased;
            done = &mut handshake => return done,
            () = sleep(TURN) => {}
        }
        // Its peer is slow, or keeps us waiting on purpose: the others need not.
        drop(turn);
        handshake.await
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

/// Decides about an upgrade request; on success the session is registered.
fn enter(stream: &TlsStream<TcpStream>, head: &[u8], router: &Router) -> Result<(String, Arc<Session>), Refusal> {
    let upgrade = Upgrade::parse(head)?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
    let leaf = chain.first().ok_or(Refusal::NO_COMMON_NAME)?;
    let node = tls::common_name(leaf).map_err(|_| Refusal::NO_COMMON_NAME)?;
    tracing::Span::current().record("node", node.as_str());
    let options = &router.options;
    if upgrade.kind != AGENT && !options.controllers.contains(&node) {
        return Err(Refusal::TYPE_REFUSED);
    }
    // Our own sender URI is not for rent, not even to a configured controller.
    if same_node(&node, options.own_uri.common_name()) && upgrade.kind == options.own_uri.kind() {
        return Err(Refusal::TYPE_REFUSED);
    }
    let response = upgrade.response();
    let Upgrade { kind, spool, agent, .. } = upgrade;
    let newcomer = Newcomer { node, kind, spool, agent, chain };
    Ok((response, router.sessions.join(newcomer, options.max_connections)?))
}
