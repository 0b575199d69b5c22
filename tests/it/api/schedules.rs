//! Scheduled jobs: made, changed, listed, refused, and their turns.

use bunraku::api::accounts::{Accounts, TokenHash};
use bunraku::api::schedule::Scheduler;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::client::Client;
use super::seed::at;
use super::world::World;

const CREATE: &str = "POST /orchestrator/v1/scheduled_jobs/environment_jobs";
const CHANGE: &str = "PUT /orchestrator/v1/scheduled_jobs/environment_jobs/{id}";
const ONE: &str = "GET /orchestrator/v1/scheduled_jobs/environment_jobs/{id}";
const LIST: &str = "GET /orchestrator/v1/scheduled_jobs/environment_jobs";
const PATH: &str = "/orchestrator/v1/scheduled_jobs/environment_jobs";

/// A deploy at 13:00, one hour after the first job of the tests.
fn deploy() -> Value {
    json!({
        "type": "deploy", "environment": "production", "description": "nightly", "userdata": { "ticket": 7 },
        "input": { "scope": { "nodes": ["a.example.com"] }, "noop": true },
        "schedule": { "start_time": "2026-03-01T13:00:00Z", "interval": { "units": "seconds", "value": 3600 } },
    })
}

fn task() -> Value {
    json!({
        "type": "task", "environment": "production", "description": "", "userdata": {},
        "input": {
            "name": "greet", "parameters": { "to": { "value": "all" } }, "scope": { "nodes": ["a.example.com"] },
        },
        "schedule": { "start_time": "2026-03-01T14:00:00+01:00", "interval": null },
    })
}

fn with(mut body: Value, key: &str, value: Value) -> Value {
    let (outer, inner) = key.split_once('.').map_or((key, None), |(outer, inner)| (outer, Some(inner)));
    match inner {
        Some(inner) => body[outer][inner] = value,
        None => body[outer] = value,
    }
    body
}

async fn look_at(world: &World, now: DateTime<Utc>) {
    world.clock.set(now);
    Scheduler::new(world.state.clone()).look().await.unwrap();
}

async fn jobs(client: &Client) -> Value {
    client.get("/orchestrator/v1/jobs").await.json()["pagination"]["total"].clone()
}

async fn schedule(client: &Client, id: &str) -> Value {
    client.get(&format!("{PATH}/{id}")).await.json()
}

#[actix_web::test]
async fn a_scheduled_job_runs_at_its_time_and_is_shown() {
    let world = World::empty().await;
    let operator = world.operator();
    operator.post(PATH, deploy()).await.record(CREATE, "deploy");
    operator.post(PATH, task()).await.record(CREATE, "task");
    operator.get(PATH).await.record(LIST, "two");
    look_at(&world, at(3_599)).await;
    assert_eq!(jobs(&operator).await, 0, "not before its time");
    look_at(&world, at(3_600)).await;
    look_at(&world, at(3_601)).await;
    assert_eq!(jobs(&operator).await, 2, "each turn happens once");
    world.until_running(1, 1).await;
    operator.get("/orchestrator/v1/jobs/1").await.record("GET /orchestrator/v1/jobs/{id}", "scheduled");
    operator.get(&format!("{PATH}/1")).await.record(ONE, "deploy-after-a-turn");
    operator.get(&format!("{PATH}/2")).await.record(ONE, "task-after-its-turn");
    let audit =
        world.admin().get("/bunraku/v1/audit?action=scheduled%20job&outcome=accepted&login=operator").await.json();
    assert_eq!(audit["items"].as_array().unwrap().len(), 2, "turns are commands of their owner");
    assert!(audit["items"].as_array().unwrap().iter().all(|turn| turn["about"]["nodes"] == 1), "{audit:#}");
}

#[actix_web::test]
async fn a_turn_is_skipped_while_the_job_of_the_last_one_goes_on() {
    let world = World::empty().await;
    let operator = world.operator();
    operator.post(PATH, deploy()).await;
    look_at(&world, at(3_600)).await;
    // Nothing ever happens on these nodes.
    look_at(&world, at(7_200)).await;
    assert_eq!(jobs(&operator).await, 1);
    assert_eq!(schedule(&operator, "1").await["next_run"]["time"], "2026-03-01T15:00:00Z");
}

