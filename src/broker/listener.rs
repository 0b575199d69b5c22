//! From an accepted socket to a session: TLS, the upgrade request, and every refusal at the door.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::router::Router;
use super::sessions::{AGENT, Newcomer, Session};
use super::upgrade::{HEAD_LIMIT, Refusal, Upgrade};
use super::{same_node, session};
use crate::tls;

/// The pause after a failed accept, which mostly means that the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
}

impl Failed {
    fn reason(&self) -> &'static str {
        match self {
            Self::Tls(_) => "tls",
            Self::Io(_) => "lost",
            Self::Refused(refusal) => refusal.reason,
            Self::TooSlow => "handshake_timeout",
        }
    }
}

/// A connection at the end of its handshake.
type Admitted = (TlsStream<TcpStream>, String, Arc<Session>);

impl Listener {
    pub(super) async fn run(mut self) {
        let handshakes = Arc::new(Semaphore::new(self.router.options.max_handshakes));
        loop {
            let permit = tokio::select! {
                permit = Arc::clone(&handshakes).acquire_owned() => permit.expect("the semaphore is never closed"),
                _ = self.stop.changed() => return,
            };
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
            let (acceptor, router) = (TlsAcceptor::from(self.tls.load_full()), Arc::clone(&self.router));
            let alive = self.alive.clone();
            tokio::spawn(async move {
                // Boxed, so that the memory of the handshake is gone while the session idles.
                let admitted = Box::pin(admit(stream, acceptor, &router)).await;
                drop(permit);
                if let Some((stream, response, session)) = admitted {
                    tokio::spawn(async move {
                        session::run(stream, response, session, router).await;
                        drop(alive);
                    });
                }
            });
        }
    }
}

async fn admit(stream: TcpStream, acceptor: TlsAcceptor, router: &Router) -> Option<Admitted> {
    let limit = router.options.handshake_timeout;
    let peer = stream.peer_addr().ok();
    let failed = match timeout(limit, shake_hands(stream, acceptor, router)).await {
        Ok(Ok(admitted)) => return Some(admitted),
        Ok(Err(failed)) => failed,
        Err(_) => Failed::TooSlow,
    };
    metrics::counter!("bunraku_sessions_refused_total", "reason" => failed.reason()).increment(1);
    tracing::debug!(?peer, reason = %failed, "connection refused");
    None
}

async fn shake_hands(stream: TcpStream, acceptor: TlsAcceptor, router: &Router) -> Result<Admitted, Failed> {
    // Frames are written whole; waiting for more to send only delays them.
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await.map_err(Failed::Tls)?;
    let head = read_head(&mut stream).await;
    let entered = match head {
        Ok(head) => enter(&stream, &head, router),
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
