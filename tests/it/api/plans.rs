//! Plan jobs: the bridge by which Bolt tells of its plans, and what everybody sees of them.

use bunraku::api::records::{PlanState, Records};
use bunraku_actors::model::PlanId;
use serde_json::{Value, json};

use super::client::Answer;
use super::seed::at;
use super::world::World;

const START: &str = "POST /orchestrator/v1/command/plan_start";
const TASK: &str = "POST /orchestrator/v1/command/plan_task";
const FINISH: &str = "POST /orchestrator/v1/command/plan_finish";
const STOP: &str = "POST /orchestrator/v1/command/stop_plan";
const ONE: &str = "GET /orchestrator/v1/plan_jobs/{id}";
const LIST: &str = "GET /orchestrator/v1/plan_jobs";
const EVENTS: &str = "GET /orchestrator/v1/plan_jobs/{id}/events";
const EVENT: &str = "GET /orchestrator/v1/plan_jobs/{id}/event/{event}";

fn plan() -> Value {
    // As Bolt sends it: sensitive parameters are left out, the description may be null.
    json!({ "plan_name": "shop::deploy", "description": null, "params": { "size": 3 }, "sensitive": ["key"] })
}

async fn start(world: &World) -> Answer {
    world.operator().post("/orchestrator/v1/command/plan_start", plan()).await
}

fn task(plan: &str) -> Value {
    json!({ "task": "greet", "plan_job": plan, "scope": { "nodes": ["a.example.com"] }, "params": {}, "noop": null })
}

#[actix_web::test]
async fn a_plan_tells_of_itself_from_start_to_end() {
    let world = World::empty().await;
    let operator = world.operator();
    start(&world).await.record(START, "accepted");
    let command = "/orchestrator/v1/command/plan_task";
    operator.post(command, task("1")).await.record(TASK, "accepted");
    world.until_running(1, 1).await;
    operator.get("/orchestrator/v1/plan_jobs/1").await.record(ONE, "running");
    let job = operator.get("/orchestrator/v1/jobs/1").await;
    job.record("GET /orchestrator/v1/jobs/{id}", "of-a-plan");
    let of_plans = operator.get("/orchestrator/v1/jobs?type=plan_task").await.json();
    assert_eq!(of_plans["pagination"]["total"], 1);
    assert_eq!(operator.get("/orchestrator/v1/jobs?type=task").await.json()["pagination"]["total"], 0);

    let end = json!({ "plan_job": "1", "status": "success", "result": { "rolled": true } });
    operator.post("/orchestrator/v1/command/plan_finish", end.clone()).await.record(FINISH, "accepted");
    operator.get("/orchestrator/v1/plan_jobs/1").await.record(ONE, "success");
    operator.get("/orchestrator/v1/plan_jobs/1/events").await.record(EVENTS, "all");
    operator.get("/orchestrator/v1/plan_jobs/1/events?start=2").await.record(EVENTS, "from-the-second");
    operator.get("/orchestrator/v1/plan_jobs/1/event/2").await.record(EVENT, "last");
    operator.get("/orchestrator/v1/plan_jobs").await.record(LIST, "one");
    operator.get("/orchestrator/v1/plan_jobs?results=exclude").await.record(LIST, "without-results");

    operator.post(command, task("1")).await.record(TASK, "already-finished");
    operator.post("/orchestrator/v1/command/plan_finish", end).await.record(FINISH, "already-finished");
    assert_eq!(operator.get("/orchestrator/v1/jobs").await.json()["pagination"]["total"], 1, "no job was made");
}

#[actix_web::test]
async fn a_stopped_plan_is_over_and_stopping_it_again_changes_nothing() {
    let world = World::empty().await;
    start(&world).await;
    let operator = world.operator();
    for _ in 0..2 {
        operator.post("/orchestrator/v1/command/stop_plan", json!({ "plan_job": "1" })).await.record(STOP, "accepted");
    }
    operator.get("/orchestrator/v1/plan_jobs/1").await.record(ONE, "stopped");
    let events = operator.get("/orchestrator/v1/plan_jobs/1/events").await.json();
    assert_eq!(events["items"].as_array().unwrap().len(), 1, "one end");
}