#[actix_web::test]
async fn what_was_missed_is_made_up_for_once_if_it_is_not_too_old() {
    let world = World::empty().await;
    let operator = world.operator();
    operator.post(PATH, with(deploy(), "schedule.interval", json!({ "units": "seconds", "value": 60 }))).await;
    look_at(&world, at(3_600 + 1_800)).await;
    assert_eq!(jobs(&operator).await, 1, "thirty turns were missed, one is made up for");
    assert_eq!(schedule(&operator, "1").await["next_run"]["time"], "2026-03-01T13:31:00Z");
    operator.post("/orchestrator/v1/command/stop", json!({ "job": "1" })).await;
    operator.post(PATH, with(task(), "schedule.start_time", json!("2026-03-01T14:00:00Z"))).await;
    look_at(&world, at(7_200 + 3_601)).await;
    let late = schedule(&operator, "2").await;
    assert_eq!((&late["next_run"], &late["last_run"]), (&Value::Null, &Value::Null), "an hour late is too late");
}

#[actix_web::test]
async fn a_turn_runs_with_the_rights_that_its_owner_has_then() {
    let world = World::empty().await;
    let admin = world.admin();
    let created = admin.post("/bunraku/v1/tokens", json!({ "login": "ci", "role": "operator" })).await.json();
    let ci = world.holder(created["token"].as_str().unwrap());
    assert_eq!(ci.post(PATH, deploy()).await.status, 200);
    let token = world.store.token(TokenHash::of(created["token"].as_str().unwrap())).await.unwrap().unwrap();
    world.store.revoke_token(token.id, at(61)).await.unwrap();
    look_at(&world, at(3_600)).await;
    assert_eq!(jobs(&admin).await, 0);
    admin.get(&format!("{PATH}/1")).await.record(ONE, "owner-lost-the-right");
}

#[actix_web::test]
async fn a_change_replaces_what_it_names_and_disabling_is_for_good() {
    let world = World::empty().await;
    let operator = world.operator();
    operator.post(PATH, deploy()).await;
    let moved = json!({ "schedule": { "start_time": "2026-03-02T13:00:00Z", "interval": null } });
    operator.put(&format!("{PATH}/1"), moved).await.record(CHANGE, "moved");
    look_at(&world, at(3_600)).await;
    assert_eq!(jobs(&operator).await, 0);
    let changed = schedule(&operator, "1").await;
    assert_eq!((&changed["description"], &changed["schedule"]["interval"]), (&json!("nightly"), &Value::Null));
    assert_eq!(operator.put(&format!("{PATH}/1"), json!({ "enabled": false })).await.status, 200);
    operator.get(&format!("{PATH}/1")).await.record(ONE, "disabled");
    operator.put(&format!("{PATH}/1"), json!({ "enabled": true })).await.record(CHANGE, "disabled");
    look_at(&world, at(90_000)).await;
    assert_eq!(jobs(&operator).await, 0);
    operator.put(&format!("{PATH}/9"), json!({})).await.record(CHANGE, "unknown");
    operator.post(PATH, task()).await;
    let bad = json!({ "input": { "name": "greet", "scope": { "nodes": [] } } });
    operator.put(&format!("{PATH}/2"), bad).await.record(CHANGE, "bad-input");
}

#[actix_web::test]
async fn a_schedule_that_is_made_disabled_waits_to_be_enabled() {
    let world = World::empty().await;
    let operator = world.operator();
    operator.post(PATH, with(deploy(), "enabled", json!(false))).await.record(CREATE, "not-enabled");
    operator.post(PATH, with(task(), "enabled", json!(false))).await;
    operator.get(&format!("{PATH}/1")).await.record(ONE, "not-enabled");
    look_at(&world, at(3_600)).await;
    assert_eq!(jobs(&operator).await, 0, "it has no turns");
    operator.put(&format!("{PATH}/1"), json!({ "description": "soon" })).await;
    let changed = schedule(&operator, "1").await;
    assert_eq!((&changed["enabled"], &changed["description"]), (&json!(false), &json!("soon")));
    assert_eq!(world.viewer().put(&format!("{PATH}/1"), json!({ "enabled": true })).await.status, 403);
    world.clock.set(at(3_700));
    assert_eq!(operator.put(&format!("{PATH}/1"), json!({ "enabled": true })).await.status, 200);
    let enabled = schedule(&operator, "1").await;
    assert_eq!((&enabled["enabled"], &enabled["next_run"]["time"]), (&json!(true), &json!("2026-03-01T14:00:00Z")));
    look_at(&world, at(3_701)).await;
    assert_eq!(jobs(&operator).await, 0, "what it would have done meanwhile is not made up for");
    look_at(&world, at(7_200)).await;
    assert_eq!(jobs(&operator).await, 1);
    operator.put(&format!("{PATH}/2"), json!({ "enabled": true })).await.record(CHANGE, "enabled-too-late");
    let later = json!({ "enabled": true, "schedule": { "start_time": "2026-03-01T16:00:00Z", "interval": null } });
    assert_eq!(operator.put(&format!("{PATH}/2"), later).await.status, 200);
    assert_eq!(schedule(&operator, "2").await["next_run"]["time"], "2026-03-01T16:00:00Z");
}

