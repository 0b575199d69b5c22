//! No body, header or path makes a handler panic: every answer is one that the documentation knows.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::client::Answer;
use super::world::World;

const COMMANDS: [&str; 5] = [
    "/orchestrator/v1/command/deploy",
    "/orchestrator/v1/command/task",
    "/orchestrator/v1/command/stop",
    "/orchestrator/v1/inventory",
    "/bunraku/v1/tokens",
];

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let scope = prop_oneof![
        Just(json!({ "nodes": ["a.example.com"] })),
        Just(json!({ "nodes": ["a b", 5] })),
        Just(json!({ "whole_environment": true })),
        Just(json!({ "query": ["from", "nodes"] })),
        Just(json!({})),
        any::<i64>().prop_map(Value::from),
    ];
    let shaped = (scope, ".{0,8}", any::<i32>(), any::<bool>()).prop_map(|(scope, text, number, flag)| {
        json!({ "environment": "production", "task": "greet", "scope": scope, "job": number, "noop": flag,
            "concurrency": number, "tags": text, "description": text, "login": text, "role": "viewer", "nodes": [text] })
        .to_string()
        .into_bytes()
    });
    prop_oneof![prop::collection::vec(any::<u8>(), 0..120), shaped, ".{0,60}".prop_map(String::into_bytes)]
}

#[actix_web::test]
async fn any_body_has_a_documented_answer() {
    let world = World::empty().await;
    let admin = world.admin();
    let mut runner = TestRunner::new(Config::with_cases(0));
    for round in 0..150 {
        let body = bodies().new_tree(&mut runner).unwrap().current();
        let path = COMMANDS[round % COMMANDS.len()];
        let shown = format!("{path}: {}", String::from_utf8_lossy(&body));
        let answer = Answer::of(admin.request("POST", path).body(body)).await;
        assert!([200, 201, 202, 400, 404].contains(&answer.status), "{} for {shown}", answer.status);
        let json = answer.json();
        if answer.status >= 400 {
            assert!(json["kind"].is_string() && json["msg"].is_string() && json["details"].is_object(), "{json}");
        }
    }
}

#[actix_web::test]
async fn odd_paths_answer_in_json() {
    let world = World::empty().await;
    let viewer = world.viewer();
    for path in
        ["/%ff", "//x", "/orchestrator/v1/jobs/%00", "/orchestrator/v1/jobs/1/nodes/2", "/orchestrator/v1/tasks//x"]
    {
        let answer = viewer.get(path).await;
        assert!([400, 404].contains(&answer.status), "{path}: {}", answer.status);
        assert!(answer.json()["kind"].is_string(), "{path}");
    }
}
