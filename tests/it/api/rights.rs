//! What limited roles may do: on which nodes, in which environments, with which tasks; one's own; certificates.

use bunraku::api::accounts::{Accounts, NewToken, TokenHash};
use bunraku::api::rights::{Permission, Rules};
use bunraku::api::{Access, ENDPOINTS};
use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::seed::at;
use super::world::World;

const RULES: &str = "
roles:
  web:
    permissions:
      - orchestrator:view
      - permission: puppet_agent:run
        environments: [production]
        nodes: ['a.*']
      - permission: tasks:run
        instances: [greet]
        nodes: ['a.*']
      - permission: jobs:stop
        nodes: ['a.*']
bindings:
  - role: viewer
    logins: [metrics]
certificates:
  - name: metrics.example.com
    login: metrics
";

/// A server with the role `web`, and a token of it.
async fn web() -> (World, Client) {
    let world = World::empty().await;
    world.state.rules.store(Rules::parse(RULES).unwrap().into());
    let token = NewToken {
        login: "webby".into(),
        display_name: "Webby".into(),
        role: "web".into(),
        description: String::new(),
        expires_at: None,
    };
    world.store.create_token(token, TokenHash::of("web"), at(0)).await.unwrap();
    let client = world.holder("web");
    (world, client)
}

fn deploy(environment: &str, nodes: &[&str]) -> Value {
    json!({ "environment": environment, "scope": { "nodes": nodes } })
}

#[actix_web::test]
async fn a_scope_beyond_what_is_allowed_is_refused_with_its_count() {
    const DEPLOY: &str = "POST /orchestrator/v1/command/deploy";
    let (_world, web) = web().await;
    let run = async |body: Value| web.post("/orchestrator/v1/command/deploy", body).await;
    assert_eq!(run(deploy("production", &["a.example.com"])).await.status, 202);
    run(deploy("production", &["a.example.com", "b.example.com", "c.example.com"]))
        .await
        .record(DEPLOY, "beyond-reach");
    run(deploy("empty", &["a.example.com"])).await.record(DEPLOY, "other-environment");
    let free = json!({
        "environment": "production", "enforce_environment": false, "scope": { "nodes": ["a.example.com"] },
    });
    assert_eq!(run(free).await.status, 403, "its nodes could run in any environment");
    let whole = json!({ "environment": "production" });
    assert_eq!(run(whole).await.status, 403, "the whole environment has a node that is not allowed");
    let query = json!({ "environment": "production", "scope": { "query": "nodes { }" } });
    run(query).await.record(DEPLOY, "query-not-permitted");
    let group = json!({ "environment": "production", "scope": { "node_group": "0f" } });
    run(group).await.record(DEPLOY, "group-not-permitted");
}

#[actix_web::test]
async fn tasks_are_allowed_by_name() {
    const TASK: &str = "POST /orchestrator/v1/command/task";
    let (_world, web) = web().await;
    let run = async |task: &str, node: &str| {
        let body = json!({ "task": task, "scope": { "nodes": [node] } });
        web.post("/orchestrator/v1/command/task", body).await
    };
    assert_eq!(run("greet", "a.example.com").await.status, 202);
    run("greet", "b.example.com").await.record(TASK, "beyond-reach");
    run("exec", "a.example.com").await.record(TASK, "other-task");
    let tasks = web.get("/orchestrator/v1/tasks").await.json();
    let permitted = tasks["items"].as_array().unwrap().iter().filter(|task| task["permitted"] == true);
    assert_eq!(permitted.map(|task| task["name"].as_str().unwrap()).collect::<Vec<_>>(), ["greet"]);
    let schedule = json!({
        "type": "task", "environment": "production", "input": { "name": "exec", "scope": { "nodes": ["a.example.com"] } },
        "schedule": { "start_time": "2026-03-02T00:00:00Z", "interval": null },
    });
    let scheduled = web.post("/orchestrator/v1/scheduled_jobs/environment_jobs", schedule).await;
    assert_eq!(scheduled.status, 403, "nor may it be scheduled");
}

