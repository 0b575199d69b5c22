//! Who gets in, and how the others are turned away.

use std::sync::Arc;
use std::time::Duration;

use bunraku::tls::{self, TlsPaths};
use bunraku_actors::ports::Transport;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite;

use super::rig::{Rig, name, soon, until};
use crate::support::ca::TestCa;

#[tokio::test]
async fn version_2_paths_make_agents() {
    let rig = Rig::start().await;
    for (cn, path) in [("a", "/pcp2"), ("b", "/pcp2/"), ("c", "/pcp2/agent")] {
        let _agent = rig.connect(&rig.ca.issue(cn), path, &[("x-bunraku-spool", "s-1")]).await.unwrap();
        let connection = rig.transport.connection(&name(cn)).unwrap();
        assert_eq!((connection.node, connection.spool.as_deref()), (name(cn), Some("s-1")));
    }
    until("everyone left", || rig.sessions.count() == 0).await;
}

#[tokio::test]
async fn other_paths_and_types_are_refused_before_the_upgrade() {
    let rig = Rig::start().await;
    let paths = rig.ca.issue("a");
    for (path, status, text) in [
        ("/pcp2/server", 403, "client type"),
        ("/pcp2/controller", 403, "client type"),
        ("/pcp2/a/b", 404, "/pcp2/"),
        ("/", 404, "/pcp2/"),
        ("/pcp/agent", 404, "pcp-version 2"),
    ] {
        let (got, body) = rig.refusal(&paths, path).await;
        assert!(got == status && body.contains(text), "{path}: {got} {body}");
    }
    assert_eq!(rig.sessions.count(), 0);
}

#[tokio::test]
async fn a_certificate_of_our_ca_is_required() {
    let rig = Rig::start().await;
    let stranger = TestCa::new();
    let mixed = TlsPaths { ca: rig.ca.ca(), ..stranger.issue("a") };
    assert!(is_tls_refusal(rig.connect(&mixed, "/pcp2/", &[]).await.map(|_| ())));
    let revoked = rig.ca.issue("b");
    rig.ca.revoke("b");
    rig.broker.reload_tls().unwrap();
    assert!(is_tls_refusal(rig.connect(&revoked, "/pcp2/", &[]).await.map(|_| ())));

    let config = tls::anonymous_client_config(&rig.ca.ca()).unwrap();
    let tcp = TcpStream::connect(rig.broker.address()).await.unwrap();
    let connected = TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), tcp).await;
    // In TLS 1.3 the client learns only afterwards that the server refused it.
    if let Ok(mut stream) = connected {
        assert!(stream.read(&mut [0; 16]).await.is_err());
    }
    assert_eq!(rig.sessions.count(), 0);
}

fn is_tls_refusal(result: Result<(), tungstenite::Error>) -> bool {
    matches!(result, Err(tungstenite::Error::Io(_) | tungstenite::Error::Tls(_) | tungstenite::Error::Protocol(_)))
}

#[tokio::test]
async fn a_revoked_certificate_ends_its_session() {
    let rig = Rig::start().await;
    let (mut kept, mut gone) = (rig.agent("a").await, rig.agent("b").await);
    assert_eq!(rig.broker.reload_tls().unwrap(), 0);
    rig.ca.revoke("b");
    assert_eq!(rig.broker.reload_tls().unwrap(), 1);
    assert_eq!(gone.close_code().await, 1012);
    until("the revoked one left", || rig.transport.connections().len() == 1).await;
    assert!(rig.transport.connection(&name("a")).is_some());
    rig.broker.shutdown().await;
    assert_eq!(kept.close_code().await, 1012);
}

#[tokio::test]
async fn the_connection_limit_refuses_with_503() {
    let rig = Rig::with(|options| options.max_connections = 1).await;
    let paths = rig.ca.issue("a");
    let _one = rig.connect(&paths, "/pcp2/", &[]).await.unwrap();
    let (status, text) = rig.refusal(&rig.ca.issue("b"), "/pcp2/").await;
    assert!(status == 503 && text.contains("limit"), "{status} {text}");
    rig.connect(&paths, "/pcp2/", &[]).await.expect("a reconnect needs no free place");
}

