//! The status API, health for supervisors, metrics, and what they say when the store has trouble.

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
