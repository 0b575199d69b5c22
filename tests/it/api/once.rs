//! `Idempotency-Key`: the same command happens once.

use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::seed::at;
use super::world::World;

async fn post(client: &Client, path: &str, key: &str, body: &Value) -> Answer {
    Answer::of(client.request("POST", path).header("Idempotency-Key", key).body(body.to_string())).await
}

fn deploy() -> Value {
    json!({ "environment": "production", "scope": { "nodes": ["a.example.com"] } })
}

const DEPLOY: &str = "/orchestrator/v1/command/deploy";

async fn jobs(world: &World) -> Value {
    world.viewer().get("/orchestrator/v1/jobs").await.json()["pagination"]["total"].clone()
}

#[actix_web::test]
async fn the_same_command_under_the_same_key_makes_one_job() {
    let world = World::empty().await;
    let operator = world.operator();
    let first = post(&operator, DEPLOY, "commit 4f2a", &deploy()).await;
    assert_eq!(first.status, 202);
    let reordered = json!({ "scope": { "nodes": ["a.example.com"] }, "environment": "production" });
    for body in [deploy(), reordered] {
        let again = post(&operator, DEPLOY, "commit 4f2a", &body).await;
        assert_eq!((again.status, &again.text), (202, &first.text));
    }
    let another = json!({ "environment": "production", "scope": { "nodes": ["b.example.com"] } });
    post(&operator, DEPLOY, "commit 4f2a", &another)
        .await
        .record("POST /orchestrator/v1/command/deploy", "key-of-another-command");
    post(&operator, DEPLOY, "", &deploy()).await.record("POST /orchestrator/v1/command/deploy", "no-key");
    assert_eq!(jobs(&world).await, 1);
    assert_eq!(post(&world.admin(), DEPLOY, "commit 4f2a", &deploy()).await.status, 202);
    assert_eq!(jobs(&world).await, 2, "keys of others are other keys");
    world.clock.set(at(60 + 86_401));
    assert_eq!(post(&operator, DEPLOY, "commit 4f2a", &deploy()).await.status, 202);
    assert_eq!(jobs(&world).await, 3, "after a day the key is forgotten");
}

#[actix_web::test]
async fn two_at_once_under_one_key_make_one_job() {
    let world = World::empty().await;
    let operator = world.operator();
    let body = deploy();
    let all = futures_util::future::join_all((0..20).map(|_| post(&operator, DEPLOY, "k", &body))).await;
    assert!(all.iter().all(|answer| answer.status == 202 && answer.text == all[0].text));
    assert_eq!(jobs(&world).await, 1);
}

#[actix_web::test]
async fn every_command_takes_a_key() {
    let world = World::seeded().await;
    let operator = world.operator();
    let target = json!({ "display_name": "a", "tasks": ["b"], "nodes": [], "node_groups": [] });
    let schedule = json!({
        "task": "greet", "scope": { "nodes": ["a.example.com"] }, "scheduled_time": "2026-04-01T00:00:00Z",
    });
    let plan_task = json!({ "task": "greet", "plan_job": "1", "scope": { "nodes": ["a.example.com"] } });
    let cases = [
        ("plan_start", json!({ "plan_name": "shop" })),
        ("plan_task", plan_task),
        ("task", json!({ "task": "greet", "scope": { "nodes": ["a.example.com"] } })),
        ("task_target", target),
        ("schedule_task", schedule),
        ("stop", json!({ "job": "3" })),
        ("plan_finish", json!({ "plan_job": "1", "status": "success", "result": "" })),
        ("stop_plan", json!({ "plan_job": "1" })),
    ];
    for (command, body) in cases {
        let path = format!("/orchestrator/v1/command/{command}");
        let first = post(&operator, &path, command, &body).await;
        let second = post(&operator, &path, command, &body).await;
        assert!(first.status < 300, "{command}: {}", first.text);
        assert_eq!((first.status, &first.text), (second.status, &second.text), "{command}");
        let other = post(&operator, &path, command, &json!({ "something": "else" })).await;
        assert_eq!(other.status, 409, "{command}: {}", other.text);
    }
}
