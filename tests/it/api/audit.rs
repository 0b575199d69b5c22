//! The audit log: every command and every refusal.

use serde_json::{Value, json};

use super::world::World;

const AUDIT: &str = "GET /bunraku/v1/audit";

/// The entries, oldest first; waits for those that are noted behind their answers.
async fn entries(world: &World, at_least: usize) -> Vec<Value> {
    loop {
        let found = world.admin().get("/bunraku/v1/audit?order=asc").await.json();
        let found = found["items"].as_array().unwrap().clone();
        if found.len() >= at_least {
            return found;
        }
        tokio::task::yield_now().await;
    }
}

#[actix_web::test]
async fn commands_and_refusals_are_noted_with_who_and_where() {
    let world = World::empty().await;
    let operator = world.operator();
    let body = json!({ "environment": "production", "scope": { "nodes": ["a.example.com", "b.example.com"] } });
    assert_eq!(operator.post("/orchestrator/v1/command/deploy", body.clone()).await.status, 202);
    operator.post("/orchestrator/v1/command/stop", json!({ "job": "1" })).await;
    world.viewer().post("/orchestrator/v1/command/deploy", body).await;
    entries(&world, 3).await;
    world.nobody().get("/orchestrator/v1/jobs").await;
    entries(&world, 4).await;
    operator.post("/orchestrator/v1/command/deploy", json!({})).await;
    entries(&world, 5).await;
    world.nobody().post("/rbac-api/v1/auth/token", json!({ "login": "eve", "password": "a guess of eve" })).await;
    assert_eq!(entries(&world, 6).await.len(), 6, "looking at things is not noted");
    world.admin().get("/bunraku/v1/audit").await.record(AUDIT, "all");
}

#[actix_web::test]
async fn the_log_is_filtered_and_handed_to_collectors() {
    let world = World::empty().await;
    let operator = world.operator();
    for job in ["7", "8"] {
        operator.post("/orchestrator/v1/command/stop", json!({ "job": job })).await;
    }
    let body = json!({ "plan_name": "shop" });
    operator.post("/orchestrator/v1/command/plan_start", body).await;
    entries(&world, 3).await;
    let admin = world.admin();
    let count = async |query: &str| {
        let found = admin.get(&format!("/bunraku/v1/audit?{query}")).await.json();
        found["items"].as_array().unwrap().len()
    };
    assert_eq!(count("outcome=refused").await, 2);
    assert_eq!(count("outcome=accepted&login=operator").await, 1);
    assert_eq!(count("login=viewer").await, 0);
    assert_eq!(count("action=plan_start").await, 1);
    assert_eq!(count("limit=1").await, 1);
    assert_eq!(count("since=2026-03-01T12:01:01Z").await, 0);
    assert_eq!(count("until=2026-03-01T12:01:00Z").await, 3);
    let lines = admin.get("/bunraku/v1/audit?format=lines&after=1").await;
    assert_eq!(lines.header("content-type"), "application/x-ndjson; charset=utf-8");
    let ids: Vec<Value> =
        lines.text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone()).collect();
    assert_eq!(ids, ["2", "3"]);
    admin.get("/bunraku/v1/audit?outcome=maybe").await.record(AUDIT, "bad-outcome");
    world.operator().get("/bunraku/v1/audit").await.record(AUDIT, "operator");
}

#[actix_web::test]
async fn nobody_fills_the_log_by_being_refused() {
    let world = World::empty().await;
    let nobody = world.nobody();
    for _ in 0..100 {
        nobody.get("/orchestrator/v1/jobs").await;
    }
    // Behind all that was noted before it.
    world.operator().post("/orchestrator/v1/command/plan_start", json!({ "plan_name": "shop" })).await;
    let noted = entries(&world, 1).await.len();
    assert!((10..100).contains(&noted), "{noted} entries");
}

#[actix_web::test]
async fn no_secret_gets_into_the_log() {
    let world = World::empty().await;
    let body = json!({ "login": "alice", "password": "correct horse battery" });
    world.admin().post("/bunraku/v1/users", body.clone()).await;
    world.nobody().post("/rbac-api/v1/auth/token", body).await;
    let token = world.admin().post("/bunraku/v1/tokens", json!({ "login": "ci", "role": "viewer" })).await.json();
    world
        .nobody()
        .post(&format!("/orchestrator/v1/command/stop?token={}", token["token"].as_str().unwrap()), json!({}))
        .await;
    entries(&world, 4).await;
    let text = world.admin().get("/bunraku/v1/audit").await.text;
    assert!(!text.contains("correct horse") && !text.contains(token["token"].as_str().unwrap()), "{text}");
}
