//! Running nodes of a job again.

use serde_json::{Value, json};

use super::world::World;

const RETRY: &str = "POST /bunraku/v1/jobs/{id}/retry";

async fn nodes_of(world: &World, job: &str) -> Vec<String> {
    let found = world.viewer().get(&format!("/orchestrator/v1/jobs/{job}/nodes")).await.json();
    found["items"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn a_retry_is_a_new_job_linked_both_ways() {
    let world = World::seeded().await;
    let operator = world.operator();
    let answer = operator.post("/bunraku/v1/jobs/1/retry", json!({ "which": "failed" })).await;
    answer.record(RETRY, "failed");
    assert_eq!(nodes_of(&world, "4").await, ["failed.example.com"]);
    world.until_running(4, 0).await;
    operator.get("/orchestrator/v1/jobs/4").await.record("GET /orchestrator/v1/jobs/{id}", "retry");
    let old = operator.get("/orchestrator/v1/jobs/1").await.json();
    assert_eq!(old["retried_by"], json!([answer.json()["job"]]));
}

#[actix_web::test]
async fn which_nodes_run_again_is_what_was_asked() {
    let world = World::seeded().await;
    let operator = world.operator();
    let cases: [(Value, &[&str]); 3] = [
        (json!({}), &["errored.example.com", "failed.example.com", "skipped.example.com"]),
        (json!({ "which": "not_run" }), &["errored.example.com", "skipped.example.com"]),
        (
            json!({ "which": "all" }),
            &[
                "errored.example.com",
                "failed.example.com",
                "finished.example.com",
                "new.example.com",
                "ready.example.com",
                "running.example.com",
                "skipped.example.com",
            ],
        ),
    ];
    for (number, (body, nodes)) in (4..).zip(cases) {
        assert_eq!(operator.post("/bunraku/v1/jobs/1/retry", body).await.status, 202);
        assert_eq!(nodes_of(&world, &number.to_string()).await, nodes);
    }
    operator.post("/bunraku/v1/jobs/1/retry", json!({ "which": "unknown" })).await.record(RETRY, "none-unknown");
    operator.post("/bunraku/v1/jobs/1/retry", json!({ "which": "some" })).await.record(RETRY, "bad-which");
    operator.post("/bunraku/v1/jobs/9/retry", json!({})).await.record(RETRY, "unknown-job");
    world.viewer().post("/bunraku/v1/jobs/1/retry", json!({})).await.record(RETRY, "viewer");
}
