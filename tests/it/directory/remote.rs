//! A puppetserver and a PuppetDB that answer as the real ones do, and as only broken ones would.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bunraku::directory::{Options, RemoteOptions, Sources};
use bunraku_actors::model::{CertName, Pattern};
use bunraku_actors::ports::{Directory as _, DirectoryError};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{environment, task};
use crate::support::ca::TestCa;
use crate::support::https::{Asked, FakeService, Reply};

const WEB: &str = "10000000-0000-4000-8000-000000000001";
const PRODUCTION: &str = "environment=production";

/// Sources over fakes, and the files that they know besides.
pub(super) struct Site {
    root: TempDir,
    pub(super) sources: Sources,
    /// What they are asked with, and by.
    ca: TestCa,
}

impl Site {
    pub(super) async fn start(puppetserver: Option<&FakeService>, puppetdb: Option<&FakeService>, ca: TestCa) -> Self {
        Self::start_with(puppetserver, puppetdb, ca, &[]).await
    }

    /// The same with these files as well.
    pub(super) async fn start_with(
        puppetserver: Option<&FakeService>,
        puppetdb: Option<&FakeService>,
        ca: TestCa,
        files: &[(&str, &str)],
    ) -> Self {
        let root = TempDir::new().unwrap();
        let at = |path: &str| root.path().join(path);
        for path in ["environments", "modules/local/tasks", "groups", "facts"] {
            fs::create_dir_all(at(path)).unwrap();
        }
        fs::write(at("environments/own.yaml"), "nodes: [a]\nmodulepath: [../modules]\n").unwrap();
        fs::write(at("environments/staging.yaml"), "nodes: [b]\n").unwrap();
        fs::write(at("modules/local/tasks/here.sh"), "#!/bin/sh\n").unwrap();
        for (path, text) in files {
            fs::write(at(path), text).unwrap();
        }
        let tls = ca.issue("orchestrator.example.com");
        let remote = |service: &FakeService| RemoteOptions {
            url: service.url.clone(),
            tls: tls.clone(),
            timeout: Duration::from_secs(1),
        };
        let options = Options {
            environments_dir: at("environments"),
            module_path: vec![at("modules")],
            file_store: at("files"),
            groups_dir: at("groups"),
            facts_dir: Some(at("facts")),
            puppetserver: puppetserver.map(remote),
            puppetdb: puppetdb.map(remote),
        };
        let sources = Sources::start(options).await.unwrap();
        Self { root, sources, ca }
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        fs::write(self.root.path().join(path), text).unwrap();
    }

    fn trouble(&self, source: &str) -> Option<String> {
        self.sources.health().into_iter().find(|health| health.source == source).unwrap().trouble
    }

    pub(super) async fn names(&self) -> Vec<String> {
        self.sources.environments().await.unwrap().iter().map(|found| found.name.to_string()).collect()
    }

    pub(super) async fn tasks(&self, name: &str) -> Vec<String> {
        self.sources.tasks(&environment(name)).await.unwrap().iter().map(|task| task.name.to_string()).collect()
    }
}

fn sha256(content: &str) -> String {
    hex::encode(Sha256::digest(content))
}

fn environments(timeout: &Value) -> Value {
    let settings =
        json!({ "modulepath": ["/code"], "manifest": "/m", "environment_timeout": timeout, "config_version": "" });
    let entry = json!({ "settings": settings });
    json!({ "search_paths": [], "environments": { "production": entry, "staging": entry, "No-name": entry } })
}

fn file(filename: &str, content: &str, path: &str) -> Value {
    json!({
        "filename": filename, "sha256": sha256(content), "size_bytes": content.len(),
        "uri": { "path": path, "params": { "environment": "production" } },
    })
}