#[actix_web::test]
async fn one_stops_ones_own_jobs_and_those_within_reach() {
    const STOP: &str = "POST /orchestrator/v1/command/stop";
    let (world, web) = web().await;
    let operator = world.operator();
    for nodes in [&["a.example.com"][..], &["a.example.com", "b.example.com"]] {
        let body = deploy("production", nodes);
        assert_eq!(operator.post("/orchestrator/v1/command/deploy", body).await.status, 202);
    }
    let stop =
        async |client: &Client, job: &str| client.post("/orchestrator/v1/command/stop", json!({ "job": job })).await;
    stop(&world.viewer(), "1").await.record(STOP, "viewer");
    assert_eq!(stop(&web, "1").await.status, 202);
    stop(&web, "2").await.record(STOP, "beyond-reach");
    // What is one's own may be stopped whatever it is on.
    world
        .state
        .rules
        .store(Rules::parse("roles: {web: {permissions: [orchestrator:view, puppet_agent:run]}}").unwrap().into());
    let body = deploy("production", &["b.example.com"]);
    assert_eq!(web.post("/orchestrator/v1/command/deploy", body).await.status, 202);
    assert_eq!(stop(&web, "3").await.status, 202);
    assert_eq!(stop(&web, "2").await.status, 403);
}

#[actix_web::test]
async fn a_certificate_stands_for_a_login_only_where_it_is_listed() {
    let (world, _) = web().await;
    assert_eq!(world.node("metrics.example.com").get("/orchestrator/v1/jobs").await.status, 200);
    let who = world.node("metrics.example.com").get("/bunraku/v1/whoami").await.json();
    assert_eq!((&who["login"], &who["role"]), (&json!("metrics"), &json!("viewer")));
    let run =
        world.node("metrics.example.com").post("/orchestrator/v1/command/deploy", deploy("production", &["a"])).await;
    assert_eq!(run.status, 403);
    assert_eq!(world.node("a.example.com").get("/orchestrator/v1/jobs").await.status, 401);
}

#[actix_web::test]
async fn a_role_that_is_gone_grants_nothing() {
    let (world, web) = web().await;
    world.state.rules.store(Rules::default().into());
    assert_eq!(web.get("/orchestrator/v1/jobs").await.status, 403);
    assert_eq!(web.get("/bunraku/v1/whoami").await.json()["permissions"], json!([]));
}

#[actix_web::test]
async fn why_somebody_may_or_may_not_is_explained() {
    const ACCESS: &str = "GET /bunraku/v1/access";
    let (world, _) = web().await;
    let admin = world.admin();
    let ask = async |query: &str| admin.get(&format!("/bunraku/v1/access?{query}")).await;
    let run = "user=webby&action=puppet_agent:run";
    ask(&format!("{run}&environment=production&node=a.example.com")).await.record(ACCESS, "yes");
    ask(&format!("{run}&environment=production&node=b.example.com")).await.record(ACCESS, "not-this-node");
    ask(&format!("{run}&environment=staging")).await.record(ACCESS, "not-this-environment");
    ask("user=webby&action=audit:view").await.record(ACCESS, "not-granted");
    ask("user=stranger&action=orchestrator:view").await.record(ACCESS, "no-role");
    ask("user=webby&action=fly").await.record(ACCESS, "bad-action");
    ask("action=audit:view").await.record(ACCESS, "no-user");
}

/// Web servers: a and c.
const GROUP: &str = "00000000-0000-4000-8000-000000000002";

#[actix_web::test]
async fn nodes_are_chosen_by_the_group_that_they_are_in() {
    const DEPLOY: &str = "POST /orchestrator/v1/command/deploy";
    const GROUPS: &str = "GET /bunraku/v1/groups";
    const NODES: &str = "GET /bunraku/v1/groups/{group}/nodes";
    let world = World::empty().await;
    let operator = world.operator();
    operator.get("/bunraku/v1/groups").await.record(GROUPS, "all");
    operator.get("/bunraku/v1/groups/Web%20servers/nodes").await.record(NODES, "by-name");
    operator.get(&format!("/bunraku/v1/groups/{GROUP}/nodes")).await.record(NODES, "by-name");
    operator.get("/bunraku/v1/groups/none/nodes").await.record(NODES, "unknown");
    let run = async |group: &str| {
        let body = json!({ "environment": "production", "scope": { "node_group": group } });
        operator.post("/orchestrator/v1/command/deploy", body).await
    };
    for (job, group) in ["Web servers", GROUP].into_iter().enumerate() {
        assert_eq!(run(group).await.status, 202, "{group}");
        let nodes = operator.get(&format!("/orchestrator/v1/jobs/{}/nodes", job + 1)).await.json();
        let names: Vec<_> = nodes["items"].as_array().unwrap().iter().map(|node| node["name"].clone()).collect();
        assert_eq!(names, ["a.example.com", "c.example.com"]);
    }
    run("none").await.record(DEPLOY, "unknown-group");
    run("Folder").await.record(DEPLOY, "group-without-rule");
    run("Nobody").await.record(DEPLOY, "group-without-nodes");
}

