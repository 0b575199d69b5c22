//! Root document, environments, tasks, inventory.

use serde_json::json;

use super::world::World;

#[actix_web::test]
async fn the_root_tells_what_there_is() {
    let world = World::empty().await;
    let viewer = world.viewer();
    let root = viewer.get("/orchestrator").await;
    root.record("GET /orchestrator", "ok");
    let alias = viewer.get("/orchestrator/v1/").await;
    alias.record("GET /orchestrator/v1", "ok");
    assert_eq!(root.text, alias.text);
}

#[actix_web::test]
async fn links_follow_the_host_only_if_it_is_ours() {
    let world = World::with(|options| options.public_url = None).await;
    let root = world.viewer().get("/orchestrator").await.json();
    let expected = format!("https://localhost:{}/orchestrator/v1/status", world.server.addr.port());
    assert_eq!(root["status"]["id"], expected);
    let spoofed = world.viewer().request("GET", "/orchestrator").header("Host", "evil.example.com");
    let spoofed = super::client::Answer::of(spoofed).await.json();
    assert_eq!(spoofed["status"]["id"], "https://localhost:8143/orchestrator/v1/status");
}

#[actix_web::test]
async fn environments_have_applications_and_instances() {
    let world = World::empty().await;
    let viewer = world.viewer();
    let base = "/orchestrator/v1/environments";
    viewer.get(base).await.record("GET /orchestrator/v1/environments", "all");
    let one = format!("{base}/production");
    let endpoint = "GET /orchestrator/v1/environments/{environment}";
    viewer.get(&one).await.record(endpoint, "production");
    viewer.get(&format!("{base}/moon")).await.record(endpoint, "unknown");
    viewer.get(&format!("{base}/No-Name")).await.record(endpoint, "illegal");
    viewer.get(&format!("{base}/unreachable")).await.record(endpoint, "unreachable");
    viewer.get(&format!("{one}/applications")).await.record(&format!("{endpoint}/applications"), "production");
    viewer.get(&format!("{base}/moon/applications")).await.record(&format!("{endpoint}/applications"), "unknown");
    viewer.get(&format!("{one}/instances")).await.record(&format!("{endpoint}/instances"), "production");
    viewer.get(&format!("{base}/moon/instances")).await.record(&format!("{endpoint}/instances"), "unknown");
}

#[actix_web::test]
async fn tasks_are_listed_and_shown() {
    let world = World::empty().await;
    let viewer = world.viewer();
    let (list, one) = ("GET /orchestrator/v1/tasks", "GET /orchestrator/v1/tasks/{module}/{task}");
    let base = "/orchestrator/v1/tasks";
    viewer.get(base).await.record(list, "viewer");
    viewer.get(&format!("{base}?environment=empty")).await.record(list, "empty");
    viewer.get(&format!("{base}?environment=Bad-Name")).await.record(list, "illegal-environment");
    viewer.get(&format!("{base}?environment=moon")).await.record(list, "unknown-environment");
    world.operator().get(&format!("{base}/greet/init")).await.record(one, "init");
    viewer.get(&format!("{base}/greet/loudly")).await.record(one, "unknown");
    viewer.get(&format!("{base}/Greet/init")).await.record(one, "illegal");
    viewer.get(&format!("{base}/broken/init")).await.record(one, "broken");
}

#[actix_web::test]
async fn the_inventory_knows_who_is_connected() {
    let world = World::empty().await;
    let viewer = world.viewer();
    let base = "/orchestrator/v1/inventory";
    viewer.get(base).await.record("GET /orchestrator/v1/inventory", "all");
    let one = "GET /orchestrator/v1/inventory/{node}";
    viewer.get(&format!("{base}/a.example.com")).await.record(one, "connected");
    viewer.get(&format!("{base}/z.example.com")).await.record(one, "unknown");
    viewer.get(&format!("{base}/a%20b")).await.record(one, "illegal");
    let some = "POST /orchestrator/v1/inventory";
    let body = json!({ "nodes": ["z.example.com", "b.example.com", "a.example.com"] });
    viewer.post(base, body).await.record(some, "three");
    let twice = viewer.post(base, json!({ "nodes": ["a.example.com", "z.example.com", "a.example.com"] })).await.json();
    let names: Vec<_> = twice["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a.example.com", "z.example.com", "a.example.com"], "one record per requested node");
    viewer.post(base, json!({})).await.record(some, "missing");
    viewer.post(base, json!({ "nodes": "a" })).await.record(some, "no-array");
    viewer.post(base, json!({ "nodes": ["a", 5] })).await.record(some, "no-name");
    viewer.get("/bunraku/v1/nodes").await.record("GET /bunraku/v1/nodes", "all");
}

#[actix_web::test]
async fn the_code_of_an_environment_is_read_again_when_somebody_says_so() {
    let world = World::empty().await;
    const FLUSH: &str = "POST /bunraku/v1/environments/{environment}/flush";
    let flush = async |name: &str| {
        world.operator().post(&format!("/bunraku/v1/environments/{name}/flush"), serde_json::json!({})).await
    };
    flush("production").await.record(FLUSH, "flushed");
    flush("empty").await.record(FLUSH, "nothing-to-do");
    flush("moon").await.record(FLUSH, "unknown");
}
