//! Rights by the query of a task target: asked of a PuppetDB each time, and never granted without its answer.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use bunraku::api::accounts::{Accounts, NewToken, TokenHash};
use bunraku::api::rights::Rules;
use bunraku::api::schedule::Scheduler;
use bunraku::directory::{Options, RemoteOptions, Sources};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{Answer, Client};
use super::seed::at;
use super::world::World;
use crate::support::ca::TestCa;
use crate::support::https::{FakeService, Reply};

const RULES: &str = "
roles:
  web:
    permissions:
      - orchestrator:view
      - permission: tasks:run
        task_targets: [1, 2]
";
const TASK: &str = "/orchestrator/v1/command/task";
const QUERY: &str = "inventory[certname] { facts.role = 'web' }";

/// What PuppetDB says next.
type Says = Arc<Mutex<(u16, Value)>>;

struct Site {
    _root: TempDir,
    world: World,
    web: Client,
    says: Says,
    database: FakeService,
}

impl Site {
    /// With a PuppetDB, or one that nobody configured.
    async fn start(configured: bool) -> Self {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, content: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        write("environments/production.yaml", "nodes: [named1]\n");
        write("modules/greet/tasks/init.sh", "echo\n");
        write("modules/other/tasks/init.sh", "echo\n");
        let ca = TestCa::new();
        let says: Says = Arc::new(Mutex::new((200, json!([]))));
        let answers = Arc::clone(&says);
        let database = FakeService::start(&ca.issue("puppetdb"), move |asked| {
            if asked.what != "POST /pdb/query/v4" {
                return Reply::text(200, "running");
            }
            let (status, answer) = answers.lock().clone();
            if status == 200 { Reply::json(&answer) } else { Reply::text(status, answer.as_str().unwrap()) }
        })
        .await;
        let tls = ca.issue("orchestrator.example.com");
        let remote = RemoteOptions { url: database.url.clone(), tls, timeout: Duration::from_secs(5) };
        let options = Options {
            environments_dir: root.path().join("environments"),
            module_path: vec![root.path().join("modules")],
            file_store: root.path().join("data/files"),
            groups_dir: root.path().join("groups"),
            facts_dir: None,
            puppetserver: None,
            puppetdb: configured.then_some(remote),
        };
        let world = World::over(Sources::start(options).await.unwrap(), |_| {}).await;
        world.state.rules.store(Rules::parse(RULES).unwrap().into());
        let token = NewToken {
            login: "webby".into(),
            display_name: "Webby".into(),
            role: "web".into(),
            description: String::new(),
            expires_at: None,
        };
        world.store.create_token(token, TokenHash::of("web-token"), at(0)).await.unwrap();
        let web = world.holder("web-token");
        let target = json!({
            "display_name": "web", "tasks": ["greet"], "nodes": ["named1"], "node_groups": [], "pql_query": QUERY,
        });
        assert_eq!(world.operator().post("/orchestrator/v1/command/task_target", target).await.status, 200);
        Self { _root: root, world, web, says, database }
    }

    fn puppetdb_says(&self, status: u16, answer: Value) {
        *self.says.lock() = (status, answer);
    }

    async fn run(&self, task: &str, nodes: &[&str]) -> Answer {
        self.web.post(TASK, json!({ "task": task, "scope": { "nodes": nodes } })).await
    }

    async fn jobs(&self) -> Value {
        self.world.operator().get("/orchestrator/v1/jobs").await.json()["pagination"]["total"].clone()
    }
}

#[actix_web::test]
async fn the_nodes_that_the_query_finds_may_be_targets_and_no_others() {
    let site = Site::start(true).await;
    site.puppetdb_says(200, json!([{ "certname": "web1" }, { "certname": "web2" }]));
    assert_eq!(site.run("greet", &["named1"]).await.status, 202);
    assert!(site.database.bodies().is_empty(), "names are enough");
    assert_eq!(site.run("greet", &["web1", "web2", "named1"]).await.status, 202);
    assert_eq!(site.database.bodies(), [json!({ "query": QUERY }).to_string()]);
    assert_eq!(site.run("greet", &["web1", "db1"]).await.status, 403, "the query does not find db1");
    assert_eq!(site.run("other", &["web1"]).await.status, 403, "another task");
    let deploy = json!({ "environment": "production", "scope": { "nodes": ["web1"] } });
    assert_eq!(site.web.post("/orchestrator/v1/command/deploy", deploy).await.status, 403, "no task at all");
    // Asked anew each time.
    site.puppetdb_says(200, json!([{ "certname": "web2" }]));
    assert_eq!(site.run("greet", &["web1"]).await.status, 403, "it was found a moment ago");
    assert_eq!(site.jobs().await, 2);
    let can = "/bunraku/v1/access?user=webby&action=tasks:run&instance=greet";
    let told = site.world.admin().get(&format!("{can}&node=web2")).await.json();
    assert_eq!((&told["allowed"], &told["grants"][0]["pql_queries"]), (&json!(true), &json!([QUERY])), "{told:#}");
    let told = site.world.admin().get(&format!("{can}&node=web1")).await.json();
    assert_eq!(told["allowed"], false);
}