/// As the lab's puppetserver answers.
pub(super) fn puppetserver(asked: &Asked) -> Reply {
    let (path, query) = asked.what.split_once('?').unwrap_or((&asked.what, ""));
    let entry = |name: &str, description: &str| json!({ "name": name, "private": false, "description": description, "environment": [] });
    match path {
        "GET /status/v1/simple" => Reply::text(200, "running"),
        "GET /puppet/v3/environments" => Reply::json(&environments(&json!(0))),
        "GET /puppet/v3/tasks" if query == PRODUCTION => Reply::json(&json!([
            entry("lab::multi_linux", ""),
            entry("lab::multi", "By features"),
            entry("lab", "Its own"),
            entry("lab::bare", ""),
            entry("lab::broken", "Cannot be read"),
        ])),
        "GET /puppet/v3/tasks" => Reply::json(&json!([entry("lab::staged", "")])),
        "GET /puppet/v3/tasks/lab/multi" => Reply::json(&json!({
            "name": "lab::multi",
            "metadata": { "description": "By features", "implementations": [{ "name": "multi_linux.sh" }, { "name": "multi.rb" }] },
            "files": [
                file("multi_linux.sh", "echo one", "/puppet/v3/file_content/tasks/lab/multi_linux.sh"),
                file("base/files/sub dir/x.txt", "shared", "/puppet/v3/file_content/modules/base/sub dir/x.txt"),
            ],
        })),
        "GET /puppet/v3/tasks/lab/init" => Reply::json(&json!({
            "name": "lab", "metadata": {}, "files": [file("init.sh", "echo x", "/puppet/v3/file_content/tasks/lab/init.sh")],
        })),
        "GET /puppet/v3/tasks/lab/broken" => Reply::Whole(
            500,
            "application/json",
            json!({ "kind": "puppet.tasks/unparseable-metadata", "msg": "unexpected token", "details": {} })
                .to_string()
                .into(),
        ),
        "GET /puppet/v3/file_content/tasks/lab/multi_linux.sh" if query == PRODUCTION => Reply::text(200, "echo one"),
        "GET /puppet/v3/file_content/modules/base/sub%20dir/x.txt" => Reply::text(200, "shared"),
        "GET /puppet/v3/file_content/tasks/lab/init.sh" => Reply::text(200, "something else"),
        "GET /puppet/v3/plans" => Reply::text(403, "Forbidden request: /puppet/v3/plans (method :get)."),
        _ => Reply::Whole(404, "text/html", b"<html>".to_vec()),
    }
}

#[tokio::test]
async fn environments_and_tasks_are_those_of_puppetserver_where_files_do_not_say_otherwise() {
    let ca = TestCa::new();
    let server = FakeService::start(&ca.issue("puppet"), puppetserver).await;
    let site = Site::start(Some(&server), None, ca).await;
    assert_eq!(site.names().await, ["own", "production", "staging"]);
    let found = site.sources.environment(&environment("production")).await.unwrap().unwrap();
    assert_eq!((found.settings.modulepath.clone(), found.is_empty()), (vec!["/code".to_owned()], true));
    let staging = site.sources.environment(&environment("staging")).await.unwrap().unwrap();
    assert_eq!(staging.nodes.len(), 1, "the file goes first");
    assert_eq!(site.sources.environment(&environment("nowhere")).await.unwrap(), None);
    assert_eq!(site.tasks("production").await, ["lab", "lab::bare", "lab::broken", "lab::multi"]);
    assert_eq!(site.tasks("staging").await, ["lab::staged"]);
    assert_eq!(site.tasks("own").await, ["local::here"], "its file names modules");
    assert_eq!(site.sources.task(&environment("production"), &task("lab::nothing")).await.unwrap(), None);
    let broken = site.sources.task(&environment("production"), &task("lab::broken")).await.unwrap_err();
    assert_eq!(broken.to_string(), "task lab::broken: unexpected token");
    assert_eq!(site.trouble("puppetserver"), None, "a broken task is no trouble of the server's");
    let refused = site.sources.plans(&environment("production")).await.unwrap_err().to_string();
    assert!(refused.contains("does not let us ask for /puppet/v3/plans"), "{refused}");
    assert!(refused.contains("auth.conf"), "{refused}");
}

#[tokio::test]
async fn a_task_of_puppetserver_is_kept_as_it_is_now() {
    let ca = TestCa::new();
    let server = FakeService::start(&ca.issue("puppet"), puppetserver).await;
    let site = Site::start(Some(&server), None, ca).await;
    let (production, multi) = (environment("production"), task("lab::multi"));
    let pinned = site.sources.pin_task(&production, &multi).await.unwrap().unwrap();
    let paths: Vec<&str> = pinned.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        ["/puppet/v3/file_content/tasks/lab/multi_linux.sh", "/puppet/v3/file_content/modules/base/sub%20dir/x.txt"]
    );
    for (file, content) in pinned.files.iter().zip(["echo one", "shared"]) {
        let kept = site.sources.pinned_file(&file.sha256).await.unwrap().unwrap();
        assert_eq!(fs::read_to_string(kept).unwrap(), content);
    }
    let fetched = |what: &[String]| what.iter().filter(|what| what.contains("file_content")).count();
    assert_eq!(fetched(&server.asked()), 2);
    assert_eq!(site.sources.pin_task(&production, &multi).await.unwrap().unwrap(), pinned);
    assert_eq!(fetched(&server.asked()), 2, "what is kept is not fetched again");
    let lies = site.sources.pin_task(&production, &task("lab")).await.unwrap_err();
    assert!(matches!(&lies, DirectoryError::BrokenTask { reason, .. } if reason.contains("content")), "{lies}");
}

