//! Commands: what is accepted, what is refused, and what a stop answers.

use serde_json::json;

use super::client::Answer;
use super::world::World;

const DEPLOY: &str = "POST /orchestrator/v1/command/deploy";
const TASK: &str = "POST /orchestrator/v1/command/task";
/// Far beyond what any step takes: a test that reaches it has hung.
const HUNG: std::time::Duration = std::time::Duration::from_secs(60);
const STOP: &str = "POST /orchestrator/v1/command/stop";

#[actix_web::test]
async fn a_deploy_is_accepted_shown_and_stopped() {
    let world = World::empty().await;
    let operator = world.operator();
    let body = json!({ "environment": "production", "scope": { "nodes": ["y.example.com", "x.example.com"] },
        "noop": true, "description": "try", "userdata": { "a": [1] }, "timeout": 60 });
    operator.post("/orchestrator/v1/command/deploy", body).await.record(DEPLOY, "accepted");
    let job = operator.get("/orchestrator/v1/jobs/1").await.json();
    assert_eq!(job["options"]["scope"]["nodes"], json!(["y.example.com", "x.example.com"]));
    assert_eq!((&job["owner"]["login"], &job["node_count"]), (&json!("operator"), &json!(2)));
    let live = operator.get("/bunraku/v1/jobs/1/live").await.json();
    assert_eq!(live["counts"].as_object().unwrap().values().filter_map(|n| n.as_u64()).sum::<u64>(), 2);
    operator.post("/orchestrator/v1/command/stop", json!({ "job": "1" })).await.record(STOP, "stopped");
    let again = operator.post("/orchestrator/v1/command/stop", json!({ "job": 1, "force": true })).await;
    assert_eq!((again.status, &again.json()["job"]["nodes"]["skipped"]), (202, &json!(2)), "stopping is idempotent");
    operator.post("/orchestrator/v1/command/stop", json!({ "job": "99" })).await.record(STOP, "unknown");
}

#[actix_web::test]
async fn deploys_are_refused_in_the_words_of_the_table() {
    let world = World::empty().await;
    let operator = world.operator();
    let cases = [
        ("no-environment", json!({})),
        ("unknown-environment", json!({ "environment": "moon" })),
        ("empty-environment", json!({ "environment": "empty" })),
        ("unknown-application", json!({ "environment": "production", "target": "Moon" })),
        ("no-nodes", json!({ "environment": "production", "scope": { "nodes": [] } })),
        ("cycle", json!({ "environment": "knot" })),
        ("query", json!({ "environment": "production", "scope": { "query": "nodes {}" } })),
        ("query-unparsable", json!({ "environment": "production", "scope": { "query": "nodes!" } })),
        (
            "query-finds-nothing",
            json!({ "environment": "production", "scope": { "query": "nodes[certname] { certname = 'z' }" } }),
        ),
        ("puppetdb-down", json!({ "environment": "production", "scope": { "query": "down" } })),
        ("two-scopes", json!({ "environment": "production", "scope": { "nodes": ["a"], "query": "x" } })),
        ("bad-order", json!({ "environment": "production", "order": [{ "group": "Web servers", "nodes": [] }] })),
        ("unknown-tier", json!({ "environment": "production", "order": [{ "group": "Moon" }] })),
        ("bad-certname", json!({ "environment": "production", "scope": { "nodes": ["a", "b c"] } })),
        ("enforced-nothing", json!({ "environment": "", "enforce_environment": true, "scope": { "nodes": ["a"] } })),
        ("bad-tags", json!({ "environment": "production", "tags": "a b" })),
    ];
    for (case, body) in cases {
        operator.post("/orchestrator/v1/command/deploy", body).await.record(DEPLOY, case);
    }
}

#[actix_web::test]
async fn a_query_is_answered_once_and_the_job_has_its_nodes() {
    let world = World::empty().await;
    let operator = world.operator();
    let body = json!({ "environment": "production", "scope": { "query": "nodes[certname] { }" } });
    assert_eq!(operator.post("/orchestrator/v1/command/deploy", body).await.status, 202);
    let nodes = operator.get("/orchestrator/v1/jobs/1/nodes").await.json();
    let names: Vec<_> = nodes["items"].as_array().unwrap().iter().map(|node| node["name"].clone()).collect();
    assert_eq!(names, ["a.example.com", "b.example.com"]);
    let job = operator.get("/orchestrator/v1/jobs/1").await.json();
    assert_eq!(job["options"]["scope"], json!({ "query": "nodes[certname] { }" }));
}

