//! Clients that take their time, and many of them: every wait has an end, and every crowd a limit.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::client::Answer;
use super::fakes::{KEPT, Shelf};
use super::raw::{PATIENCE, Raw};
use super::world::World;

const LIVE: &str = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A server that waits no longer than a test likes to. The HTTP layer's own clock goes in steps of half a second.
async fn impatient() -> World {
    World::with(|options| {
        options.head_timeout = Duration::from_millis(1_000);
        options.keep_alive = Duration::from_millis(1_500);
    })
    .await
}

#[actix_web::test]
async fn a_head_that_drips_is_given_up() {
    let world = impatient().await;
    let mut client = Raw::connect(&world).await;
    client.send("GET / HTTP/1.1\r\nX-Endless: ").await.unwrap();
    let answer = client.drip().await;
    assert_eq!((answer.status, answer.header("connection")), (408, "close"));
    answer.record("any", "slow-head");
}

#[actix_web::test]
async fn a_later_head_that_drips_is_given_up_too() {
    let world = impatient().await;
    let mut client = Raw::connect(&world).await;
    for _ in 0..3 {
        assert_eq!(client.ask(LIVE).await.status, 200);
    }
    client.send("GET / HTTP/1.1\r\nX-Endless: ").await.unwrap();
    let answer = client.drip().await;
    assert_eq!((answer.status, answer.header("connection")), (408, "close"));
    answer.record("any", "slow-head");
}

#[actix_web::test]
async fn a_head_that_begins_behind_a_whole_request_is_given_up_too() {
    let world = impatient().await;
    let mut client = Raw::connect(&world).await;
    assert_eq!(client.ask(format!("{LIVE}GET / HT")).await.status, 200);
    client.end().await;
}

/// The body is nothing that anybody reads, and so no handler bounds it.
#[actix_web::test]
async fn a_body_that_nobody_asked_for_does_not_hold_the_connection() {
    let world = impatient().await;
    for lines in ["Transfer-Encoding: chunked\r\n", "Content-Length: 1000000\r\n"] {
        let mut client = Raw::connect(&world).await;
        let head = format!("GET /livez HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
        assert_eq!(client.ask(head).await.status, 200, "{lines}");
        let drops = async {
            while client.send("1\r\nx\r\n").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, drops).await.is_ok(), "{lines}: the other side never has enough");
    }
}

#[actix_web::test]
async fn silence_ends_a_connection() {
    let world = impatient().await;
    assert!(Raw::connect(&world).await.end().await.starts_with("HTTP/1.1 408"), "none asked anything");
    let mut client = Raw::connect(&world).await;
    assert_eq!(client.ask(LIVE).await.status, 200);
    assert_eq!(client.end().await, "", "kept for the next request, which does not come");
}

#[actix_web::test]
async fn a_handshake_that_does_not_go_on_is_given_up() {
    let world = impatient().await;
    for begin in [&b""[..], b"\x16\x03\x01", b"GET / HTTP/1.1\r\n"] {
        let mut socket = TcpStream::connect(world.server.addr).await.unwrap();
        socket.write_all(begin).await.unwrap();
        let mut rest = Vec::new();
        // An alert, a reset, or nothing.
        let _ = socket.read_to_end(&mut rest).await;
        assert!(!rest.starts_with(b"HTTP"), "{begin:?}");
    }
}

/// The time between requests is not the time of an answer: a stream may be silent for longer.
#[actix_web::test]
async fn a_long_answer_is_not_silence() {
    let world = World::with(|options| {
        options.head_timeout = Duration::from_millis(1_000);
        options.keep_alive = Duration::from_millis(1_000);
        options.sse_comment = Duration::from_millis(2_500);
    })
    .await;
    super::seed::running_deploy(&world.store).await;
    let request = world.viewer().request("GET", "/orchestrator/v1/jobs/1/events?start=99");
    let mut stream = request.header("Accept", "text/event-stream").send().await.unwrap();
    assert_eq!(stream.chunk().await.unwrap().as_deref(), Some(&b": still here\n\n"[..]));
}

/// It may send as much as it likes meanwhile.
#[actix_web::test]
async fn a_client_that_does_not_read_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    std::fs::File::create(&kept).unwrap().set_len(64 << 20).unwrap();
    let world = World::over(Shelf { kept }, |options| options.stalled_client = Duration::from_millis(500)).await;
    super::seed::open_task(world.jobs(), "a.example.com").await;
    let mut client = Raw::node(&world, "a.example.com").await;
    let file = format!("/puppet/v3/file_content/tasks/greet/init.sh?sha256={KEPT}");
    client.send(format!("GET {file} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await.unwrap();
    let cut = async {
        while client.send("x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, cut).await.is_ok(), "it may leave everything unread for ever");
}

#[actix_web::test]
async fn there_are_so_many_streams_and_one_that_ends_makes_room() {
    let world = World::with(|options| {
        options.max_streams = 2;
        // A client that is gone is noticed when something is sent to it.
        options.sse_comment = Duration::from_millis(50);
    })
    .await;
    super::seed::running_deploy(&world.store).await;
    let viewer = world.viewer();
    let open = async || {
        let request = viewer.request("GET", "/orchestrator/v1/jobs/1/events").header("Accept", "text/event-stream");
        request.send().await.unwrap()
    };
    let (first, _second) = (open().await, open().await);
    let refused = open().await;
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (503, "5"));
    drop(first);
    while open().await.status() == 503 {
        tokio::task::yield_now().await;
    }
}

#[actix_web::test]
async fn there_is_room_for_so_many_connections_and_the_next_is_told() {
    let world = World::with(|options| options.max_connections = 2).await;
    let mut first = Raw::connect(&world).await;
    let _second = Raw::connect(&world).await;
    // Both are counted once they are through: the third comes after them.
    let mut third = Raw::connect(&world).await;
    let answer = third.ask("GET /orchestrator HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    answer.record("any", "too-many-connections");
    assert_eq!((answer.status, answer.header("connection")), (503, "close"));
    assert_eq!(third.end().await, "");
    let mut probe = Raw::connect(&world).await;
    let live = probe.ask(LIVE).await;
    assert_eq!((live.status, live.header("connection")), (200, "close"), "a crowd is no hang");
    let scarce = first.ask(LIVE).await;
    assert_eq!((scarce.status, scarce.header("connection")), (200, "close"), "no idle ones while room is scarce");
    assert_eq!(first.end().await, "");
    let viewer = world.viewer();
    while Answer::of(viewer.request("GET", "/orchestrator")).await.status == 503 {
        tokio::task::yield_now().await;
    }
}

#[actix_web::test]
async fn a_crowd_is_shut_out_and_does_not_stay() {
    let world = World::with(|options| options.max_connections = 1).await;
    let mut crowd = Vec::new();
    let refused = loop {
        match Raw::try_connect(&world).await {
            Ok(client) => crowd.push(client),
            Err(error) => break error,
        }
    };
    assert_eq!(crowd.len(), 1 + 64, "{refused}");
    drop(crowd);
    let viewer = world.viewer();
    let served =
        async |request: reqwest::RequestBuilder| request.send().await.is_ok_and(|answer| answer.status() == 200);
    while !served(viewer.request("GET", "/orchestrator")).await {
        tokio::task::yield_now().await;
    }
}
