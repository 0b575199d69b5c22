//! Requests as no honest client sends them: too large, of two meanings, or from places where we do not want to lead.

use bunraku::api::ENDPOINTS;
use serde_json::json;

use super::access::filled;
use super::client::Answer;
use super::raw::{Raw, ask};
use super::world::World;

const JOBS: &str = "/orchestrator/v1/jobs";

/// A GET of the jobs with a viewer's token and more header lines.
fn get(lines: &str) -> String {
    format!("GET {JOBS} HTTP/1.1\r\nHost: localhost\r\nX-Authentication: viewer\r\n{lines}\r\n")
}

fn fields(number: usize) -> String {
    (0..number).map(|i| format!("X-Field-{i}: 1\r\n")).collect()
}

#[actix_web::test]
async fn heads_are_bounded_in_number_and_size() {
    let world = World::empty().await;
    let mut client = Raw::connect(&world).await;
    assert_eq!(client.ask(get(&fields(62))).await.status, 200, "64 fields with the two above");
    client.ask(get(&fields(63))).await.record("any", "too-many-fields");
    let wide = client.ask(get(&format!("X-Wide: {}\r\n", "x".repeat(40_000)))).await;
    assert_eq!((wide.status, wide.header("connection")), (431, ""), "{}", wide.text);
    assert_eq!(client.ask(get("")).await.status, 200, "the connection is as good as before");
}

#[actix_web::test]
async fn heads_that_the_http_layer_does_not_read_are_refused_in_json_too() {
    let world = World::empty().await;
    let many = ask(&world, get(&fields(100))).await;
    many.record("any", "far-too-many-fields");
    let mut endless = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Wide: ".to_vec();
    endless.resize(131_072, b'x');
    let large = ask(&world, endless).await;
    assert_eq!((large.status, large.header("connection"), &large.text), (431, "close", &many.text));
    ask(&world, "nonsense\r\n\r\n").await.record("any", "no-http");
}

#[actix_web::test]
async fn targets_and_queries_are_bounded() {
    let world = World::empty().await;
    let viewer = world.viewer();
    let query = |number: usize| format!("{JOBS}?{}", vec!["a=1"; number].join("&"));
    assert_eq!(viewer.get(&query(100)).await.status, 200);
    viewer.get(&query(101)).await.record("any", "too-many-parameters");
    let path = |length: usize| format!("{JOBS}?{}", "x".repeat(length - JOBS.len() - 1));
    assert_eq!(viewer.get(&path(8_192)).await.status, 200);
    viewer.get(&path(8_193)).await.record("any", "too-long-target");
    let beyond = get("").replacen(JOBS, &path(70_000), 1);
    assert_eq!(ask(&world, beyond).await.status, 400, "more than the HTTP layer reads as a target");
}

#[actix_web::test]
async fn pages_far_beyond_the_end_are_empty() {
    let world = World::seeded().await;
    let viewer = world.viewer();
    let huge = "999999999999999999999999999";
    for list in [JOBS.to_owned(), format!("{JOBS}/1/nodes")] {
        let answer = viewer.get(&format!("{list}?offset={huge}")).await;
        assert_eq!((answer.status, &answer.json()["items"]), (200, &json!([])), "{list}");
        let all = viewer.get(&list).await.json()["items"].clone();
        assert_eq!(viewer.get(&format!("{list}?limit={huge}")).await.json()["items"], all, "{list}");
        for bad in ["-1", "1e3", "0x10", "+1", "", "%00", "1%202", "١"] {
            for key in ["limit", "offset"] {
                assert_eq!(viewer.get(&format!("{list}?{key}={bad}")).await.status, 400, "{list} {key}={bad}");
            }
        }
    }
    let events = viewer.get(&format!("{JOBS}/1/events?start={huge}")).await;
    assert_eq!((events.status, &events.json()["items"]), (200, &json!([])));
}

#[actix_web::test]
async fn what_is_said_twice_has_one_meaning() {
    let world = World::seeded().await;
    let nobody = world.nobody();
    let last = world.viewer().get(&format!("{JOBS}?limit=9&limit=1")).await.json();
    assert_eq!((last["items"].as_array().unwrap().len(), &last["pagination"]["limit"]), (1, &json!(1)));
    assert_eq!(nobody.get(&format!("{JOBS}?token=wrong&token=viewer")).await.status, 200, "the last counts");
    assert_eq!(nobody.get(&format!("{JOBS}?token=viewer&token=wrong")).await.status, 401);
    for second in ["viewer", "wrong"] {
        let twice = ask(&world, get(&format!("X-Authentication: {second}\r\n"))).await;
        assert_eq!((twice.status, twice.header("connection")), (400, "close"), "{second}");
    }
    ask(&world, get("x-authentication: admin\r\n")).await.record("any", "two-tokens");
}

