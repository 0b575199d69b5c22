//! Bodies: their size, their content type, their errors.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use bunraku::tls::anonymous_client_config;
use futures_util::{StreamExt as _, stream};
use reqwest::Body;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::client::Answer;
use super::world::World;

const STOP: &str = "POST /orchestrator/v1/command/stop";

#[actix_web::test]
async fn bodies_beyond_the_limit_are_refused() {
    let world = World::with(|options| options.body_limit = 100).await;
    let request = world.operator().request("POST", "/orchestrator/v1/command/stop").body("x".repeat(101));
    Answer::of(request).await.record(STOP, "too-large");
}

/// Over HTTP/2 these answers would be lost: see `docs/adr/0005-http-1.1-only.md`.
#[actix_web::test]
async fn clients_that_prefer_http_2_get_http_1_and_every_answer() {
    let world = World::with(|options| options.body_limit = 100).await;
    let mut config = anonymous_client_config(&world.ca.ca()).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let tcp = TcpStream::connect(world.server.addr).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    // The body is announced, and never sent.
    let head = "POST /orchestrator/v1/command/stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n";
    for (token, status) in [("operator", "413"), ("nonsense", "401")] {
        stream.write_all(format!("{head}X-Authentication: {token}\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(std::str::from_utf8(&answer).unwrap(), format!("HTTP/1.1 {status}"));
        let tcp = TcpStream::connect(world.server.addr).await.unwrap();
        let config = anonymous_client_config(&world.ca.ca()).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    }
}

#[actix_web::test]
async fn the_content_type_does_not_matter() {
    let world = World::empty().await;
    for kind in ["application/x-www-form-urlencoded", "text/plain", "nonsense"] {
        let request = world.operator().request("POST", "/orchestrator/v1/command/stop").header("Content-Type", kind);
        let answer = Answer::of(request.body(r#"{"job": "x"}"#)).await;
        assert_eq!(answer.json()["details"]["key"], "job", "{kind}");
    }
}

#[actix_web::test]
async fn errors_of_bodies_tell_what_is_wrong() {
    let world = World::empty().await;
    let operator = world.operator();
    let post = async |body: &'static str| {
        Answer::of(operator.request("POST", "/orchestrator/v1/command/stop").body(body)).await
    };
    post("").await.record(STOP, "no-body");
    post("{\n  \"job\": }").await.record(STOP, "malformed");
    post("[]").await.record(STOP, "no-object");
    post(r#"{"job": true}"#).await.record(STOP, "wrong-type");
    post(r#"{"job": "12a"}"#).await.record(STOP, "no-number");
}

#[actix_web::test]
async fn a_body_that_does_not_arrive_is_given_up() {
    let world = World::with(|options| options.body_silence = Duration::from_millis(50)).await;
    let first = stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"{")) });
    let endless = Body::wrap_stream(first.chain(stream::pending()));
    let request = world.operator().request("POST", "/orchestrator/v1/command/stop").body(endless);
    let answer = Answer::of(request).await;
    assert_eq!((answer.status, answer.header("connection")), (408, "close"));
    answer.record(STOP, "timeout");
}

#[actix_web::test]
async fn a_body_that_trickles_is_given_up_too() {
    let world = World::with(|options| options.body_silence = Duration::from_millis(50)).await;
    let slow = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
    });
    let request = world.operator().request("POST", "/orchestrator/v1/command/stop").body(Body::wrap_stream(slow));
    assert_eq!(Answer::of(request).await.status, 408);
}

#[actix_web::test]
async fn a_body_that_nests_too_deep_is_refused_and_the_deepest_is_kept() {
    let world = World::empty().await;
    let deploy = |levels: usize| {
        // The body and userdata are the first two levels.
        let deep = format!("{}{}", "[".repeat(levels - 2), "]".repeat(levels - 2));
        let body = format!(
            r#"{{"environment": "production", "scope": {{"nodes": ["a.example.com"]}}, "userdata": {{"a": {deep}}}}}"#
        );
        world.operator().request("POST", "/orchestrator/v1/command/deploy").body(body)
    };
    for levels in [65, 120, 127] {
        let answer = Answer::of(deploy(levels)).await;
        assert_eq!(answer.status, 400, "{levels} levels: {}", answer.text);
    }
    let answer = Answer::of(deploy(64)).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let job = world.jobs().unfinished().await.unwrap();
    assert!(job.iter().all(|job| job.spec.userdata["a"].is_array()));
    let list = world.viewer().get("/orchestrator/v1/jobs").await.json();
    assert!(list["items"][0]["userdata"]["a"].is_array());
}