#[actix_web::test]
async fn what_waits_to_be_enabled_is_checked_as_any_other_and_may_be_disabled_for_good() {
    let world = World::empty().await;
    let operator = world.operator();
    operator.post(PATH, with(deploy(), "enabled", json!(false))).await;
    let gone = json!({ "input": { "scope": { "node_group": "Nowhere" } } });
    assert!((400..500).contains(&operator.put(&format!("{PATH}/1"), gone).await.status));
    assert_eq!(operator.delete("/orchestrator/v1/scheduled_jobs/1").await.status, 204, "and disabled for good");
    assert_eq!(operator.put(&format!("{PATH}/1"), json!({ "enabled": true })).await.status, 400);
}

#[actix_web::test]
async fn each_broken_rule_of_a_schedule_is_named() {
    let world = World::empty().await;
    let operator = world.operator();
    let cases = [
        ("no-type", with(deploy(), "type", Value::Null)),
        ("bad-type", with(deploy(), "type", json!("script"))),
        ("no-input", with(deploy(), "input", Value::Null)),
        ("no-environment", with(deploy(), "environment", Value::Null)),
        ("unknown-environment", with(deploy(), "environment", json!("nowhere"))),
        ("no-schedule", with(deploy(), "schedule", Value::Null)),
        ("no-time", with(deploy(), "schedule.start_time", json!("tomorrow"))),
        ("past", with(deploy(), "schedule.start_time", json!("2026-03-01T12:01:00Z"))),
        ("bad-units", with(deploy(), "schedule.interval", json!({ "units": "days", "value": 1 }))),
        ("bad-value", with(deploy(), "schedule.interval", json!({ "units": "seconds", "value": 0 }))),
        ("bad-enabled", with(deploy(), "enabled", json!("no"))),
        ("bad-cron", with(deploy(), "schedule.cron", json!("every day"))),
        ("no-scope", with(deploy(), "input", json!({ "noop": true }))),
        ("bad-option", with(deploy(), "input.noop", json!("yes"))),
        ("bad-parameters", with(task(), "input.parameters", json!({ "to": "all" }))),
        ("plan", with(with(deploy(), "type", json!("plan")), "input", json!({ "name": "shop::deploy" }))),
        ("bad-plan", with(with(deploy(), "type", json!("plan")), "input", json!({ "name": "No" }))),
    ];
    for (case, body) in cases {
        operator.post(PATH, body).await.record(CREATE, case);
    }
    world.viewer().post(PATH, deploy()).await.record(CREATE, "viewer");
    operator.get(&format!("{PATH}?order_by=size")).await.record(LIST, "bad-order");
    operator.get(&format!("{PATH}/9")).await.record(ONE, "unknown");
    operator.get(&format!("{PATH}/x")).await.record(ONE, "no-number");
}

#[actix_web::test]
async fn a_cron_schedule_keeps_the_wall_clock_across_the_change_to_summer_time() {
    let world = World::empty().await;
    let operator = world.operator();
    let schedule_part = json!({
        "start_time": "2026-03-28T00:00:00Z", "interval": null, "cron": "30 2 * * *", "timezone": "Europe/Berlin",
    });
    // A node that is away: its job can be stopped at once.
    let body = with(deploy(), "input.scope", json!({ "nodes": ["away.example.com"] }));
    operator.post(PATH, with(body, "schedule", schedule_part)).await;
    let mut turns = Vec::new();
    for _ in 0..4 {
        let next = schedule(&operator, "1").await["next_run"]["time"].as_str().unwrap().to_owned();
        look_at(&world, next.parse().unwrap()).await;
        let last = jobs(&operator).await;
        operator.post("/orchestrator/v1/command/stop", json!({ "job": last.to_string() })).await;
        turns.push(next);
    }
    // On 29 March the clocks go from 02:00 to 03:00.
    let expected = ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"];
    assert_eq!(turns, expected);
    assert_eq!(jobs(&operator).await, 4);
    operator.get(&format!("{PATH}/1")).await.record(ONE, "cron");
}