#[actix_web::test]
async fn without_an_answer_nothing_is_granted_and_the_error_says_so() {
    let site = Site::start(true).await;
    let cases = [
        (500, json!("out of memory"), "puppetdb-error", "out of memory"),
        (403, json!("Permission denied"), "puppetdb-error", "certificate-allowlist"),
        (400, json!("PQL parse error at line 1"), "query-error", "PQL parse error"),
        (200, json!([{ "title": "x" }]), "query-error", "must have a certname"),
        (200, json!([{ "certname": "web1" }, { "certname": "No node!" }]), "query-error", "No node!"),
        (200, json!({ "certname": "web1" }), "puppetdb-error", ""),
    ];
    for (status, answer, kind, words) in cases {
        site.puppetdb_says(status, answer.clone());
        let refused = site.run("greet", &["web1"]).await;
        let told = refused.json();
        assert_eq!(
            (refused.status, &told["kind"]),
            (400, &json!(format!("puppetlabs.orchestrator/{kind}"))),
            "{told:#}"
        );
        let msg = told["msg"].as_str().unwrap();
        assert!(msg.contains("the query of a task target") && msg.contains(words), "{answer}: {msg}");
        assert_eq!(site.run("greet", &["named1"]).await.status, 202, "names need no answer");
        assert_eq!(site.run("other", &["web1"]).await.status, 403, "and nothing is asked for other tasks");
    }
    assert_eq!(site.jobs().await, 6, "those by name");
}

#[actix_web::test]
async fn without_a_puppetdb_the_query_grants_nothing() {
    let site = Site::start(false).await;
    site.puppetdb_says(200, json!([{ "certname": "web1" }]));
    let refused = site.run("greet", &["web1"]).await;
    refused.record("POST /orchestrator/v1/command/task", "target-query-without-puppetdb");
    assert_eq!(site.run("greet", &["named1"]).await.status, 202);
    assert!(site.database.bodies().is_empty());
}

#[actix_web::test]
async fn one_query_that_cannot_be_answered_spoils_no_other_right() {
    let site = Site::start(true).await;
    let second = json!({
        "display_name": "all", "all_tasks": true, "nodes": ["web1"], "node_groups": [], "pql_query": null,
    });
    assert_eq!(site.world.operator().post("/orchestrator/v1/command/task_target", second).await.status, 200);
    site.puppetdb_says(500, json!("out of memory"));
    assert_eq!(site.run("greet", &["web1"]).await.status, 202, "the second target names it");
    assert_eq!(site.run("greet", &["web2"]).await.status, 400);
}

#[actix_web::test]
async fn a_turn_asks_anew() {
    let site = Site::start(true).await;
    site.puppetdb_says(200, json!([{ "certname": "web1" }]));
    let schedule = json!({
        "type": "task", "environment": "production", "input": { "name": "greet", "scope": { "nodes": ["web1"] } },
        "schedule": { "start_time": "2026-03-01T13:00:00Z", "interval": { "units": "seconds", "value": 3600 } },
    });
    let path = "/orchestrator/v1/scheduled_jobs/environment_jobs";
    assert_eq!(site.web.post(path, schedule).await.status, 200);
    site.puppetdb_says(200, json!([]));
    site.world.clock.set(at(3_600));
    Scheduler::new(site.world.state.clone()).look().await.unwrap();
    assert_eq!(site.jobs().await, 0);
    let told = site.web.get(&format!("{path}/1")).await.json();
    let kind = &told["last_run"]["job"]["submission_error"]["kind"];
    assert_eq!(kind, "puppetlabs.orchestrator/not-permitted", "{told:#}");
    site.puppetdb_says(200, json!([{ "certname": "web1" }]));
    site.world.clock.set(at(7_200));
    Scheduler::new(site.world.state.clone()).look().await.unwrap();
    assert_eq!(site.jobs().await, 1);
}