#[actix_web::test]
async fn what_a_plan_cannot_be_is_refused() {
    let world = World::empty().await;
    let operator = world.operator();
    operator.post("/orchestrator/v1/command/plan_start", json!({})).await.record(START, "no-name");
    operator
        .post("/orchestrator/v1/command/plan_start", json!({ "plan_name": "No Name" }))
        .await
        .record(START, "bad-name");
    operator.post("/orchestrator/v1/command/plan_task", task("9")).await.record(TASK, "unknown-plan-job");
    operator.post("/orchestrator/v1/command/plan_task", task("x")).await.record(TASK, "no-number");
    let finish = json!({ "plan_job": "1", "status": "done" });
    operator.post("/orchestrator/v1/command/plan_finish", finish).await.record(FINISH, "bad-status");
    operator.post("/orchestrator/v1/command/stop_plan", json!({ "plan_job": 9 })).await.record(STOP, "unknown");
    operator.post("/orchestrator/v1/command/stop_plan", json!({})).await.record(STOP, "no-plan-job");
    operator.get("/orchestrator/v1/plan_jobs/x").await.record(ONE, "no-number");
    operator.get("/orchestrator/v1/plan_jobs/9").await.record(ONE, "unknown");
    operator.get("/orchestrator/v1/plan_jobs?order_by=size").await.record(LIST, "bad-order");
    operator.get("/orchestrator/v1/plan_jobs?results=some").await.record(LIST, "bad-results");
    start(&world).await;
    operator.get("/orchestrator/v1/plan_jobs/1/events?start=x").await.record(EVENTS, "bad-start");
    operator.get("/orchestrator/v1/plan_jobs/9/events").await.record(EVENTS, "unknown");
    operator.get("/orchestrator/v1/plan_jobs/1/event/7").await.record(EVENT, "of-no-plan");
    operator.get("/orchestrator/v1/plan_jobs/1/event/x").await.record(EVENT, "no-number");
}

#[actix_web::test]
async fn plans_are_not_run_here_and_the_refusal_says_what_to_do() {
    let world = World::empty().await;
    let operator = world.operator();
    const RUN: &str = "POST /orchestrator/v1/command/plan_run";
    const TYPED: &str = "POST /orchestrator/v1/command/environment_plan_run";
    let run = async |body: Value| operator.post("/orchestrator/v1/command/plan_run", body).await;
    run(json!({ "plan_name": "shop::deploy", "params": {} })).await.record(RUN, "no-plans-here");
    run(json!({})).await.record(RUN, "no-name");
    run(json!({ "plan_name": "shop", "environment": "nowhere" })).await.record(RUN, "unknown-environment");
    let typed = async |params: Value| {
        let body = json!({ "plan_name": "shop::deploy", "params": params });
        operator.post("/orchestrator/v1/command/environment_plan_run", body).await
    };
    typed(json!({ "nodes": { "value": "inventory { }", "type": "query" } })).await.record(TYPED, "no-plans-here");
    typed(json!({ "nodes": "x" })).await.record(TYPED, "not-wrapped");
    typed(json!({ "nodes": { "value": "x", "type": "list" } })).await.record(TYPED, "bad-type");
    operator.get("/orchestrator/v1/plans").await.record("GET /orchestrator/v1/plans", "all");
    operator.get("/orchestrator/v1/plans?environment=empty").await.record("GET /orchestrator/v1/plans", "none");
    for (plan, case) in [("shop/init", "known"), ("shop/roll", "with-parameters")] {
        let answer = operator.get(&format!("/orchestrator/v1/plans/{plan}")).await;
        answer.record("GET /orchestrator/v1/plans/{module}/{plan}", case);
    }
    operator
        .get("/orchestrator/v1/plans?environment=nowhere")
        .await
        .record("GET /orchestrator/v1/plans", "unknown-environment");
    operator
        .get("/orchestrator/v1/plans?environment=No!")
        .await
        .record("GET /orchestrator/v1/plans", "bad-environment");
    operator
        .get("/orchestrator/v1/plans/shop/deploy")
        .await
        .record("GET /orchestrator/v1/plans/{module}/{plan}", "unknown");
    operator
        .get("/orchestrator/v1/plans/shop/eu::deploy")
        .await
        .record("GET /orchestrator/v1/plans/{module}/{plan}", "three-segments");
    operator
        .get("/orchestrator/v1/plans/shop/No")
        .await
        .record("GET /orchestrator/v1/plans/{module}/{plan}", "bad-name");
}

