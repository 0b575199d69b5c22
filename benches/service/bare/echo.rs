//! The bare side of a fleet: mutual TLS sockets, nothing kept for one but what TLS needs. On order a request of so many
//! bytes goes to each, and as many bytes as its agent answers are read.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bunraku::tls::{self, ReloadableServer, TlsPaths};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::Bare;
use crate::support::service::Site;

/// Bytes of the frames of one run on one node: the request, then the answers of its agent, with their heads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frames {
    pub(crate) request: usize,
    pub(crate) answers: usize,
}

/// Those of a deploy without output, as they go between the service and an agent of ours: one frame there, three back.
pub(crate) const DEPLOY: Frames = Frames { request: 414, answers: 1_138 };

/// Handshakes at once, on both sides.
const HANDSHAKES: usize = 64;

struct Shared {
    connected: AtomicUsize,
    answered: AtomicUsize,
    changed: Notify,
}

/// The process's body.
pub(super) fn serve(paths: TlsPaths) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let config = Arc::new(ReloadableServer::load(paths, true).unwrap().config());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap().port());
        let (orders, order) = watch::channel(None);
        let shared =
            Arc::new(Shared { connected: AtomicUsize::new(0), answered: AtomicUsize::new(0), changed: Notify::new() });
        let accepting = tokio::spawn(accept(listener, TlsAcceptor::from(config), order, Arc::clone(&shared)));
        let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            let numbers: Vec<usize> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
            match numbers[..] {
                [connections] => shared.until(|| shared.connected.load(Ordering::Acquire) >= connections).await,
                [request, answers] => {
                    shared.answered.store(0, Ordering::Release);
                    let connections = shared.connected.load(Ordering::Acquire);
                    let begun = Instant::now();
                    orders.send_replace(Some(Frames { request, answers }));
                    shared.until(|| shared.answered.load(Ordering::Acquire) >= connections).await;
                    println!("{}", begun.elapsed().as_secs_f64());
                    continue;
                }
                _ => panic!("unknown order: {line}"),
            }
            println!("done");
        }
        accepting.abort();
    });
}

impl Shared {
    async fn until(&self, holds: impl Fn() -> bool) {
        while !holds() {
            let changed = self.changed.notified();
            if holds() {
                return;
            }
            tokio::select! {
                () = changed => {}
                // Not every change is told: see `connection`.
                () = sleep(Duration::from_millis(1)) => {}
            }
        }
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, orders: watch::Receiver<Option<Frames>>, shared: Arc<Shared>) {
    let turns = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        let (tls, orders, shared) = (tls.clone(), orders.clone(), Arc::clone(&shared));
        let turn = Arc::clone(&turns).acquire_owned().await.unwrap();
        tokio::spawn(async move {
            tcp.set_nodelay(true).unwrap();
            let Ok(stream) = tls.accept(tcp).await else { return };
            drop(turn);
            shared.connected.fetch_add(1, Ordering::AcqRel);
            let _ = connection(stream, orders, &shared).await;
        });
    }
}

async fn connection(
    mut stream: tokio_rustls::server::TlsStream<TcpStream>,
    mut orders: watch::Receiver<Option<Frames>>,
    shared: &Shared,
) -> io::Result<()> {
    while orders.changed().await.is_ok() {
        let Some(Frames { request, answers }) = *orders.borrow_and_update() else { continue };
        stream.write_all(&vec![7; request]).await?;
        stream.flush().await?;
        let mut answer = vec![0; answers];
        stream.read_exact(&mut answer).await?;
        drop(answer);
        if shared.answered.fetch_add(1, Ordering::AcqRel) % 1_000 == 999 {
            shared.changed.notify_waiters();
        }
    }
    Ok(())
}

/// So many connected clients, which answer every request.
pub(crate) struct Clients {
    _clients: JoinSet<()>,
}

impl Clients {
    /// Connects them, with one certificate for all.
    pub(crate) async fn connect(site: &Site, bare: &mut Bare, count: usize, frames: Frames) -> Self {
        let config = Arc::new(tls::client_config(&site.ca.issue("bare.example.com")).unwrap());
        let turns = Arc::new(Semaphore::new(HANDSHAKES));
        let mut clients = JoinSet::new();
        for _ in 0..count {
            let (tls, turns, port) = (TlsConnector::from(Arc::clone(&config)), Arc::clone(&turns), bare.port);
            clients.spawn(async move {
                let turn = turns.acquire().await.unwrap();
                let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tcp.set_nodelay(true).unwrap();
                let stream = tls.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
                drop(turn);
                let _ = answer(stream, frames).await;
            });
        }
        // It is told from here, in a thread that may wait.
        tokio::task::block_in_place(|| bare.order(&count.to_string()));
        Self { _clients: clients }
    }
}

async fn answer(mut stream: tokio_rustls::client::TlsStream<TcpStream>, frames: Frames) -> io::Result<()> {
    let mut request = vec![0; frames.request];
    loop {
        stream.read_exact(&mut request).await?;
        stream.write_all(&vec![9; frames.answers]).await?;
        stream.flush().await?;
    }
}
