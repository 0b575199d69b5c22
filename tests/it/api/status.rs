//! The status API, health for supervisors, metrics, and what they say when the store has trouble.

use serde_json::json;

use super::world::World;

#[actix_web::test]
async fn all_is_well() {
    let world = World::empty().await;
    let nobody = world.nobody();
    nobody.get("/status/v1/simple").await.record("GET /status/v1/simple", "running");
    let simple = "GET /status/v1/simple/{service}";
    nobody.get("/status/v1/simple/orchestrator-service").await.record(simple, "running");
    nobody.get("/status/v1/simple/moon-service").await.record(simple, "unknown");
    let services = "GET /status/v1/services";
    nobody.get("/status/v1/services").await.record(services, "running");
    nobody.get("/status/v1/services?level=critical").await.record(services, "critical");
    nobody.get("/status/v1/services?level=loud").await.record(services, "bad-level");
    let service = "GET /status/v1/services/{service}";
    nobody.get("/status/v1/services/broker-service?level=debug").await.record(service, "broker");
    nobody.get("/status/v1/services/moon-service").await.record(service, "unknown");
    nobody.get("/livez").await.record("GET /livez", "ok");
    nobody.get("/readyz").await.record("GET /readyz", "ready");
    world.viewer().get("/orchestrator/v1/status").await.record("GET /orchestrator/v1/status", "running");
    world.viewer().get("/metrics").await.record("GET /metrics", "none-kept");
}

#[actix_web::test]
async fn trouble_of_the_broker_makes_us_unready() {
    let world = World::empty().await;
    *world.broker_trouble.lock() = Some("the broker does not listen".into());
    let nobody = world.nobody();
    assert_eq!(nobody.get("/livez").await.status, 200, "the process lives");
    nobody.get("/readyz").await.record("GET /readyz", "broker-trouble");
    nobody.get("/status/v1/simple").await.record("GET /status/v1/simple", "error");
    assert_eq!(nobody.get("/status/v1/simple/orchestrator-service").await.status, 200);
    assert_eq!(nobody.get("/status/v1/simple/broker-service").await.status, 503);
    assert_eq!(nobody.get("/status/v1/services").await.status, 503);
    let own = world.viewer().get("/orchestrator/v1/status").await.json();
    assert_eq!(own["status"]["pxp_up"], false);
}

#[actix_web::test]
async fn a_store_that_is_gone_answers_503() {
    let world = World::empty().await;
    world.store.close().await;
    let answer = world.viewer().get("/orchestrator/v1/jobs").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "5"), "{}", answer.text);
    assert_eq!(answer.json()["kind"], "puppetlabs.orchestrator/unavailable");
}

#[actix_web::test]
async fn a_drained_service_is_well_but_takes_no_new_jobs() {
    let world = World::empty().await;
    let (admin, drain) = (world.admin(), "/bunraku/v1/drain");
    admin.get(drain).await.record("GET /bunraku/v1/drain", "not-drained");
    for (body, case) in [
        (json!({}), "missing"),
        (json!({ "drain": "yes" }), "wrong-type"),
        (json!({ "drain": true, "wait": 1 }), "unknown-key"),
    ] {
        admin.post(drain, body).await.record("POST /bunraku/v1/drain", case);
    }
    world.operator().post(drain, json!({ "drain": true })).await.record("POST /bunraku/v1/drain", "operator");
    admin.post(drain, json!({ "drain": true })).await.record("POST /bunraku/v1/drain", "drained");
    let deploy = json!({ "environment": "production", "scope": { "nodes": ["a.example.com"] } });
    let refused = world.operator().post("/orchestrator/v1/command/deploy", deploy).await;
    assert_eq!(refused.header("retry-after"), "5");
    refused.record("POST /orchestrator/v1/command/deploy", "drained");
    let nobody = world.nobody();
    nobody.get("/readyz").await.record("GET /readyz", "drained");
    nobody.get("/status/v1/simple").await.record("GET /status/v1/simple", "stopping");
    assert_eq!(nobody.get("/livez").await.status, 200);
    assert_eq!(admin.post(drain, json!({ "drain": false })).await.json()["draining"], false);
    assert_eq!(nobody.get("/readyz").await.status, 200);
}
