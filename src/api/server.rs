//! The HTTPS listener: TLS with an optional client certificate, HTTP/1.1, all routes.
//!
//! It takes no signals and decides nothing about the order of a shutdown: whoever starts it stops it.

use std::any::Any;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::{Extensions, ServerHandle};
use actix_web::http::KeepAlive;
use actix_web::middleware::{NormalizePath, TrailingSlash, from_fn};
use actix_web::{App, HttpServer, web};
use bunraku_actors::model::CertName;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::audit::audited;
use super::observe::observe;
use super::routes::configure;
use super::state::State;
use crate::tls::common_name;

/// Connections per worker thread. Further ones wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 25_000;
/// Connections that the kernel keeps waiting. Further ones are refused by it.
const BACKLOG: u32 = 2_048;
/// How long a client may take to send its request's head.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// What a connection's client certificate says, once per connection.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) certname: Option<CertName>,
}

/// A running listener.
pub struct Server {
    /// Where it listens.
    pub addr: SocketAddr,
    handle: ServerHandle,
    task: JoinHandle<io::Result<()>>,
    state: State,
}

impl Server {
    /// Serves the API on a bound listener. `tls` must ask for client certificates without requiring them
    /// ([`crate::tls::ReloadableVerifier`] with `required: false`).
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub fn start(listener: TcpListener, tls: ServerConfig, state: State) -> io::Result<Self> {
        let addr = listener.local_addr()?;
        let options = state.options.clone();
        let data = web::Data::new(state.clone());
        let stalled_client = options.stalled_client;
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .wrap(from_fn(audited))
                .wrap(from_fn(observe))
                .wrap(NormalizePath::new(TrailingSlash::Trim))
                .configure(configure)
        })
        .workers(options.workers)
        .max_connections(MAX_CONNECTIONS)
        .backlog(BACKLOG)
        .keep_alive(KeepAlive::Timeout(options.keep_alive))
        .client_request_timeout(REQUEST_TIMEOUT)
        .shutdown_timeout(options.shutdown_timeout.as_secs())
        .on_connect(move |connection, data| on_connect(connection, data, stalled_client))
        .disable_signals()
        .listen_rustls_0_23(listener, tls)?
        .run();
        let handle = server.handle();
        Ok(Self { addr, handle, task: tokio::spawn(server), state })
    }

    /// Ends event streams, then stops: gracefully waits for requests in progress up to the time-out of the options.
    pub async fn stop(self, graceful: bool) {
        self.state.close();
        self.handle.stop(graceful).await;
        match self.task.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the HTTP listener failed"),
            Err(error) => tracing::error!(%error, "the HTTP listener was lost"),
        }
    }
}

fn on_connect(connection: &dyn Any, data: &mut Extensions, stalled_client: Duration) {
    let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>() else { return };
    let (socket, session) = stream.get_ref();
    limit_stall(socket, stalled_client);
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    let certname = certificate.and_then(|certificate| {
        let name = common_name(certificate);
        name.inspect_err(|error| tracing::warn!(%error, "a client certificate is of no use")).ok()
    });
    data.insert(Peer { certname });
}

/// Has the kernel cut a connection whose client acknowledges nothing, or reads nothing, for that long. Nobody else can:
/// while a socket takes no data, the HTTP layer does not ask for any.
#[cfg(target_os = "linux")]
fn limit_stall(socket: &TcpStream, stalled_client: Duration) {
    let milliseconds = u32::try_from(stalled_client.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(socket, milliseconds) {
        tracing::warn!(%error, "cannot limit how long a client may stall");
    }
}

#[cfg(not(target_os = "linux"))]
fn limit_stall(_: &TcpStream, _: Duration) {}