#[tokio::test]
async fn what_would_leave_its_module_is_no_file_of_a_task() {
    let bad = [
        ("../x.sh", "/puppet/v3/file_content/tasks/lab/x.sh"),
        ("lab/files/../../x.sh", "/puppet/v3/file_content/tasks/lab/x.sh"),
        ("/etc/x.sh", "/puppet/v3/file_content/tasks/lab/x.sh"),
        ("lab/manifests/x.pp", "/puppet/v3/file_content/tasks/lab/x.sh"),
        ("x.sh", "/puppet-admin-api/v1/x"),
        ("x.sh", "/puppet/v3/../v4/x"),
        ("x.sh", "/puppet/v3/%2e%2e/%2e%2e/admin"),
        ("x.sh", "/puppet/v3/..\\..\\admin"),
    ];
    let ca = TestCa::new();
    let turn = Arc::new(AtomicUsize::new(0));
    let turns = Arc::clone(&turn);
    let server = FakeService::start(&ca.issue("puppet"), move |asked| {
        if !asked.what.contains("/tasks/") {
            return puppetserver(asked);
        }
        let (filename, path) = bad[turns.load(Ordering::SeqCst)];
        Reply::json(&json!({ "name": "lab", "metadata": {}, "files": [file(filename, "x", path)] }))
    })
    .await;
    let site = Site::start(Some(&server), None, ca).await;
    for (number, (filename, _)) in bad.into_iter().enumerate() {
        turn.store(number, Ordering::SeqCst);
        let error = site.sources.pin_task(&environment("production"), &task("lab")).await.unwrap_err();
        assert!(matches!(&error, DirectoryError::BrokenTask { reason, .. } if reason.contains(filename)), "{error}");
    }
    assert!(!server.asked().iter().any(|what| what.contains("file_content") || what.contains("admin")));
}

