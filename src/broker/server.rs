//! The broker as its owner sees it: start, reload, stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::listener::Listener;
use super::router::Router;
use super::sessions::{Sessions, Stop};
use super::ws::Close;
use super::{Controller, Options};
use crate::tls::{self, ReloadableVerifier, TlsError, TlsPaths};

/// How often subscribers of the inventory get what changed.
const INVENTORY_INTERVAL: Duration = Duration::from_secs(1);
/// So long the end of all sessions is awaited after they were told to end.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

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
        let socket = TcpListener::bind(options.listen).await.map_err(listen_error)?;
        let address = socket.local_addr().map_err(listen_error)?;
        let router = Arc::new(Router::new(options, sessions, controller));
        let (stop, stopped) = watch::channel(false);
        // Nothing is ever sent: the channel only tells when the last session has dropped its end.
        let (alive, ended) = mpsc::channel(1);
        let listener =
            Listener { socket, tls: Arc::clone(&tls), router: Arc::clone(&router), alive, stop: stopped.clone() };
        let listening = tokio::spawn(listener.run()).abort_handle();
        tokio::spawn(publish_inventory(Arc::clone(&router), stopped));
        Ok(Self { address, paths, verifier, tls, router, stop, ended, listening })
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

    /// Reads certificate, CA bundle and CRLs again, then ends the sessions whose certificate is refused now, one after
    /// the other; returns how many. On an error everything stays as it was.
    ///
    /// # Errors
    /// When a file is unusable.
    pub async fn reload_tls(&self) -> Result<usize, TlsError> {
        let config = tls::server_config(&self.paths, Arc::clone(&self.verifier))?;
        self.verifier.reload(&self.paths)?;
        self.tls.store(Arc::new(config));
        let mut ended = 0;
        for session in self.router.sessions.all() {
            if !self.verifier.accepts(&session.chain) {
                if ended > 0 {
                    sleep(self.router.options.close_pace).await;
                }
                session.stop(Stop::Close(Close { code: 1012, reason: "CRL reloaded" }));
                ended += 1;
            }
        }
        Ok(ended)
    }

    /// Accepts nobody any more, ends all sessions (1012) and waits until they are gone, or long enough. `paced`: one
    /// after the other, so that the agents do not come back all at once.
    pub async fn shutdown(mut self, paced: bool) {
        // An error only says that the listener is gone already.
        let _ = self.stop.send(true);
        self.router.sessions.refuse_newcomers();
        for session in self.router.sessions.all() {
            session.stop(Stop::Close(Close { code: 1012, reason: "Service restart." }));
            if paced {
                sleep(self.router.options.close_pace).await;
            }
        }
        if timeout(DRAIN_LIMIT, self.ended.recv()).await.is_err() {
            tracing::warn!("some sessions did not end in time");
        }
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
