//! A service over HTTPS that answers what a test wants, also what no decent one would.

use std::sync::Arc;

use bunraku::tls::{self, ReloadableVerifier, TlsPaths};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use url::Url;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Method and target, as in `GET /puppet/v3/environments`.
    pub(crate) what: String,
    pub(crate) body: String,
}

/// What is answered.
pub(crate) enum Reply {
    /// Status, content type, body.
    Whole(u16, &'static str, Vec<u8>),
    /// As whole, but the connection ends in the middle of the body.
    Half(&'static str),
    /// Nothing, while the connection stays.
    Silence,
}

impl Reply {
    pub(crate) fn json(value: &serde_json::Value) -> Self {
        Self::Whole(200, "application/json;charset=utf-8", value.to_string().into_bytes())
    }

    pub(crate) fn text(status: u16, text: &str) -> Self {
        Self::Whole(status, "text/plain;charset=utf-8", text.as_bytes().to_vec())
    }
}

/// Ends when it is dropped.
pub(crate) struct FakeService {
    pub(crate) url: Url,
    asked: Arc<Mutex<Vec<Asked>>>,
    tasks: JoinSet<()>,
}

impl FakeService {
    pub(crate) async fn start(paths: &TlsPaths, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        tls::install_provider();
        let verifier = ReloadableVerifier::load(paths, true).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls::server_config(paths, verifier).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("https://localhost:{}", listener.local_addr().unwrap().port())).unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (answer, log) = (Arc::new(answer), Arc::clone(&asked));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut sessions = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, answer, log) = (acceptor.clone(), Arc::clone(&answer), Arc::clone(&log));
                sessions.spawn(async move { serve(acceptor, socket, &*answer, &log).await });
            }
        });
        Self { url, asked, tasks }
    }

    /// Ends it; nobody listens any more when this returns.
    pub(crate) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }

    /// Everything asked so far but whether it is alive, as `METHOD /path`.
    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock();
        asked.iter().map(|asked| asked.what.clone()).filter(|what| !what.ends_with("/status/v1/simple")).collect()
    }

    /// The bodies of what was asked so far.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.asked.lock().iter().map(|asked| asked.body.clone()).filter(|body| !body.is_empty()).collect()
    }
}

/// One request and its answer; `None` as soon as the other side is gone.
async fn serve(
    acceptor: TlsAcceptor,
    socket: TcpStream,
    answer: &(dyn Fn(&Asked) -> Reply + Send + Sync),
    log: &Mutex<Vec<Asked>>,
) {
    let Ok(mut stream) = acceptor.accept(socket).await else { return };
    let mut bytes = Vec::new();
    let asked = loop {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
        if let Some(asked) = parse(&bytes) {
            break asked;
        }
    };
    log.lock().push(asked.clone());
    let (status, kind, body, length) = match answer(&asked) {
        Reply::Whole(status, kind, body) => (status, kind, body.clone(), body.len()),
        Reply::Half(text) => (200, "application/json", text.as_bytes().to_vec(), text.len() * 2),
        Reply::Silence => return std::future::pending().await,
    };
    let head =
        format!("HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    // A client that has seen enough may be gone.
    let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
    let _ = stream.shutdown().await;
}

fn parse(bytes: &[u8]) -> Option<Asked> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    if body.len() < length.unwrap_or(0) {
        return None;
    }
    let mut words = head.split(' ');
    Some(Asked { what: format!("{} {}", words.next()?, words.next()?), body: body.to_owned() })
}