#[tokio::test]
async fn code_that_puppetserver_keeps_in_memory_is_read_again_for_a_task_that_is_missed() {
    let ca = TestCa::new();
    let flushed = Arc::new(AtomicUsize::new(0));
    let flushes = Arc::clone(&flushed);
    let server = FakeService::start(&ca.issue("puppet"), move |asked| match asked.what.split('?').next().unwrap() {
        "GET /puppet/v3/environments" => Reply::json(&environments(&json!("unlimited"))),
        "DELETE /puppet-admin-api/v1/environment-cache" => {
            flushes.fetch_add(1, Ordering::SeqCst);
            Reply::Whole(204, "", Vec::new())
        }
        "GET /puppet/v3/tasks/lab/init" if flushes.load(Ordering::SeqCst) == 0 => {
            Reply::text(404, "Could not find task")
        }
        _ => puppetserver(asked),
    })
    .await;
    let site = Site::start(Some(&server), None, ca).await;
    let production = environment("production");
    assert!(site.sources.task(&production, &task("lab")).await.unwrap().is_some());
    assert_eq!(site.sources.task(&production, &task("lab::nothing")).await.unwrap(), None);
    assert_eq!(flushed.load(Ordering::SeqCst), 1, "who asks for what is not there does not flush again and again");
    assert!(site.sources.flush(&production).await.unwrap());
    assert_eq!(flushed.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_task_is_missed_although_we_may_not_have_code_read_again() {
    let ca = TestCa::new();
    let server = FakeService::start(&ca.issue("puppet"), |asked| match asked.what.split('?').next().unwrap() {
        "GET /puppet/v3/environments" => Reply::json(&environments(&json!("unlimited"))),
        "DELETE /puppet-admin-api/v1/environment-cache" => Reply::text(403, "Forbidden request"),
        _ => puppetserver(asked),
    })
    .await;
    let site = Site::start(Some(&server), None, ca).await;
    assert_eq!(site.sources.task(&environment("production"), &task("lab::nothing")).await.unwrap(), None);
    assert!(site.trouble("puppetserver").unwrap().contains("/puppet-admin-api/v1/environment-cache"));
}

#[tokio::test]
async fn a_puppetserver_that_answers_again_is_in_trouble_no_more() {
    let ca = TestCa::new();
    let down = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&down);
    let server = FakeService::start(&ca.issue("puppet"), move |asked| {
        if is_down.load(Ordering::SeqCst) { Reply::Half("{}") } else { puppetserver(asked) }
    })
    .await;
    let site = Site::start(Some(&server), None, ca).await;
    site.sources.environment(&environment("production")).await.unwrap_err();
    assert!(site.trouble("puppetserver").is_some());
    down.store(false, Ordering::SeqCst);
    site.sources.environments().await.unwrap();
    assert_eq!(site.trouble("puppetserver"), None);
}

#[tokio::test]
async fn a_puppetserver_in_trouble_is_told_of_and_harms_nobody_else() {
    type Bad = fn() -> Reply;
    let cases: Vec<(&str, Bad)> = vec![
        ("answered 503 Service Unavailable: a page of HTML", || Reply::Whole(503, "text/html", b"<html>".to_vec())),
        ("calls its answer text/plain", || Reply::text(200, "{}")),
        ("cannot be used", || Reply::Whole(200, "application/json", b"{\"environments\": 3}".to_vec())),
        ("cannot be asked", || Reply::Half("{\"environments\": {}}")),
        ("did not answer within 1s", || Reply::Silence),
    ];
    for (expected, reply) in cases {
        let ca = TestCa::new();
        let server = FakeService::start(&ca.issue("puppet"), move |_| reply()).await;
        let site = Site::start(Some(&server), None, ca).await;
        let error = site.sources.environment(&environment("production")).await.unwrap_err();
        assert!(matches!(&error, DirectoryError::Unavailable(text) if text.contains(expected)), "{expected}: {error}");
        assert!(site.trouble("puppetserver").unwrap().contains("puppetserver at https://localhost:"));
        assert!(site.sources.environment(&environment("staging")).await.unwrap().is_some());
        assert_eq!(site.tasks("own").await, ["local::here"]);
    }
}

#[tokio::test]
async fn nobody_is_asked_who_shows_a_wrong_certificate_or_is_not_there() {
    let (ca, other) = (TestCa::new(), TestCa::new());
    let stranger = FakeService::start(&other.issue("puppet"), puppetserver).await;
    let site = Site::start(Some(&stranger), Some(&stranger), ca).await;
    let error = site.sources.environment(&environment("production")).await.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    assert!(stranger.asked().is_empty());
    let error = site.sources.query(&json!("nodes[certname] { }")).await.unwrap_err();
    assert!(matches!(&error, DirectoryError::PuppetDb(text) if text.contains("certificate")), "{error}");
    let gone = {
        let ca = TestCa::new();
        let service = FakeService::start(&ca.issue("puppet"), puppetserver).await;
        let site = Site::start(Some(&service), None, ca).await;
        service.stop().await;
        site
    };
    let error = gone.sources.environment(&environment("production")).await.unwrap_err().to_string();
    assert!(error.contains("refused"), "{error}");
    drop(gone.ca);
}

pub(super) fn node(name: &str) -> CertName {
    CertName::parse(name).unwrap()
}

/// As PuppetDB answers.
fn puppetdb(asked: &Asked) -> Reply {
    if asked.what != "POST /pdb/query/v4" {
        return Reply::text(200, "running");
    }
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    let query = body["query"].to_string();
    if query.contains("nodes[certname]") {
        return Reply::json(&json!([{ "certname": "web1" }, { "certname": "db1" }]));
    }
    if query.contains("resources[title]") {
        return Reply::json(&json!([{ "title": "x" }]));
    }
    if query.contains("fact_contents") {
        let row = |name: &str, path: Value, value: Value| json!({ "certname": name, "path": path, "value": value });
        return Reply::json(&json!([
            row("web1", json!(["os", "family"]), json!("Debian")),
            row("web1", json!(["trusted", "extensions", "pp_role"]), json!("web")),
            row("web1", json!(["disks", 0]), json!("sda")),
            row("db1", json!(["os", "family"]), json!("Debian")),
            row("gone1", json!(["os", "family"]), json!("Debian")),
        ]));
    }
    if query.contains("\"reports\"") {
        let events = json!({ "data": [{ "resource_title": "motd", "status": "success" }], "href": "/x" });
        return Reply::json(&json!([{ "transaction_uuid": "u1", "resource_events": events }]));
    }
    if query.contains("\"nodes\"") {
        return Reply::json(&json!([{ "certname": "web1" }, { "certname": "db1" }, { "certname": "No node!" }]));
    }
    Reply::text(400, "PQL parse error at line 1, column 6:\n\nnodes!\n     ^")
}

#[tokio::test]
async fn queries_are_answered_by_puppetdb_in_its_own_words() {
    let ca = TestCa::new();
    let database = FakeService::start(&ca.issue("puppetdb"), puppetdb).await;
    let site = Site::start(None, Some(&database), ca).await;
    let found = site.sources.query(&json!("nodes[certname] { }")).await.unwrap().unwrap();
    assert_eq!(found, [node("web1"), node("db1")]);
    let ast = json!(["from", "nodes"]);
    let error = site.sources.query(&ast).await.unwrap_err();
    assert!(matches!(&error, DirectoryError::Query(text) if text.contains("No node!")), "{error}");
    assert!(database.bodies().contains(&json!({ "query": ast }).to_string()));
    let error = site.sources.query(&json!("nodes!")).await.unwrap_err();
    assert_eq!(error.to_string(), "PQL parse error at line 1, column 6: nodes! ^");
    assert_eq!(site.trouble("puppetdb"), None, "a query that is no good is no trouble of PuppetDB's");
    let error = site.sources.query(&json!("resources[title] { }")).await.unwrap_err();
    assert!(matches!(&error, DirectoryError::Query(text) if text.contains("must have a certname")), "{error}");
    let events = site.sources.report_events(&["u1".to_owned(), "u2".to_owned()]).await.unwrap();
    assert_eq!(events["u1"][0]["resource_title"], "motd");
    assert_eq!(events.get("u2"), None);
}

#[tokio::test]
async fn a_puppetdb_that_does_not_know_us_says_what_to_do() {
    let ca = TestCa::new();
    let database = FakeService::start(&ca.issue("puppetdb"), |_| Reply::text(403, "Permission denied")).await;
    let site = Site::start(None, Some(&database), ca).await;
    let error = site.sources.query(&json!("nodes[certname] { }")).await.unwrap_err();
    assert!(matches!(&error, DirectoryError::PuppetDb(text) if text.contains("certificate-allowlist")), "{error}");
    assert!(site.trouble("puppetdb").unwrap().contains("certificate-allowlist"));
}

#[tokio::test]
async fn rules_of_groups_see_the_facts_of_puppetdb_before_those_of_files() {
    let ca = TestCa::new();
    let database = FakeService::start(&ca.issue("puppetdb"), puppetdb).await;
    let site = Site::start(None, Some(&database), ca).await;
    site.write("facts/web1.json", r#"{"os": {"family": "RedHat"}}"#);
    site.write("facts/old1.json", r#"{"os": {"family": "RedHat"}}"#);
    let members = async |rule: &str| {
        site.write("groups/web.yaml", &format!("id: {WEB}\nname: Web\nrule: {rule}\n"));
        let group = site.sources.group("Web").await.unwrap().unwrap();
        let members = site.sources.members(group.id, vec![node("new1")]).await.unwrap();
        members.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(members("[=, [fact, os, family], Debian]").await, ["db1", "web1"]);
    assert_eq!(members("[=, [fact, os, family], RedHat]").await, ["old1"], "files know who PuppetDB does not");
    assert_eq!(members("[=, [trusted, extensions, pp_role], web]").await, ["web1"]);
    assert_eq!(members("[=, [fact, disks, '0'], sda]").await, ["web1"]);
    assert_eq!(members("['~', name, '1$']").await, ["db1", "new1", "old1", "web1"]);
    let within = site.sources.within_groups(&[Pattern::new("Web")], vec![node("db1"), node("x")]).await.unwrap();
    assert_eq!(within.into_iter().collect::<Vec<_>>(), [node("db1")]);
}

#[tokio::test]
async fn without_the_facts_nobody_says_who_is_in_a_group() {
    let ca = TestCa::new();
    let database = FakeService::start(&ca.issue("puppetdb"), |_| Reply::text(500, "out of memory")).await;
    let site = Site::start(None, Some(&database), ca).await;
    site.write("groups/web.yaml", &format!("id: {WEB}\nname: Web\nrule: ['~', name, '.']\n"));
    let group = site.sources.group("Web").await.unwrap().unwrap();
    let error = site.sources.members(group.id, vec![node("a")]).await.unwrap_err();
    assert!(matches!(&error, DirectoryError::PuppetDb(text) if text.contains("out of memory")), "{error}");
    let error = site.sources.within_groups(&[Pattern::new("Web")], vec![node("a")]).await.unwrap_err();
    assert!(matches!(error, DirectoryError::PuppetDb(_)), "{error}");
}