#[actix_web::test]
async fn rights_may_be_limited_to_groups_and_task_targets() {
    const RULES: &str = "
roles:
  web:
    permissions:
      - orchestrator:view
      - permission: puppet_agent:run
        node_groups: ['Web servers']
      - permission: jobs:stop
        node_groups: ['Web servers']
      - permission: node_groups:view
        instances: ['Web servers']
      - permission: tasks:run
        task_targets: [1]
";
    let (world, web) = web().await;
    world.state.rules.store(Rules::parse(RULES).unwrap().into());
    let target = json!({
        "display_name": "restart", "tasks": ["greet"], "nodes": ["b.example.com"], "node_groups": [GROUP],
    });
    let deploys =
        async |nodes: &[&str]| web.post("/orchestrator/v1/command/deploy", deploy("production", nodes)).await.status;
    assert_eq!(deploys(&["a.example.com", "c.example.com"]).await, 202);
    assert_eq!(deploys(&["a.example.com", "b.example.com"]).await, 403);
    let by_group = |group: &str| json!({ "environment": "production", "scope": { "node_group": group } });
    for (group, expected) in [("Web servers", 202), (GROUP, 202), ("Nobody", 403), ("none", 403)] {
        let answer = web.post("/orchestrator/v1/command/deploy", by_group(group)).await;
        assert_eq!(answer.status, expected, "{group}");
    }
    let shown = web.get("/bunraku/v1/groups").await.json();
    assert_eq!(shown["items"].as_array().unwrap().len(), 1, "the others are none of theirs");
    let (hidden, none) =
        (web.get("/bunraku/v1/groups/Nobody/nodes").await, web.get("/bunraku/v1/groups/none/nodes").await);
    assert_eq!((hidden.status, none.status), (403, 403), "nobody learns which groups there are");

    let runs = async |task: &str, node: &str| {
        let body = json!({ "task": task, "scope": { "nodes": [node] } });
        web.post("/orchestrator/v1/command/task", body).await.status
    };
    assert_eq!(runs("greet", "b.example.com").await, 403, "there is no such target yet");
    assert_eq!(world.operator().post("/orchestrator/v1/command/task_target", target).await.status, 200);
    assert_eq!(runs("greet", "b.example.com").await, 202, "by its name");
    assert_eq!(runs("greet", "c.example.com").await, 202, "by its group");
    assert_eq!(runs("greet", "d.example.com").await, 403);
    assert_eq!(runs("exec", "b.example.com").await, 403);
    let tasks = web.get("/orchestrator/v1/tasks").await.json();
    let permitted = tasks["items"].as_array().unwrap().iter().filter(|task| task["permitted"] == true);
    assert_eq!(permitted.map(|task| task["name"].as_str().unwrap()).collect::<Vec<_>>(), ["greet"]);

    let others = world.operator().post("/orchestrator/v1/command/deploy", by_group("Web servers")).await.json();
    let job = others["job"]["name"].as_str().unwrap().to_owned();
    let stop = web.post("/orchestrator/v1/command/stop", json!({ "job": job })).await;
    assert_eq!(stop.status, 202, "all of its nodes are in the group");
    let admin = world.admin();
    let run = "/bunraku/v1/access?user=webby&action=puppet_agent:run&environment=production";
    let told = admin.get(&format!("{run}&node=c.example.com")).await;
    told.record("GET /bunraku/v1/access", "yes-by-group");
    let told = admin.get(&format!("{run}&node=b.example.com")).await.json();
    assert_eq!(told["allowed"], false);
}