#[actix_web::test]
async fn a_preview_shows_what_a_deploy_would_be() {
    let world = World::empty().await;
    let operator = world.operator();
    const PREVIEW: &str = "POST /bunraku/v1/preview";
    let show = async |body: serde_json::Value| operator.post("/bunraku/v1/preview", body).await;
    show(json!({ "environment": "production" })).await.record(PREVIEW, "application");
    let order = json!([{ "group": "Web servers" }, { "query": "nodes[certname] { }" }]);
    let nodes = json!({ "nodes": ["a.example.com", "b.example.com", "c.example.com", "d.example.com"] });
    show(json!({ "environment": "", "order": order, "scope": nodes })).await.record(PREVIEW, "tiers");
    show(json!({ "environment": "moon" })).await.record(PREVIEW, "unknown-environment");
    show(json!({ "environment": "knot" })).await.record(PREVIEW, "cycle");
    assert_eq!(operator.get("/orchestrator/v1/jobs").await.json()["pagination"]["total"], 0, "nothing was started");
    // A job that is run again has its order again.
    let body = json!({ "environment": "", "order": order, "scope": nodes });
    assert_eq!(operator.post("/orchestrator/v1/command/deploy", body).await.status, 202);
    assert_eq!(operator.get("/orchestrator/v1/jobs/1").await.json()["options"]["order"], order);
}

#[actix_web::test]
async fn tasks_are_accepted_and_refused() {
    let world = World::empty().await;
    let operator = world.operator();
    let scope = json!({ "nodes": ["x.example.com"] });
    let cases = [
        ("accepted", json!({ "task": "greet", "params": null, "noop": null, "targets": null, "scope": scope })),
        ("no-scope", json!({ "task": "greet" })),
        ("bad-name", json!({ "task": "Greet", "scope": scope })),
        ("unknown-task", json!({ "task": "dance", "scope": scope })),
        ("unknown-environment", json!({ "task": "greet", "environment": "moon", "scope": scope })),
        ("application-scope", json!({ "task": "greet", "scope": { "application": "Shop" } })),
        ("targets", json!({ "task": "greet", "scope": scope, "targets": [{ "user": "root", "password": "hunter2" }] })),
    ];
    for (case, body) in cases {
        let answer = operator.post("/orchestrator/v1/command/task", body).await;
        assert!(!answer.text.contains("hunter2"));
        answer.record(TASK, case);
    }
    let running = async {
        while operator.get("/orchestrator/v1/jobs/1").await.json()["state"] != "running" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HUNG, running).await.expect("the job gets going");
    operator.get("/orchestrator/v1/jobs/1").await.record("GET /orchestrator/v1/jobs/{id}", "created-by-task");
}

#[actix_web::test]
async fn the_live_view_of_a_job_that_is_over_is_its_last() {
    let world = World::seeded().await;
    let viewer = world.viewer();
    let live = "GET /bunraku/v1/jobs/{id}/live";
    viewer.get("/bunraku/v1/jobs/2/live").await.record(live, "over");
    viewer.get("/bunraku/v1/jobs/99/live").await.record(live, "unknown");
    let resume = "POST /bunraku/v1/jobs/{id}/resume";
    let operator = world.operator();
    operator.post("/bunraku/v1/jobs/2/resume", json!({})).await.record(resume, "over");
    operator.post("/bunraku/v1/jobs/99/resume", json!({})).await.record(resume, "unknown");
    viewer.post("/bunraku/v1/jobs/2/resume", json!({})).await.record(resume, "viewer");
}

#[actix_web::test]
async fn a_body_that_means_two_things_or_is_kept_too_long_is_refused() {
    const DEPLOY: &str = "POST /orchestrator/v1/command/deploy";
    let world = World::empty().await;
    let operator = world.operator();
    let send =
        async |body: String| Answer::of(operator.request("POST", "/orchestrator/v1/command/deploy").body(body)).await;
    let doubled = r#"{"environment": "production", "scope": {"nodes": ["a.example.com"]}, "scope": {}}"#;
    send(doubled.to_owned()).await.record(DEPLOY, "doubled-key");
    let long = json!({ "environment": "production", "description": "x".repeat(70_000) });
    send(long.to_string()).await.record(DEPLOY, "long-text");
    let body = json!({ "environment": "production", "scope": { "nodes": ["a.example.com"] } });
    let twice = operator
        .request("POST", "/orchestrator/v1/command/deploy")
        .header("Idempotency-Key", "one")
        .header("Idempotency-Key", "two")
        .body(body.to_string());
    Answer::of(twice).await.record(DEPLOY, "two-keys");
    assert_eq!(operator.get("/orchestrator/v1/jobs").await.json()["items"], json!([]));
}
