//! The HTTPS listener: TLS with an optional client certificate, HTTP/1.1, all routes.
//!
//! It takes no signals and decides nothing about the order of a shutdown: whoever starts it stops it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::body::MessageBody;
use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Protocol};
use actix_server::{GracefulShutdownSignal, ServerHandle};
use actix_service::{IntoServiceFactory as _, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::dev::{AppConfig, ServiceRequest, ServiceResponse};
use actix_web::middleware::{NormalizePath, TrailingSlash, from_fn};
use actix_web::{App, Error, web};
use bunraku_actors::model::CertName;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::audit::audited;
use super::compress::compress;
use super::connection::{Connection, Patience};
use super::gate::gate;
use super::observe::observe;
use super::routes::configure;
use super::seats::Seats;
use super::state::{Options, State};
use super::ui::ui;
use crate::tls::common_name;

/// Connections that the kernel keeps waiting. Further ones are refused by it.
const BACKLOG: u32 = 2_048;

/// How long a client may take to close a connection that is over; what it still sends is thrown away.
const FAREWELL: Duration = Duration::from_secs(1);

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
        let options = Arc::clone(&state.options);
        let door = Arc::new(Door::new(tls, &options));
        let data = state.clone();
        let builder = actix_server::Server::build();
        let stopping = builder.graceful_shutdown_signal();
        let server = builder
            .workers(options.workers)
            .backlog(BACKLOG)
            // The door counts; a listener that is full itself would let newcomers wait without a word.
            .max_concurrent_connections(door.seats.most().saturating_mul(2))
            .shutdown_timeout(options.shutdown_timeout.as_secs())
            .disable_signals()
            .listen("api", listener, move || {
                let http = http(app(data.clone(), Arc::clone(&door.seats)), &options, stopping.clone());
                let door = Arc::clone(&door);
                fn_service(move |socket| Arc::clone(&door).enter(socket)).and_then(http)
            })?
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

/// All routes, with what stands before them. The last one wrapped is the first to see a request.
fn app(
    state: State,
    seats: Arc<Seats>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + 'static>,
        Error = Error,
        InitError = (),
    >,
> {
    App::new()
        .app_data(web::Data::new(state))
        .app_data(web::Data::from(seats))
        .wrap(from_fn(audited))
        .wrap(from_fn(compress))
        .wrap(from_fn(gate))
        .wrap(from_fn(observe))
        .wrap(from_fn(ui))
        .wrap(NormalizePath::new(TrailingSlash::Trim))
        .configure(configure)
}

/// HTTP/1.1 on connections that came through the door.
fn http<A, B>(
    app: App<A>,
    options: &Options,
    stopping: GracefulShutdownSignal,
) -> impl ServiceFactory<Entered, Config = (), Response = (), Error = DispatchError, InitError = ()> + use<A, B>
where
    A: ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse<B>, Error = Error, InitError = ()>
        + 'static,
    B: MessageBody + 'static,
{
    let app = app.into_factory().map_err(|error: Error| error.error_response());
    HttpService::build()
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        .keep_alive(KeepAlive::Timeout(options.keep_alive))
        .client_request_timeout(options.head_timeout)
        .client_disconnect_timeout(FAREWELL)
        .on_connect_ext(|connection: &Connection, data: &mut actix_http::Extensions| {
            data.insert(connection.peer().clone());
        })
        .finish(map_config(app, |()| AppConfig::default()))
}

/// A connection as HTTP wants it.
type Entered = (Connection, Protocol, Option<SocketAddr>);

/// What stands before HTTP: a seat for every connection, and TLS.
struct Door {
    tls: TlsAcceptor,
    seats: Arc<Seats>,
    patience: Patience,
}

impl Door {
    fn new(mut tls: ServerConfig, options: &Options) -> Self {
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self {
            tls: TlsAcceptor::from(Arc::new(tls)),
            seats: Arc::new(Seats::new(options.max_connections)),
            patience: Patience { head: options.head_timeout, idle: options.keep_alive, stall: options.stalled_client },
        }
    }

    /// Lets a connection in. One for which there is no seat, or that does not shake hands in time, is closed.
    async fn enter(self: Arc<Self>, socket: TcpStream) -> Result<Entered, DispatchError> {
        let full = || io::Error::other("there are too many connections");
        let place = self.seats.take().ok_or_else(full).map_err(DispatchError::Io)?;
        limit_stall(&socket, self.patience.stall);
        let address = socket.peer_addr().ok();
        let handshake = timeout(self.patience.head, self.tls.accept(socket)).await;
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let stream = handshake.map_err(late).and_then(|stream| stream).map_err(DispatchError::Io)?;
        let certname = certname(&stream);
        Ok((Connection::new(stream, certname, self.patience, place), Protocol::Http1, address))
    }
}

fn certname(stream: &TlsStream<TcpStream>) -> Option<CertName> {
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first)?;
    let name = common_name(certificate);
    name.inspect_err(|error| tracing::warn!(%error, "a client certificate is of no use")).ok()
}

/// Has the kernel cut a connection whose client acknowledges nothing for that long: one that vanished, while what is sent
/// to it still fits the socket.
#[cfg(target_os = "linux")]
fn limit_stall(socket: &TcpStream, stalled_client: Duration) {
    let milliseconds = u32::try_from(stalled_client.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(socket, milliseconds) {
        tracing::warn!(%error, "cannot limit how long a client may stall");
    }
}

#[cfg(not(target_os = "linux"))]
fn limit_stall(_: &TcpStream, _: Duration) {}