/// What acts on something that may lie beyond a grant, with a body that asks for it.
fn acting() -> Vec<(&'static str, &'static str, Value)> {
    let scope = json!({ "nodes": ["a.example.com"] });
    let at_one = "2026-03-01T13:00:00Z";
    let scheduled = json!({
        "type": "deploy", "environment": "production", "input": { "scope": scope },
        "schedule": { "start_time": at_one, "interval": null },
    });
    let command = |what: &'static str, body: Value| ("POST", what, body);
    vec![
        command("command/deploy", json!({ "environment": "production", "scope": scope })),
        command("command/task", json!({ "task": "greet", "scope": scope })),
        command("command/stop", json!({ "job": "1" })),
        command("command/plan_run", json!({ "plan_name": "shop::deploy", "params": {} })),
        command("command/environment_plan_run", json!({ "plan_name": "shop::deploy", "params": {} })),
        command("command/plan_start", json!({ "plan_name": "shop::deploy", "params": {} })),
        command("command/plan_task", json!({ "task": "greet", "plan_job": "1", "scope": scope, "params": {} })),
        command("command/plan_finish", json!({ "plan_job": "1", "status": "success", "result": "" })),
        command("command/stop_plan", json!({ "plan_job": "1" })),
        command(
            "command/schedule_deploy",
            json!({ "environment": "production", "scope": scope, "scheduled_time": at_one }),
        ),
        command("command/schedule_task", json!({ "task": "greet", "scope": scope, "scheduled_time": at_one })),
        command("command/schedule_plan", json!({ "plan": "shop::deploy", "params": {}, "scheduled_time": at_one })),
        command("scheduled_jobs/environment_jobs", scheduled.clone()),
        ("PUT", "scheduled_jobs/environment_jobs/{id}", scheduled),
        ("DELETE", "scheduled_jobs/{id}", json!(null)),
        ("POST", "/bunraku/v1/jobs/{id}/retry", json!({ "which": "all" })),
        ("POST", "/bunraku/v1/preview", json!({ "environment": "production", "scope": scope })),
        ("GET", "/bunraku/v1/groups/{group}/nodes", json!(null)),
    ]
}

