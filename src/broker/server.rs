//! The broker as its owner sees it: start, reload, stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::listener::Listener;
use super::router::Router;
use super::sessions::{Session, Sessions, Stop};
use super::ws::Close;
use super::{Controller, Options, Receiving};
use crate::tls::{self, ReloadableVerifier, TlsError, TlsPaths};

/// How often subscribers of the inventory get what changed.
const INVENTORY_INTERVAL: Duration = Duration::from_secs(1);
/// When the broker stops, its sessions end so far apart, …
const STOP_PACE: Duration = Duration::from_millis(1);
/// … but all of them within this time.
const STOP_SPREAD: Duration = Duration::from_secs(5);
/// So long the end of all sessions is awaited after they were told to end.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// Connections that the kernel keeps until they are accepted, if its own limit (`net.core.somaxconn`) is no lower. When a
/// whole fleet comes back at once, who finds no room is not told: its kernel tries again later and later, up to a minute.
const BACKLOG: u32 = 65_535;

/// Why the broker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
}

/// A running broker. Dropping it stops the listener; sessions go on until their runtime ends.
pub struct Broker {
    address: SocketAddr,
    paths: TlsPaths,
    verifier: Arc<ReloadableVerifier>,
    tls: Arc<ArcSwap<rustls::ServerConfig>>,
    router: Arc<Router>,
    stop: watch::Sender<bool>,
    ended: mpsc::Receiver<()>,
    listening: AbortHandle,
    /// The runtime that everything of the broker runs on.
    runtime: Handle,
}

impl Broker {
    /// Binds the listener and serves on the tokio runtime of the caller, which should be one of its own.
    ///
    /// `sessions` is new and shared with whoever sends; `controller` is told what agents do.
    ///
    /// # Errors
    /// When TLS material is unusable or the address cannot be bound.
    pub async fn start(
        options: Options,
        paths: TlsPaths,
        sessions: Arc<Sessions>,
        controller: Arc<dyn Controller>,
    ) -> Result<Self, BrokerError> {
        let verifier = ReloadableVerifier::load(&paths, true)?;
        let config = tls::server_config(&paths, Arc::clone(&verifier))?;
        let tls = Arc::new(ArcSwap::from_pointee(config));
        let listen_error = |source| BrokerError::Listen { address: options.listen, source };
        let socket = listen(options.listen).map_err(listen_error)?;
        let address = socket.local_addr().map_err(listen_error)?;
        let router = Arc::new(Router::new(options, sessions, controller));
        let (stop, stopped) = watch::channel(false);
        // Nothing is ever sent: the channel only tells when the last session has dropped its end.
        let (alive, ended) = mpsc::channel(1);
        let listener = Listener {
            socket,
            tls: Arc::clone(&tls),
            verifier: Arc::clone(&verifier),
            router: Arc::clone(&router),
            alive,
            stop: stopped.clone(),
        };
        let listening = tokio::spawn(listener.run()).abort_handle();
        tokio::spawn(publish_inventory(Arc::clone(&router), stopped));
        Ok(Self { address, paths, verifier, tls, router, stop, ended, listening, runtime: Handle::current() })
    }

    /// The address that was bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells what is wrong with the listener, for people; `None` when all is well.
    pub fn probe(&self) -> impl Fn() -> Option<String> + Send + Sync + use<> {
        let (listening, address) = (self.listening.clone(), self.address);
        move || listening.is_finished().then(|| format!("nothing listens on {address} for agents any more"))
    }

    /// Tells what messages that are being received hold.
    pub fn receiving(&self) -> impl Fn() -> Receiving + Send + Sync + use<> {
        let inflight = Arc::clone(&self.router.inflight);
        move || inflight.read()
    }

    /// Reads certificate, CA bundle and CRLs again; the sessions whose certificate is refused now end one after the other
    /// from then on. Returns how many those are. On an error everything stays as it was.
    ///
    /// # Errors
    /// When a file is unusable.
    pub fn reload_tls(&self) -> Result<usize, TlsError> {
        let config = tls::server_config(&self.paths, Arc::clone(&self.verifier))?;
        self.verifier.reload(&self.paths)?;
        // Before the sessions are looked at: a handshake that began before is judged anew when it ends.
        self.tls.store(Arc::new(config));
        let mut refused = self.router.sessions.all();
        refused.retain(|session| !self.verifier.accepts(&session.chain));
        let (count, pace) = (refused.len(), self.router.options.close_pace);
        // Their agents come back at once, and each of them costs a handshake.
        self.runtime.spawn(end_all(refused, pace, Close { code: 1012, reason: "CRL reloaded" }));
        Ok(count)
    }

    /// Accepts nobody any more, ends all sessions (1012) and waits until they are gone, or long enough. Many of them end
    /// one after the other, so that their agents do not come back all at once.
    pub async fn shutdown(mut self) {
        // An error only says that the listener is gone already.
        let _ = self.stop.send(true);
        self.router.sessions.refuse_newcomers();
        let sessions = self.router.sessions.all();
        let pace = stop_pace(sessions.len());
        end_all(sessions, pace, Close { code: 1012, reason: "Service restart." }).await;
        if timeout(DRAIN_LIMIT, self.ended.recv()).await.is_err() {
            tracing::warn!("some sessions did not end in time");
        }
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for the connections of before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The pause between two sessions when so many end because the broker stops.
fn stop_pace(sessions: usize) -> Duration {
    let sessions = u32::try_from(sessions).unwrap_or(u32::MAX).max(1);
    STOP_PACE.min(STOP_SPREAD / sessions)
}

/// Ends sessions one after the other.
async fn end_all(sessions: Vec<Arc<Session>>, pace: Duration, close: Close) {
    // A zero period is none; ticks that came too late are made up for, so that the whole takes no longer.
    let mut ticks = interval(pace.max(Duration::from_micros(1)));
    for session in sessions {
        ticks.tick().await;
        session.stop(Stop::Close(close));
    }
}

async fn publish_inventory(router: Arc<Router>, mut stop: watch::Receiver<bool>) {
    let mut tick = interval(INVENTORY_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => router.publish_inventory(),
            _ = stop.changed() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_paced_and_bounded() {
        assert_eq!([stop_pace(0), stop_pace(1), stop_pace(5_000)], [STOP_PACE; 3]);
        let pace = stop_pace(100_000);
        assert!(pace > Duration::ZERO && pace * 100_000 <= STOP_SPREAD);
    }
}
