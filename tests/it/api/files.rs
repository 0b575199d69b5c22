//! Files of tasks: only by client certificate, only for nodes whose open runs name them, only by content.

use super::client::Answer;
use super::fakes::{CONTENT, KEPT, Shelf};
use super::seed;
use super::world::World;

const FILE: &str = "GET /puppet/v3/file_content/{mount}/{module}/{file:.*}";

fn path(sha256: &str) -> String {
    format!("/puppet/v3/file_content/tasks/greet/init.sh?environment=production&sha256={sha256}")
}

#[actix_web::test]
async fn a_node_gets_the_file_that_its_open_run_names() {
    let world = World::empty().await;
    let node = world.node("a.example.com");
    node.get(&path(KEPT)).await.record(FILE, "no-open-run");
    seed::open_task(world.jobs(), "a.example.com").await;
    let file = node.get(&path(KEPT)).await;
    file.record(FILE, "content");
    assert_eq!((file.text.as_str(), file.header("content-length")), (CONTENT, CONTENT.len().to_string().as_str()));
    assert_eq!(node.get(&path(&KEPT.to_uppercase())).await.status, 200);
    assert_eq!(world.node("b.example.com").get(&path(KEPT)).await.status, 403, "another node");
    assert_eq!(node.get(&path(&"0".repeat(64))).await.status, 403, "another file");
}

#[actix_web::test]
async fn nobody_else_gets_anything() {
    let world = World::empty().await;
    seed::open_task(world.jobs(), "a.example.com").await;
    world.admin().get(&path(KEPT)).await.record(FILE, "no-certificate");
    let node = world.node("a.example.com");
    node.get(&path("../../etc/passwd")).await.record(FILE, "no-hash");
    node.get("/puppet/v3/file_content/tasks/greet/init.sh").await.record(FILE, "hash-missing");
    node.get(&format!("/puppet/v3/file_content/secrets/greet/init.sh?sha256={KEPT}")).await.record(FILE, "other-mount");
}

#[actix_web::test]
async fn a_certificate_is_no_token() {
    let world = World::empty().await;
    let answer = Answer::of(world.node("a.example.com").request("GET", "/orchestrator/v1/jobs")).await;
    assert_eq!(answer.status, 401);
}

/// Refusals of the HTTP layer get words on their way out; what only looks like one is left alone.
#[actix_web::test]
async fn a_file_may_look_like_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let text = format!("{}HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", "x".repeat(64 * 1024));
    std::fs::write(&kept, &text).unwrap();
    let world = World::over(Shelf { kept }, |_| {}).await;
    seed::open_task(world.jobs(), "a.example.com").await;
    let file = world.node("a.example.com").get(&path(KEPT)).await;
    assert!(file.text == text, "{}", &file.text[64 * 1024..]);
}
