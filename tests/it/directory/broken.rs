//! One broken thing among others: a file, an entry of a list, a source that is away. The others go on.

use bunraku_actors::ports::{Directory as _, DirectoryError};
use serde_json::json;

use super::environment;
use super::remote::{Site, puppetserver};
use crate::support::ca::TestCa;
use crate::support::https::{FakeService, Reply};

#[tokio::test]
async fn nobody_stands_in_for_an_environment_whose_file_is_broken() {
    let ca = TestCa::new();
    let server = FakeService::start(&ca.issue("puppet"), puppetserver).await;
    let site = Site::start_with(Some(&server), None, ca, &[("environments/production.yaml", "nodes: [x\n")]).await;
    let production = environment("production");
    for error in [
        site.sources.environment(&production).await.unwrap_err(),
        site.sources.tasks(&production).await.unwrap_err(),
        site.sources.plans(&production).await.unwrap_err(),
    ] {
        let told = matches!(&error, DirectoryError::Unavailable(text) if text.contains("production.yaml"));
        assert!(told, "{error}");
    }
    assert_eq!(site.names().await, ["own", "staging"], "puppetserver's own is not shown in its place");
}

#[tokio::test]
async fn environments_in_files_are_listed_without_puppetserver() {
    let ca = TestCa::new();
    let server = FakeService::start(&ca.issue("puppet"), |_| Reply::text(503, "starting")).await;
    let site = Site::start(Some(&server), None, ca).await;
    assert_eq!(site.names().await, ["own", "staging"]);
}

#[tokio::test]
async fn an_odd_task_takes_no_list_away() {
    let ca = TestCa::new();
    let server = FakeService::start(&ca.issue("puppet"), |asked| {
        if asked.what.starts_with("GET /puppet/v3/tasks?") {
            return Reply::json(&json!([
                { "name": "lab::odd", "private": "yes", "description": 5 },
                { "name": "lab::good", "private": true, "description": "Good" },
            ]));
        }
        puppetserver(asked)
    })
    .await;
    let site = Site::start(Some(&server), None, ca).await;
    let tasks = site.sources.tasks(&environment("production")).await.unwrap();
    let shown: Vec<_> =
        tasks.iter().map(|task| (task.name.to_string(), task.description.as_str(), task.private)).collect();
    assert_eq!(shown, [("lab::good".to_owned(), "Good", true), ("lab::odd".to_owned(), "", false)]);
}

#[tokio::test]
async fn rows_without_a_certname_are_not_all_read() {
    let ca = TestCa::new();
    let database = FakeService::start(&ca.issue("puppetdb"), |_| {
        let rows = vec![json!({ "resource": "x" }); 50_000];
        Reply::json(&rows.into())
    })
    .await;
    let site = Site::start(None, Some(&database), ca).await;
    let error = site.sources.query(&json!("resources { }")).await.unwrap_err();
    assert!(matches!(&error, DirectoryError::Query(text) if text.contains("they have resource")), "{error}");
}

#[tokio::test]
async fn one_place_of_the_facts_may_be_named_in_several_ways() {
    let ca = TestCa::new();
    let database = FakeService::start(&ca.issue("puppetdb"), |asked| {
        if asked.body.contains("\"nodes\"") {
            return Reply::json(&json!([{ "certname": "web1" }]));
        }
        Reply::json(&json!([
            { "certname": "web1", "path": ["ports", "80"], "value": "http" },
            { "certname": "web1", "path": ["trusted", "extensions", "pp_role"], "value": "web" },
        ]))
    })
    .await;
    let site = Site::start(None, Some(&database), ca).await;
    let groups = [
        ("trusted", "10000000-0000-4000-8000-000000000001", "[=, [trusted, extensions, pp_role], web]"),
        ("fact", "10000000-0000-4000-8000-000000000002", "[=, [fact, trusted, extensions, pp_role], web]"),
        ("port", "10000000-0000-4000-8000-000000000003", "[=, [fact, ports, '80'], http]"),
    ];
    for (name, id, rule) in groups {
        site.write(&format!("groups/{name}.yaml"), &format!("id: {id}\nname: {name}\nrule: {rule}\n"));
    }
    for (name, _, _) in groups {
        let group = site.sources.group(name).await.unwrap().unwrap();
        let members = site.sources.members(group.id, Vec::new()).await.unwrap();
        assert_eq!(members.iter().map(ToString::to_string).collect::<Vec<_>>(), ["web1"], "{name}");
    }
}

#[tokio::test]
async fn who_waited_for_facts_that_did_not_come_does_not_ask_again() {
    let ca = TestCa::new();
    let database = FakeService::start(&ca.issue("puppetdb"), |asked| {
        if asked.what.contains("/pdb/query") { Reply::Silence } else { Reply::text(200, "running") }
    })
    .await;
    let site = Site::start(None, Some(&database), ca).await;
    site.write("groups/web.yaml", "id: 10000000-0000-4000-8000-000000000001\nname: Web\nrule: ['~', name, '.']\n");
    let group = site.sources.group("Web").await.unwrap().unwrap();
    let asks = (0..20).map(|_| site.sources.members(group.id, Vec::new()));
    let answers = futures_util::future::join_all(asks).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(DirectoryError::PuppetDb(_)))), "{answers:?}");
    let queries = database.asked().iter().filter(|what| what.contains("/pdb/query")).count();
    assert_eq!(queries, 1, "nineteen waited for the one");
}

#[tokio::test]
async fn who_answers_everything_has_flushed_nothing() {
    let ca = TestCa::new();
    let server = FakeService::start(&ca.issue("puppet"), |_| Reply::Whole(200, "text/html", b"<html>".to_vec())).await;
    let site = Site::start(Some(&server), None, ca).await;
    let error = site.sources.flush(&environment("production")).await.unwrap_err();
    assert!(matches!(error, DirectoryError::Unavailable(_)), "{error}");
}