#[actix_web::test]
async fn the_code_of_an_environment_is_for_those_who_may_run_puppet_in_it() {
    let (world, web) = web().await;
    for (environment, status) in [("elsewhere", 403), ("production", 200)] {
        let run = json!({ "permission": "puppet_agent:run", "environments": [environment], "nodes": ["x"] });
        let text = json!({ "roles": { "web": { "permissions": ["orchestrator:view", run] } } }).to_string();
        world.state.rules.store(Rules::parse(&text).unwrap().into());
        let answer = web.post("/bunraku/v1/environments/production/flush", json!({})).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
}

#[actix_web::test]
async fn a_grant_for_other_instances_nodes_or_environments_opens_no_route_that_acts() {
    let grants = |limits: &str| {
        let limited = |permission: &str| {
            let named = ["tasks:run", "plans:run"].contains(&permission);
            let key = match (limits, named) {
                (limits, true) if permission == "plans:run" && limits != "instances" => "instances",
                ("instances", false) => "nodes",
                (limits, _) => limits,
            };
            json!({ "permission": permission, key: ["elsewhere"] })
        };
        let acting = ["tasks:run", "plans:run", "puppet_agent:run", "jobs:stop"].map(limited);
        let mut permissions =
            json!(["orchestrator:view", { "permission": "node_groups:view", "instances": ["elsewhere"] }]);
        permissions.as_array_mut().unwrap().extend(acting);
        json!({ "roles": { "web": { "permissions": permissions } } }).to_string()
    };
    // Whatever may act, or names one of several things, is among them.
    let table = acting();
    let full = |path: &str| if path.starts_with('/') { path.to_owned() } else { format!("/orchestrator/v1/{path}") };
    for endpoint in ENDPOINTS {
        let acts = match endpoint.access {
            Access::Acting => true,
            // On no node: see the next test.
            _ if endpoint.path.ends_with("/flush") => false,
            Access::Token(Permission::RunPuppet | Permission::RunTasks | Permission::RunPlans) => true,
            Access::Token(Permission::View) => endpoint.method != "GET" && !endpoint.path.ends_with("/inventory"),
            Access::Token(Permission::ViewGroups) => endpoint.path.contains('{'),
            _ => false,
        };
        let listed = table.iter().any(|(method, path, _)| endpoint.method == *method && endpoint.path == full(path));
        assert_eq!(acts, listed, "{} {}", endpoint.method, endpoint.path);
    }
    for limits in ["instances", "environments", "nodes"] {
        let (world, web) = web().await;
        let text = grants(limits);
        world.state.rules.store(Rules::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}")).into());
        // Things of somebody else.
        let operator = world.operator();
        for (method, path, body) in acting().into_iter().filter(|(_, path, _)| !path.contains("stop")) {
            if ["command/deploy", "command/plan_start", "scheduled_jobs/environment_jobs"].contains(&path) {
                let made = Answer::of(operator.request(method, &full(path)).json(&body)).await;
                assert!(made.status < 300, "{path}: {}", made.json());
            }
        }
        for (method, path, body) in acting() {
            let place = full(path).replace("{id}", "1").replace("{group}", "Nobody");
            let request = web.request(method, &place);
            let answer = Answer::of(if body.is_null() { request } else { request.json(&body) }).await;
            assert_eq!(answer.status, 403, "{method} {path} with other {limits}: {}", answer.json());
        }
        let jobs = operator.get("/orchestrator/v1/jobs").await.json();
        assert_eq!(jobs["items"].as_array().unwrap().len(), 1, "nothing was started with other {limits}");
    }
}

#[actix_web::test]
async fn who_changes_a_schedule_of_somebody_else_needs_the_rights_for_what_it_runs() {
    const PATH: &str = "/orchestrator/v1/scheduled_jobs/environment_jobs";
    let (world, web) = web().await;
    let rules =
        RULES.replace("      - orchestrator:view\n", "      - orchestrator:view\n      - scheduled_jobs:edit\n");
    world.state.rules.store(Rules::parse(&rules).unwrap().into());
    let schedule = |scope: Value, time: &str| {
        json!({
            "type": "deploy", "environment": "production", "input": { "scope": scope },
            "schedule": { "start_time": time, "interval": null },
        })
    };
    let (whole, own) = (json!({ "whole_environment": true }), json!({ "nodes": ["a.example.com"] }));
    assert_eq!(web.post(PATH, schedule(whole.clone(), "2026-03-02T00:00:00Z")).await.status, 403, "not all are theirs");
    let mut waiting = schedule(whole.clone(), "2026-03-02T00:00:00Z");
    waiting["enabled"] = json!(false);
    assert_eq!(web.post(PATH, waiting.clone()).await.status, 403, "nor when it waits to be enabled");
    let made = world.operator().post(PATH, schedule(whole.clone(), "2026-03-02T00:00:00Z")).await;
    assert_eq!(made.status, 200);
    let change = async |body: Value| web.put(&format!("{PATH}/1"), body).await.status;
    assert_eq!(change(schedule(whole, "2026-03-01T23:00:00Z")).await, 403, "to say when is to run it");
    assert_eq!(change(schedule(own, "2026-03-01T23:00:00Z")).await, 200);
    assert_eq!(world.operator().post(PATH, waiting).await.status, 200);
    let enable = json!({ "enabled": true });
    assert_eq!(web.put(&format!("{PATH}/2"), enable.clone()).await.status, 403, "to enable it is to run it");
    assert_eq!(world.operator().put(&format!("{PATH}/2"), enable).await.status, 200);
    assert_eq!(web.delete("/orchestrator/v1/scheduled_jobs/1").await.status, 204, "it may be disabled as ever");
}

#[actix_web::test]
async fn a_certificate_of_a_revoked_user_opens_nothing() {
    let (world, _) = web().await;
    let admin = world.admin();
    let user = json!({ "login": "metrics", "password": "correct horse battery" });
    assert_eq!(admin.post("/bunraku/v1/users", user).await.status, 201);
    let node = world.node("metrics.example.com");
    assert_eq!(node.get("/orchestrator/v1/jobs").await.status, 200);
    let revoked = admin.put("/bunraku/v1/users/metrics", json!({ "revoked": true })).await;
    assert_eq!(revoked.status, 200, "{}", revoked.json());
    let refused = node.get("/orchestrator/v1/jobs").await;
    assert_eq!((refused.status, refused.json()["kind"].clone()), (401, "puppetlabs.rbac/user-revoked".into()));
}