#[actix_web::test]
async fn a_plan_job_is_its_owners() {
    let world = World::empty().await;
    start(&world).await;
    let viewer = world.viewer().post("/orchestrator/v1/command/stop_plan", json!({ "plan_job": "1" })).await;
    viewer.record(STOP, "viewer");
    let body = json!({ "plan_job": "1", "status": "success", "result": "" });
    let viewer = world.viewer().post("/orchestrator/v1/command/plan_finish", body).await;
    assert_eq!(viewer.status, 403);
}

#[actix_web::test]
async fn filters_and_pages_of_plan_jobs_are_stable() {
    let world = World::empty().await;
    for _ in 0..5 {
        start(&world).await;
    }
    for id in [2, 4] {
        let end = at(60 + id);
        world.store.finish_plan(PlanId(id as u64), PlanState::Failure, Value::Null, end).await.unwrap();
    }
    let viewer = world.viewer();
    let names = async |query: &str| -> Vec<String> {
        let found = viewer.get(&format!("/orchestrator/v1/plan_jobs?{query}")).await.json();
        let items = found["items"].as_array().unwrap().iter();
        items.map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("").await, ["4", "2", "5", "3", "1"], "newest sign first");
    assert_eq!(names("order=asc").await, ["1", "3", "5", "2", "4"]);
    assert_eq!(names("order_by=name&limit=2&offset=1").await, ["2", "3"]);
    assert_eq!(names("order_by=state&order=desc").await, ["5", "3", "1", "4", "2"]);
    assert_eq!(names("order=asc&min_finish_timestamp=2026-03-01T12:01:04Z").await, ["4"], "the bound is inclusive");
    assert_eq!(names("max_finish_timestamp=2026-03-01T12:01:02Z").await, ["2"]);
    assert!(names("offset=9").await.is_empty());
}

#[actix_web::test]
async fn never_stuck_a_plan_whose_runner_is_gone_is_found() {
    let world = World::empty().await;
    start(&world).await;
    start(&world).await;
    world.operator().post("/orchestrator/v1/command/plan_task", task("2")).await;
    assert!(world.store.silent_plans(at(60)).await.unwrap().is_empty(), "something was heard at that moment");
    // The job of the second one goes on, however long.
    assert_eq!(world.store.silent_plans(at(100_000)).await.unwrap(), [PlanId(1)]);
}

#[actix_web::test]
async fn a_long_list_is_whole_whatever_its_parts_in_the_store() {
    let world = World::empty().await;
    for _ in 0..120 {
        start(&world).await;
    }
    let viewer = world.viewer();
    let names = async |query: &str| -> Vec<u64> {
        let found = viewer.get(&format!("/orchestrator/v1/plan_jobs?order_by=name&{query}")).await.json();
        assert_eq!(found["pagination"]["total"], 120);
        let items = found["items"].as_array().unwrap().iter();
        items.map(|item| item["name"].as_str().unwrap().parse().unwrap()).collect()
    };
    assert_eq!(names("").await, (1..=120).collect::<Vec<_>>());
    assert_eq!(names("offset=30&limit=70").await, (31..=100).collect::<Vec<_>>());
    assert!(names("limit=0").await.is_empty());
}
