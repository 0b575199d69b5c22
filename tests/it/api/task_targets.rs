//! Task targets: made, listed, refused.

use serde_json::{Value, json};

use super::world::World;

const CREATE: &str = "POST /orchestrator/v1/command/task_target";
const LIST: &str = "GET /orchestrator/v1/scopes/task_targets";
const ONE: &str = "GET /orchestrator/v1/scopes/task_targets/{id}";

#[actix_web::test]
async fn a_task_target_is_kept_and_listed() {
    let world = World::empty().await;
    let operator = world.operator();
    let create = async |body: Value| operator.post("/orchestrator/v1/command/task_target", body).await;
    let some = json!({
        "display_name": "databases", "tasks": ["pg::backup"], "nodes": ["db1.example.com"], "node_groups": null,
        "pql_query": "nodes[certname] { }",
    });
    create(some).await.record(CREATE, "some-tasks");
    let all =
        json!({ "display_name": "all", "all_tasks": "true", "tasks": ["ignored"], "nodes": [], "node_groups": [] });
    create(all).await.record(CREATE, "all-tasks");
    operator.get("/orchestrator/v1/scopes/task_targets").await.record(LIST, "two");
    operator.get("/orchestrator/v1/scopes/task_targets/2").await.record(ONE, "all-tasks");
    operator.get("/orchestrator/v1/scopes/task_targets/9").await.record(ONE, "unknown");
    operator.get("/orchestrator/v1/scopes/task_targets/x").await.record(ONE, "no-number");
}

#[actix_web::test]
async fn each_broken_rule_is_named() {
    let world = World::empty().await;
    let operator = world.operator();
    let good = json!({ "display_name": "a", "tasks": ["b"], "nodes": [], "node_groups": [] });
    let broken = |key: &str, value: Option<Value>| {
        let mut body = good.clone();
        match value {
            Some(value) => body[key] = value,
            None => drop(body.as_object_mut().unwrap().remove(key)),
        }
        body
    };
    let cases = [
        ("no-name", broken("display_name", None)),
        ("empty-name", broken("display_name", Some(json!("")))),
        ("no-tasks", broken("tasks", None)),
        ("empty-tasks", broken("tasks", Some(json!([])))),
        ("no-nodes", broken("nodes", None)),
        ("no-groups", broken("node_groups", None)),
        ("bad-node", broken("nodes", Some(json!(["a b"])))),
        ("bad-all-tasks", broken("all_tasks", Some(json!("maybe")))),
        ("bad-query", broken("pql_query", Some(json!(5)))),
    ];
    for (case, body) in cases {
        operator.post("/orchestrator/v1/command/task_target", body).await.record(CREATE, case);
    }
    world.viewer().post("/orchestrator/v1/command/task_target", good).await.record(CREATE, "viewer");
}