/// The first bytes that a TLS client sends.
fn hello(rig: &Rig) -> Vec<u8> {
    let config = Arc::new(tls::anonymous_client_config(&rig.ca.ca()).unwrap());
    let mut client = rustls::ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn connections_that_say_nothing_or_half_of_it_hold_up_nobody() {
    // Nothing is cut off by time here: what gets through does so past all the others.
    let rig = Rig::with(|options| {
        options.max_handshakes = 2;
        options.max_silent = 200;
        options.silent_grace = Duration::ZERO;
        options.handshake_timeout = Duration::from_secs(3_600);
    })
    .await;
    let (hello, mut held) = (hello(&rig), Vec::new());
    for (count, said) in [(300, 0), (100, 20), (4, hello.len())] {
        for _ in 0..count {
            let mut stream = TcpStream::connect(rig.broker.address()).await.unwrap();
            stream.write_all(&hello[..said]).await.unwrap();
            held.push(stream);
        }
    }
    let _one = Box::pin(soon("a node to get in", rig.agent("a"))).await;
    let _other = Box::pin(soon("another one to get in", rig.agent("b"))).await;
    let first = &mut held[0];
    assert_eq!(soon("the oldest silent one to go", first.read(&mut [0; 16])).await.unwrap_or(0), 0);
    // Its request's head never ends, but it has a certificate, and no turn any more.
    let config = Arc::new(tls::client_config(&rig.ca.issue("c")).unwrap());
    let mut slow = Vec::new();
    for _ in 0..6 {
        let tcp = TcpStream::connect(rig.broker.address()).await.unwrap();
        let connector = TlsConnector::from(Arc::clone(&config));
        let mut stream = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
        stream.write_all(b"GET /pcp2/ HTTP/1.1\r\nHost: ").await.unwrap();
        stream.flush().await.unwrap();
        slow.push(stream);
    }
    let _third = Box::pin(soon("a third node to get in", rig.agent("d"))).await;
    assert_eq!(rig.sessions.count(), 3);
}

#[tokio::test]
async fn handshakes_that_their_peers_never_end_are_bounded() {
    let rig = Rig::with(|options| {
        options.max_silent = 100;
        options.silent_grace = Duration::ZERO;
        options.handshake_timeout = Duration::from_secs(3_600);
    })
    .await;
    let hello = hello(&rig);
    let mut held = Vec::new();
    for _ in 0..400 {
        let mut stream = TcpStream::connect(rig.broker.address()).await.unwrap();
        stream.write_all(&hello).await.unwrap();
        held.push(stream);
    }
    let _agent = Box::pin(soon("a node to get in", rig.agent("a"))).await;
    for stream in held.iter_mut().take(300) {
        let mut answer = Vec::new();
        // A reset is an end, too.
        let _ = soon("a handshake to be given up", stream.read_to_end(&mut answer)).await;
    }
}

#[tokio::test]
async fn a_certificate_that_is_revoked_during_the_handshake_gets_no_session() {
    let rig = Rig::start().await;
    let (good, bad) = (rig.ca.issue("a"), rig.ca.issue("b"));
    let (mut kept, mut gone) = (tls_1_2(&rig, &good).await, tls_1_2(&rig, &bad).await);
    rig.ca.revoke("b");
    assert_eq!(rig.broker.reload_tls().unwrap(), 0, "no session to end yet");
    let request = "GET /pcp2/ HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for (stream, status) in [(&mut kept, "101"), (&mut gone, "403")] {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        soon("the answer", stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(answer, *format!("HTTP/1.1 {status}").as_bytes());
    }
    assert_eq!(rig.sessions.count(), 1);
}

/// A connection whose handshake is over on both sides; the agents of Puppet Enterprise speak TLS 1.2 only.
async fn tls_1_2(rig: &Rig, paths: &TlsPaths) -> TlsStream<TcpStream> {
    let config = rustls::ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS12])
        .with_root_certificates(tls::read_roots(&paths.ca).unwrap())
        .with_client_auth_cert(tls::read_certificates(&paths.cert).unwrap(), tls::read_key(&paths.key).unwrap())
        .unwrap();
    let tcp = TcpStream::connect(rig.broker.address()).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    soon("a handshake", connector.connect("localhost".try_into().unwrap(), tcp)).await.unwrap()
}

#[tokio::test]
async fn slow_handshakes_are_cut_off() {
    let rig = Rig::with(|options| options.handshake_timeout = std::time::Duration::from_millis(50)).await;
    for said in [&[][..], &hello(&rig)[..20], &hello(&rig)] {
        let mut slow = TcpStream::connect(rig.broker.address()).await.unwrap();
        slow.write_all(said).await.unwrap();
        let mut answered = Vec::new();
        // Its end may come as a reset, which is an end as well.
        let _ = soon("a slow one to be cut off", slow.read_to_end(&mut answered)).await;
    }
    assert_eq!(rig.sessions.count(), 0);
}

#[tokio::test]
async fn a_fleet_that_comes_back_at_once_finds_room_while_nobody_is_accepted() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let kernel = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    // More than a listener has room for that asks for nothing special.
    let fleet = kernel.trim().parse::<usize>().unwrap().min(1_500);
    let rig = Rig::start().await;
    // On this thread, which is the broker's as well: it accepts nobody meanwhile.
    let fleet: Vec<_> = (0..fleet)
        .map(|_| std::net::TcpStream::connect_timeout(&rig.broker.address(), Duration::from_secs(5)).unwrap())
        .collect();
    let _agent = Box::pin(soon("a node to get in", rig.agent("a"))).await;
    drop(fleet);
}