/// What a second server between client and us might read in another way.
#[actix_web::test]
async fn no_request_hides_another() {
    let world = World::empty().await;
    let hidden = get("");
    let length = hidden.len();
    let post = |lines: &str, body: &str| {
        let head = "POST /orchestrator/v1/command/stop HTTP/1.1\r\nHost: localhost\r\nX-Authentication: viewer\r\n";
        format!("{head}{lines}\r\n{body}{hidden}")
    };
    let shapes = [
        ("two lengths", post(&format!("Content-Length: 0\r\nContent-Length: {length}\r\n"), "")),
        ("two equal lengths", post("Content-Length: 0\r\nContent-Length: 0\r\n", "")),
        ("a list of lengths", post("Content-Length: 0, 0\r\n", "")),
        ("a signed length", post("Content-Length: +0\r\n", "")),
        ("a negative length", post("Content-Length: -1\r\n", "")),
        ("a length with white space in its name", post("Content-Length : 0\r\n", "")),
        ("length and chunks", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
        ("chunks and length", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")),
        ("two encodings", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n")),
        ("a list of encodings", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")),
        ("an unknown encoding", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n")),
        ("an encoding after a tab", post("Transfer-Encoding:\u{b}chunked\r\n", "0\r\n\r\n")),
        ("a folded encoding", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n")),
        ("chunks in HTTP/1.0", post("Transfer-Encoding: chunked\r\n", "0\r\n\r\n").replacen("HTTP/1.1", "HTTP/1.0", 1)),
        ("no length in HTTP/1.0", post("", "").replacen("HTTP/1.1", "HTTP/1.0", 1)),
        ("no host", hidden.replacen("Host: localhost\r\n", "", 1) + &hidden),
        ("two hosts", hidden.replacen("Host:", "Host: evil.example.com\r\nHost:", 1) + &hidden),
        ("a name with a NUL", get("X\0Y: 1\r\n") + &hidden),
        ("a value with a lone CR", get("X: 1\rY: 2\r\n") + &hidden),
        ("another protocol", hidden.replacen("HTTP/1.1", "HTTP/2.0", 1) + &hidden),
        ("a target with a space", hidden.replacen("/jobs", "/jobs /x", 1) + &hidden),
        ("an upgrade over a length", post(&format!("Upgrade: websocket\r\nContent-Length: {length}\r\n"), "")),
        ("an upgrade", get("Connection: Upgrade\r\nUpgrade: websocket\r\n") + &hidden),
    ];
    for (shape, bytes) in shapes {
        let mut client = Raw::connect(&world).await;
        let answer = client.ask(bytes).await;
        assert_eq!((answer.status, answer.header("connection")), (400, "close"), "{shape}: {}", answer.text);
        assert_eq!(answer.json()["kind"], "puppetlabs.orchestrator/validation-error", "{shape}");
        assert_eq!(client.end().await, "", "{shape}: what follows is no request");
    }
    ask(&world, get("Upgrade: websocket\r\n")).await.record("any", "upgrade");
}

#[actix_web::test]
async fn bodies_end_where_they_say() {
    let world = World::empty().await;
    let post = "POST /orchestrator/v1/command/stop HTTP/1.1\r\nHost: localhost\r\nX-Authentication: operator\r\n";
    let mut client = Raw::connect(&world).await;
    // A body within its length, then another request, all in one piece.
    client.send(format!("{post}Content-Length: 2\r\n\r\n{{}}{}", get(""))).await.unwrap();
    assert_eq!((client.answer().await.status, client.answer().await.status), (400, 200));
    client.send(format!("{post}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{}", get(""))).await.unwrap();
    assert_eq!((client.answer().await.status, client.answer().await.status), (400, 200));
    for bad in ["x\r\n{}\r\n", "-2\r\n{}\r\n", "fffffffffffffffff\r\n{}\r\n", "2\n{}\n", "2\r\n{}xx0\r\n\r\n"] {
        let mut client = Raw::connect(&world).await;
        client.send(format!("{post}Transfer-Encoding: chunked\r\n\r\n{bad}{}", get(""))).await.unwrap();
        let all = client.end().await;
        // Whether the handler has begun by then decides whether there is an answer at all.
        assert!(all.is_empty() || all.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{bad:?}: {all}");
        assert_eq!(all.matches("HTTP/1.1").count(), usize::from(!all.is_empty()), "{bad:?}: {all}");
    }
}

/// A lone LF ends a line for many servers, and for this one; it must not do so within a value.
#[actix_web::test]
async fn lone_line_feeds_make_no_second_request() {
    let world = World::empty().await;
    let mut client = Raw::connect(&world).await;
    let bare = get("").replace("\r\n", "\n");
    assert_eq!(client.ask(bare).await.status, 200);
    assert_eq!(client.ask(get("X: 1\nX-Authentication: admin\r\n")).await.status, 400, "the second token is seen");
}

#[actix_web::test]
async fn http_1_0_is_answered_and_closed() {
    let world = World::empty().await;
    let mut client = Raw::connect(&world).await;
    let answer = client.ask(format!("GET {JOBS} HTTP/1.0\r\nX-Authentication: viewer\r\n\r\n")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(client.end().await, "");
    let mut client = Raw::connect(&world).await;
    let post =
        "POST /orchestrator/v1/command/stop HTTP/1.0\r\nX-Authentication: operator\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(client.ask(post).await.json()["details"]["key"], "job");
}

#[actix_web::test]
async fn links_lead_to_us_whatever_host_a_request_names() {
    let world = World::with(|options| options.public_url = None).await;
    let root =
        |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nX-Authentication: viewer\r\n\r\n");
    let own = ask(&world, root("/orchestrator", "localhost:99")).await.json();
    assert_eq!(own["status"]["id"], "https://localhost:99/orchestrator/v1/status");
    let evil = [
        ("/orchestrator", "evil.example.com"),
        ("/orchestrator", "localhost.evil.example.com"),
        ("/orchestrator", "localhost@evil.example.com"),
        ("/orchestrator", "localhost:8143@evil.example.com"),
        ("/orchestrator", "localhost:8143/evil"),
        ("/orchestrator", "evil.example.com#localhost"),
        ("/orchestrator", "\"localhost"),
        ("/orchestrator", ""),
        ("https://evil.example.com/orchestrator", "evil.example.com"),
        ("https://evil.example.com/orchestrator", "localhost:8143"),
        ("http://localhost@evil.example.com/orchestrator", "localhost:8143"),
    ];
    for (target, host) in evil {
        let request = root(target, host).replacen(
            "\r\n\r\n",
            "\r\nX-Forwarded-Host: evil.example.com\r\nForwarded: host=evil.example.com\r\n\r\n",
            1,
        );
        let answer = ask(&world, request).await;
        assert_eq!(answer.status, 200, "{target} {host}");
        assert_eq!(answer.json()["status"]["id"], "https://localhost:8143/orchestrator/v1/status", "{target} {host}");
    }
}

#[actix_web::test]
async fn other_origins_are_not_let_in() {
    let world = World::empty().await;
    for endpoint in ENDPOINTS {
        let preflight = world.nobody().request("OPTIONS", &filled(endpoint));
        let preflight = preflight.header("Origin", "https://evil.example.com");
        let answer = Answer::of(preflight.header("Access-Control-Request-Method", endpoint.method)).await;
        assert_eq!(answer.status, 405, "{}", endpoint.path);
        assert_eq!(answer.header("vary"), "", "{}", endpoint.path);
    }
    // Every answer is checked for what it must not have; these have an origin.
    let viewer = world.viewer().request("GET", JOBS).header("Origin", "https://evil.example.com");
    assert_eq!(Answer::of(viewer).await.status, 200);
}

#[actix_web::test]
async fn methods_that_nobody_needs_do_nothing() {
    let world = World::empty().await;
    for method in ["TRACE", "PUT", "PATCH", "PROPFIND", "get", "X"] {
        let answer = ask(&world, get("X-Secret: 1\r\n").replacen("GET", method, 1)).await;
        assert_eq!(answer.status, 405, "{method}");
        assert!(!answer.text.contains("X-Secret"), "nothing is echoed");
    }
    for target in ["evil.example.com:443", "/orchestrator/v1/jobs"] {
        let mut client = Raw::connect(&world).await;
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: localhost\r\nX-Authentication: admin\r\n\r\n");
        let answer = client.ask(request + &get("")).await;
        assert!([404, 405].contains(&answer.status), "{target}: {}", answer.status);
        assert_eq!(client.end().await, "", "there is no tunnel, and nothing in it");
    }
    let star = "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(ask(&world, star).await.status, 404);
    assert_eq!(ask(&world, get("Connection: Upgrade\r\nUpgrade: h2c\r\n")).await.status, 200, "upgrades are optional");
}

/// A body after the answer to HEAD would be read as the head of the next answer.
#[actix_web::test]
async fn an_answer_to_head_has_no_body() {
    let world = World::empty().await;
    let mut client = Raw::connect(&world).await;
    client.send(get("").replacen("GET", "HEAD", 1) + &get("Connection: close\r\n")).await.unwrap();
    let all = client.end().await;
    let (head, rest) = all.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 405 ") && head.contains("allow: GET"), "{all}");
    assert!(rest.starts_with("HTTP/1.1 200 OK\r\n"), "{all}");
}

#[actix_web::test]
async fn a_token_that_is_nearly_right_is_as_wrong_as_any() {
    let world = World::empty().await;
    let body = json!({ "login": "ci", "role": "viewer" });
    let created = world.admin().post("/bunraku/v1/tokens", body).await.json();
    let token = created["token"].as_str().unwrap();
    assert_eq!(world.holder(token).get(JOBS).await.status, 200);
    let wrong = world.holder("x").get(JOBS).await.text;
    let other = |at: usize| {
        let mut text = token.as_bytes().to_vec();
        text[at] = if text[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(text).unwrap()
    };
    let mut near: Vec<String> = (0..token.len()).map(other).collect();
    near.extend((1..token.len()).step_by(7).map(|length| token[..length].to_owned()));
    near.extend([format!("{token}x"), format!("{token} {token}"), token.to_uppercase(), format!("Bearer {token}")]);
    near.extend([created["id"].as_str().unwrap().to_owned(), format!("{token}="), "x".repeat(20_000)]);
    for text in near {
        let answer = world.holder(&text).get(JOBS).await;
        assert_eq!((answer.status, &answer.text), (401, &wrong), "{text}");
    }
}