#[actix_web::test]
async fn the_older_commands_are_another_way_to_the_same() {
    let world = World::empty().await;
    let operator = world.operator();
    let at_one = "2026-03-01T13:00:00Z";
    let scope = json!({ "nodes": ["a.example.com"] });
    let post =
        async |name: &str, body: Value| operator.post(&format!("/orchestrator/v1/command/schedule_{name}"), body).await;
    let task =
        json!({ "task": "greet", "params": { "to": "x" }, "scope": scope, "scheduled_time": at_one, "noop": null });
    post("task", task).await.record("POST /orchestrator/v1/command/schedule_task", "accepted");
    let every = json!({ "interval": { "units": "seconds", "value": 86_400 } });
    let deploy = json!({
        "environment": "production", "scope": scope, "noop": true, "scheduled_time": at_one, "schedule_options": every,
    });
    post("deploy", deploy).await.record("POST /orchestrator/v1/command/schedule_deploy", "accepted");
    let plan = json!({ "plan": "shop::deploy", "params": {}, "scheduled_time": at_one });
    post("plan", plan).await.record("POST /orchestrator/v1/command/schedule_plan", "no-plans-here");
    let past = json!({ "task": "greet", "scope": scope, "scheduled_time": "2020-01-01T00:00:00Z" });
    post("task", past).await.record("POST /orchestrator/v1/command/schedule_task", "past");
    post("task", json!({ "task": "greet" })).await.record("POST /orchestrator/v1/command/schedule_task", "no-time");
    operator.get("/orchestrator/v1/scheduled_jobs").await.record("GET /orchestrator/v1/scheduled_jobs", "two");
    operator
        .get("/orchestrator/v1/scheduled_jobs?order_by=name&order=desc&limit=1")
        .await
        .record("GET /orchestrator/v1/scheduled_jobs", "last");
    look_at(&world, at(3_600)).await;
    assert_eq!(jobs(&operator).await, 2);
    const DELETE: &str = "DELETE /orchestrator/v1/scheduled_jobs/{id}";
    operator.delete("/orchestrator/v1/scheduled_jobs/1").await.record(DELETE, "disabled");
    operator.delete("/orchestrator/v1/scheduled_jobs/9").await.record(DELETE, "unknown");
    world.viewer().delete("/orchestrator/v1/scheduled_jobs/1").await.record(DELETE, "viewer");
}

#[actix_web::test]
async fn never_twice_what_was_due_before_a_restore_is_not_made_up_for() {
    let world = World::empty().await;
    let operator = world.operator();
    operator.post(PATH, deploy()).await;
    operator.post(PATH, with(deploy(), "schedule.start_time", json!("2026-03-01T13:20:00Z"))).await;
    // As a restore leaves it: a moment after the first turn was due, and before the second one.
    let file = rusqlite::Connection::open(world.folder.path().join("bunraku.db")).unwrap();
    let jump = "INSERT INTO number_jumps (at, name, after, until) VALUES (?1, 'job', 0, 1000)";
    file.execute(jump, [at(3_660).timestamp_micros()]).unwrap();
    look_at(&world, at(5_000)).await;
    assert_eq!(jobs(&operator).await, 1, "only what was due after the restore");
    let skipped = schedule(&operator, "1").await;
    assert_eq!((&skipped["last_run"], &skipped["next_run"]["time"]), (&Value::Null, &json!("2026-03-01T14:00:00Z")));
    assert!(schedule(&operator, "2").await["last_run"]["job"]["name"].is_string());
}

#[actix_web::test]
async fn what_could_not_be_done_today_is_not_scheduled() {
    let world = World::empty().await;
    let operator = world.operator();
    let schedule = async |kind: &str, environment: &str, input: Value| {
        let body = json!({
            "type": kind, "environment": environment, "input": input,
            "schedule": { "start_time": "2026-03-01T13:00:00+0000", "interval": null },
        });
        let answer = operator.post(PATH, body).await;
        (answer.status, answer.json()["kind"].as_str().unwrap_or_default().replace("puppetlabs.orchestrator/", ""))
    };
    let nodes = json!({ "nodes": ["a.example.com"] });
    let task = |name: &str, parameters: Value| json!({ "name": name, "parameters": parameters, "scope": nodes });
    assert_eq!(schedule("task", "production", task("greet", json!({}))).await.0, 200);
    for (kind, environment, input, expected) in [
        ("task", "production", task("none", json!({})), (404, "unknown-task")),
        ("task", "production", task("greet", json!({ "from": { "value": 1 } })), (400, "validation-error")),
        ("task", "nowhere", task("greet", json!({})), (404, "unknown-environment")),
        ("deploy", "production", json!({ "scope": { "node_group": "none" } }), (400, "validation-error")),
        ("deploy", "production", json!({ "scope": { "application": "None" } }), (400, "empty-target")),
        ("deploy", "empty", json!({ "scope": { "whole_environment": true } }), (400, "empty-environment")),
        ("deploy", "production", json!({ "scope": { "query": "nodes { }" } }), (400, "query-error")),
        ("deploy", "knot", json!({ "scope": { "whole_environment": true } }), (400, "dependency-cycle")),
    ] {
        assert_eq!(schedule(kind, environment, input.clone()).await, (expected.0, expected.1.to_owned()), "{input}");
    }
}
