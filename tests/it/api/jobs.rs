//! Lists of jobs, single jobs, their nodes and reports.

use serde_json::Value;

use super::seed;
use super::world::World;

const LIST: &str = "GET /orchestrator/v1/jobs";
const ONE: &str = "GET /orchestrator/v1/jobs/{id}";
const NODES: &str = "GET /orchestrator/v1/jobs/{id}/nodes";
const REPORT: &str = "GET /orchestrator/v1/jobs/{id}/report";

fn names(answer: &Value) -> Vec<&str> {
    answer["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn jobs_are_listed_newest_first_unless_ordered() {
    let world = World::seeded().await;
    let viewer = world.viewer();
    viewer.get("/orchestrator/v1/jobs").await.record(LIST, "all");
    let cases = [
        ("order_by=name", vec!["1", "2", "3"]),
        ("order_by=name&order=desc&limit=1&offset=0", vec!["3"]),
        ("order_by=name&offset=1", vec!["2", "3"]),
        ("order_by=name&offset=7", vec![]),
        ("limit=0", vec![]),
        ("type=task", vec!["2"]),
        ("type=plan_task", vec![]),
        ("task=ree", vec!["2"]),
        ("task=nothing", vec![]),
        ("min_finish_timestamp=2026-03-01T12:00:13Z&order_by=name", vec!["2", "3"]),
        ("max_finish_timestamp=2026-03-01T13:00:13%2B01:00", vec!["2"]),
    ];
    for (query, expected) in cases {
        let answer = viewer.get(&format!("/orchestrator/v1/jobs?{query}")).await.json();
        assert_eq!(names(&answer), expected, "{query}");
    }
    viewer.get("/orchestrator/v1/jobs/?limit=1&type=task").await.record(LIST, "page");
}

#[actix_web::test]
async fn wrong_parameters_of_the_list_are_named() {
    let world = World::empty().await;
    let viewer = world.viewer();
    viewer.get("/orchestrator/v1/jobs?limit=-1").await.record(LIST, "bad-limit");
    viewer.get("/orchestrator/v1/jobs?type=deploy&task=x").await.record(LIST, "task-of-deploys");
    for query in ["offset=x", "order=up", "order_by=size", "type=dance", "min_finish_timestamp=yesterday", "limit="] {
        let answer = viewer.get(&format!("/orchestrator/v1/jobs?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.json()["details"]["key"], query.split('=').next().unwrap());
    }
    viewer.get("/orchestrator/v1/jobs").await.record(LIST, "none");
}

#[actix_web::test]
async fn a_job_shows_all_its_keys() {
    let world = World::seeded().await;
    let viewer = world.viewer();
    viewer.get("/orchestrator/v1/jobs/1").await.record(ONE, "running-deploy");
    viewer.get("/orchestrator/v1/jobs/2").await.record(ONE, "failed-task");
    viewer.get("/orchestrator/v1/jobs/3/").await.record(ONE, "stopped-deploy");
    viewer.get("/orchestrator/v1/jobs/99").await.record(ONE, "unknown");
    viewer.get("/orchestrator/v1/jobs/first").await.record(ONE, "no-number");
    viewer.get("/orchestrator/v1/jobs/123456789012345678901234567890").await.record(ONE, "beyond-64-bits");
}

#[actix_web::test]
async fn nodes_show_what_their_state_allows() {
    let world = World::seeded().await;
    let viewer = world.viewer();
    viewer.get("/orchestrator/v1/jobs/1/nodes").await.record(NODES, "every-state");
    viewer.get("/orchestrator/v1/jobs/2/nodes").await.record(NODES, "task");
    viewer.get("/orchestrator/v1/jobs/1/nodes?state=running&limit=5").await.record(NODES, "filtered");
    viewer.get("/orchestrator/v1/jobs/1/nodes?state=asleep").await.record(NODES, "bad-state");
    viewer.get("/orchestrator/v1/jobs/99/nodes").await.record(NODES, "unknown");
    let cases = [
        ("limit=2", vec!["errored.example.com", "failed.example.com"]),
        ("limit=1&offset=6", vec!["skipped.example.com"]),
        ("offset=7", vec![]),
        ("limit=0", vec![]),
        ("order=desc&limit=1", vec!["skipped.example.com"]),
        ("state=stopped", vec![]),
        ("state=new", vec!["new.example.com"]),
        ("order_by=start_timestamp&order=desc&limit=1", vec!["running.example.com"]),
    ];
    for (query, expected) in cases {
        let answer = viewer.get(&format!("/orchestrator/v1/jobs/1/nodes?{query}")).await.json();
        assert_eq!(names(&answer), expected, "{query}");
    }
}

#[actix_web::test]
async fn reports_have_one_list_under_two_keys() {
    let world = World::seeded().await;
    let viewer = world.viewer();
    let answer = viewer.get("/orchestrator/v1/jobs/1/report").await;
    answer.record(REPORT, "every-state");
    let json = answer.json();
    assert_eq!(json["items"], json["report"]);
    viewer.get("/orchestrator/v1/jobs/2/report").await.record(REPORT, "task");
    viewer.get("/orchestrator/v1/jobs/99/report").await.record(REPORT, "unknown");
}

#[actix_web::test]
async fn long_lists_are_whole() {
    let world = World::empty().await;
    let names: Vec<String> = (0..2_500).map(|n| format!("node{n:05}.example.com")).collect();
    let nodes: Vec<&str> = names.iter().map(String::as_str).collect();
    let spec = std::sync::Arc::new(seed::deploy(&nodes, 0));
    let ready = vec![true; nodes.len()];
    seed::create(world.jobs(), &spec, bunraku_actors::model::JobState::New, ready).await;
    let viewer = world.viewer();
    let shown = viewer.get("/orchestrator/v1/jobs/1/nodes").await.json();
    assert_eq!(self::names(&shown), nodes);
    let limited = viewer.get("/orchestrator/v1/jobs/1/nodes?limit=1200&offset=1000").await.json();
    assert_eq!(self::names(&limited), nodes[1_000..2_200]);
    let report = viewer.get("/orchestrator/v1/jobs/1/report").await.json();
    assert_eq!(report["items"].as_array().unwrap().len(), nodes.len());
    assert_eq!(report["items"], report["report"]);
}

#[actix_web::test]
async fn every_job_is_listed_once_however_many() {
    let world = World::empty().await;
    let spec = std::sync::Arc::new(seed::deploy(&["a.example.com"], 0));
    for _ in 0..230 {
        seed::create(world.jobs(), &spec, bunraku_actors::model::JobState::New, vec![true]).await;
    }
    let answer = world.viewer().get("/orchestrator/v1/jobs?order_by=name").await.json();
    let expected: Vec<String> = (1..=230).map(|n: u32| n.to_string()).collect();
    assert_eq!(names(&answer), expected);
    assert_eq!(answer["pagination"]["total"], 230);
}

#[actix_web::test]
async fn resource_events_that_the_agent_did_not_send_are_those_of_puppetdb() {
    let world = World::empty().await;
    super::seed::deploy_without_events(&world.store, "10000000-52b1-4a51-8f69-7f4d0e3a9a77").await;
    super::seed::deploy_without_events(&world.store, "00000000-52b1-4a51-8f69-7f4d0e3a9a77").await;
    world.viewer().get("/orchestrator/v1/jobs/1/report").await.record(REPORT, "events-of-puppetdb");
    world.viewer().get("/orchestrator/v1/jobs/2/report").await.record(REPORT, "puppetdb-down");
}
