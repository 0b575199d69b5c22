//! A server that answers what a test tells it to: enough HTTP over TLS for the command line, and nothing more.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use bunraku::tls::{self, ReloadableVerifier};
use parking_lot::{Condvar, Mutex};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use super::{Ended, bunraku};
use crate::support::ca::TestCa;

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// `GET /path?query`.
    pub(super) target: String,
    /// The head, lower-cased.
    pub(super) head: String,
    pub(super) body: String,
}

/// What it answers: a status and a body, or an event stream that ends after these bytes.
pub(super) enum Reply {
    Json(u16, Value),
    Stream(String),
    /// A stream that goes on with the second text when the gate is open.
    Gated(String, Gate, String),
}

/// Something that happens once.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(super) fn open(&self) {
        *self.0.0.lock() = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let mut open = self.0.0.lock();
        while !*open {
            self.0.1.wait(&mut open);
        }
    }
}

/// Every connection carries one request, on a thread of its own, and is closed after its reply.
pub(super) struct Server {
    pub(super) url: String,
    pub(super) ca: PathBuf,
    seen: Arc<Mutex<Vec<Request>>>,
    _ca: TestCa,
}

impl Server {
    pub(super) fn start(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        tls::install_provider();
        let ca = TestCa::new();
        let paths = ca.issue("localhost");
        let verifier = ReloadableVerifier::load(&paths, false).unwrap();
        let config = Arc::new(tls::server_config(&paths, verifier).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        let reply = Arc::new(reply);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (config, reply, kept) = (Arc::clone(&config), Arc::clone(&reply), Arc::clone(&kept));
                thread::spawn(move || serve(connection.unwrap(), &config, &*reply, &kept));
            }
        });
        Self { url: format!("https://localhost:{}", address.port()), ca: paths.ca, seen, _ca: ca }
    }

    /// Runs a command against it.
    pub(super) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(bunraku().args(arguments).args(["--url", &self.url]).arg("--ca").arg(&self.ca))
    }

    /// Whether such a request came.
    pub(super) fn was_asked(&self, target: &str) -> bool {
        self.seen().iter().any(|request| request.target == target)
    }

    /// Every request so far.
    pub(super) fn seen(&self) -> Vec<Request> {
        self.seen.lock().clone()
    }
}

fn serve(
    socket: TcpStream,
    config: &Arc<ServerConfig>,
    reply: &impl Fn(&Request) -> Reply,
    seen: &Mutex<Vec<Request>>,
) {
    let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), socket);
    // A client that goes away in the middle is its own business.
    let Some(request) = read_request(&mut stream) else { return };
    seen.lock().push(request.clone());
    const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream";
    let (head, body) = match reply(&request) {
        Reply::Json(status, body) => {
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let head =
                format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
            (head, body)
        }
        Reply::Stream(body) => (STREAM.to_owned(), body),
        Reply::Gated(first, gate, rest) => {
            let _ = write!(stream, "{STREAM}\r\nconnection: close\r\n\r\n{first}");
            let _ = stream.flush();
            gate.wait();
            let _ = write!(stream, "{rest}");
            stream.conn.send_close_notify();
            let _ = stream.flush();
            return;
        }
    };
    let _ = write!(stream, "{head}\r\nconnection: close\r\n\r\n{body}");
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

fn read_request(stream: &mut impl Read) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut portion = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if body.len() >= length.unwrap_or(0) {
                let line = text.lines().next()?;
                let target = line.rsplit_once(' ')?.0.to_owned();
                return Some(Request { target, head, body: body.to_owned() });
            }
        }
        match stream.read(&mut portion) {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&portion[..read]),
        }
    }
}
