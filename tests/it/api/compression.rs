//! Compressed answers: who gets them, and what is never compressed.

use std::io::Read as _;
use std::sync::Arc;

use bunraku_actors::model::JobState;
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::client::{Client, assert_safe};
use super::fakes::KEPT;
use super::seed;
use super::world::World;

/// What Ruby's standard library sends by itself.
const RUBY: &str = "gzip;q=1.0,deflate;q=0.6,identity;q=0.3";

/// The encoding, the headers, and the decoded body of an answer.
async fn get(client: &Client, path: &str, accepted: &str) -> (Option<String>, reqwest::header::HeaderMap, Vec<u8>) {
    let answer = client.request("GET", path).header("Accept-Encoding", accepted).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path} for {accepted}");
    let headers = answer.headers().clone();
    assert_safe(&headers);
    let encoding = headers.get("content-encoding").map(|value| value.to_str().unwrap().to_owned());
    let bytes = answer.bytes().await.unwrap();
    let mut body = Vec::new();
    match encoding.as_deref() {
        Some("gzip") => drop(GzDecoder::new(&bytes[..]).read_to_end(&mut body).unwrap()),
        _ => body.extend_from_slice(&bytes),
    }
    (encoding, headers, body)
}

#[actix_web::test]
async fn long_answers_are_compressed_for_those_who_accept_it() {
    let world = World::seeded().await;
    let viewer = world.viewer();
    for path in ["/orchestrator/v1/jobs", "/orchestrator/v1/jobs/1/nodes"] {
        let plain = viewer.get(path).await;
        assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", "accept-encoding"), "{path}");
        for accepted in ["gzip", RUBY, "gzip, deflate, br", "GZIP"] {
            let (encoding, headers, body) = get(&viewer, path, accepted).await;
            assert_eq!(encoding.as_deref(), Some("gzip"), "{path} for {accepted}");
            assert_eq!(
                (headers["content-type"].to_str().unwrap(), &headers["vary"]),
                ("application/json; charset=utf-8", &"accept-encoding".parse().unwrap())
            );
            assert_eq!(body, plain.text.as_bytes(), "{path} for {accepted}");
        }
        for accepted in [
            "identity",
            "br",
            "deflate",
            "gzip;q=0",
            "gzip;q=0.1, identity",
            "identity;q=0, gzip;q=0",
            "*",
            "*;q=0",
            "?",
        ] {
            assert_eq!(get(&viewer, path, accepted).await.0, None, "{path} for {accepted}");
        }
    }
}

#[actix_web::test]
async fn a_list_of_many_pages_is_whole_when_compressed() {
    let world = World::empty().await;
    let names: Vec<String> = (0..3_000).map(|n| format!("node{n:05}.example.com")).collect();
    let spec = Arc::new(seed::deploy(&names.iter().map(String::as_str).collect::<Vec<_>>(), 0));
    seed::create(world.jobs(), &spec, JobState::New, vec![true; names.len()]).await;
    let path = "/orchestrator/v1/jobs/1/nodes";
    let (encoding, _, body) = get(&world.viewer(), path, "gzip").await;
    assert_eq!(encoding.as_deref(), Some("gzip"));
    let list: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 3_000);
}

#[actix_web::test]
async fn short_answers_are_not_worth_it() {
    let world = World::empty().await;
    for path in ["/orchestrator/v1/jobs", "/livez"] {
        assert_eq!(get(&world.viewer(), path, "gzip").await.0, None, "{path}");
    }
}

/// With a secret and a text of the caller's in one compressed body, its length would tell the one by the other (BREACH).
#[actix_web::test]
async fn what_holds_a_secret_is_never_compressed() {
    let world = World::empty().await;
    let body = json!({ "login": "ci", "role": "viewer", "description": "x".repeat(5_000) });
    let request = world.admin().request("POST", "/bunraku/v1/tokens").header("Accept-Encoding", "gzip");
    let answer = request.body(body.to_string()).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers().get("content-encoding")), (201, None));
    let text = answer.text().await.unwrap();
    assert!(text.len() > 5_000 && text.contains("\"token\""), "long enough, and the secret is in it");
}

#[actix_web::test]
async fn streams_of_events_come_as_they_happen() {
    let world = World::seeded().await;
    let request = world.viewer().request("GET", "/orchestrator/v1/jobs/2/events");
    let request = request.header("Accept", "text/event-stream").header("Accept-Encoding", "gzip");
    let mut stream = request.send().await.unwrap();
    assert_eq!(stream.headers().get("content-encoding"), None);
    assert!(stream.chunk().await.unwrap().unwrap().starts_with(b"id: "));
}

#[actix_web::test]
async fn files_of_tasks_come_as_they_are() {
    let world = World::empty().await;
    seed::open_task(world.jobs(), "a.example.com").await;
    let path = format!("/puppet/v3/file_content/tasks/greet/init.sh?sha256={KEPT}");
    let (encoding, headers, _) = get(&world.node("a.example.com"), &path, "gzip").await;
    assert_eq!((encoding, headers.contains_key("content-length")), (None, true));
}
