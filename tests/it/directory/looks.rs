//! What a puppetserver and a PuppetDB are asked: no more often, and in no larger pieces, than it takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bunraku_actors::ports::Directory as _;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::environment;
use super::remote::{Site, puppetserver};
use crate::support::ca::TestCa;
use crate::support::https::{FakeService, Reply};

/// How many tasks were looked at one by one.
fn looks(server: &FakeService) -> usize {
    server.asked().iter().filter(|what| what.contains("/puppet/v3/tasks/")).count()
}

#[tokio::test]
async fn which_tasks_only_implement_others_is_asked_once_for_many() {
    let ca = TestCa::new();
    let more = Arc::new(AtomicBool::new(false));
    let has_more = Arc::clone(&more);
    let server = FakeService::start(&ca.issue("puppet"), move |asked| {
        let whole = has_more.load(Ordering::SeqCst) && asked.what.starts_with("GET /puppet/v3/tasks?");
        match asked.what.split('?').next().unwrap() {
            "DELETE /puppet-admin-api/v1/environment-cache" => Reply::Whole(204, "", Vec::new()),
            _ if whole => Reply::json(&json!([
                { "name": "lab::multi_linux", "private": false, "description": "" },
                { "name": "lab::multi", "private": false, "description": "By features" },
            ])),
            _ => puppetserver(asked),
        }
    })
    .await;
    let site = Site::start(Some(&server), None, ca).await;
    let all = ["lab", "lab::bare", "lab::broken", "lab::multi"];
    let listed = join_all((0..20).map(|_| site.tasks("production"))).await;
    assert!(listed.iter().all(|tasks| *tasks == all), "{listed:?}");
    assert_eq!(looks(&server), 3, "each described task of the module once, for all twenty");
    assert_eq!(site.tasks("production").await, all);
    assert_eq!(looks(&server), 3);
    // Another environment has another list, and nothing in it to look at.
    assert_eq!(site.tasks("staging").await, ["lab::staged"]);
    assert_eq!(looks(&server), 3);
    // Whoever had code read again wants to see what it is now.
    assert!(site.sources.flush(&environment("production")).await.unwrap());
    assert_eq!(site.tasks("production").await, all);
    assert_eq!(looks(&server), 6);
    // Another list is another question.
    more.store(true, Ordering::SeqCst);
    assert_eq!(site.tasks("production").await, ["lab::multi"]);
    assert_eq!(looks(&server), 7);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    assert_eq!(site.tasks("production").await, ["lab::multi"]);
    assert_eq!(looks(&server), 8, "for a while, not for good");
}

#[tokio::test]
async fn what_was_not_answered_is_asked_again() {
    let ca = TestCa::new();
    let asked_so_far = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked_so_far);
    let server = FakeService::start(&ca.issue("puppet"), move |asked| {
        let first = asked.what.contains("/tasks/lab/multi?") && count.fetch_add(1, Ordering::SeqCst) == 0;
        if first { Reply::text(503, "busy") } else { puppetserver(asked) }
    })
    .await;
    let site = Site::start(Some(&server), None, ca).await;
    site.tasks("production").await;
    assert_eq!(site.tasks("production").await, ["lab", "lab::bare", "lab::broken", "lab::multi"]);
    assert_eq!(asked_so_far.load(Ordering::SeqCst), 2, "not remembered from the time that it was busy");
}

/// A PuppetDB in which every report and every node of these numbers is known.
async fn puppetdb(ca: &TestCa, nodes: usize) -> FakeService {
    FakeService::start(&ca.issue("puppetdb"), move |asked| {
        if asked.what != "POST /pdb/query/v4" {
            return Reply::text(200, "running");
        }
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        let query = &body["query"];
        if query[1] != "reports" {
            let rows: Vec<Value> = (0..nodes).map(|number| json!({ "certname": format!("n{number}") })).collect();
            return Reply::json(&json!(rows));
        }
        let wanted = query[2][2].as_array().unwrap().iter().skip(1);
        let row = |one: &Value| {
            let events = json!({ "data": [{ "resource_title": one[2] }] });
            json!({ "transaction_uuid": one[2], "resource_events": events })
        };
        Reply::json(&json!(wanted.map(row).collect::<Vec<_>>()))
    })
    .await
}

#[tokio::test]
async fn reports_of_many_runs_are_asked_for_in_batches_and_none_is_lost_between_them() {
    let ca = TestCa::new();
    let database = puppetdb(&ca, 0).await;
    let site = Site::start(None, Some(&database), ca).await;
    let mut asked = 0;
    for (runs, batches) in [(0, 0), (1, 1), (49, 1), (50, 1), (51, 2), (99, 2), (100, 2), (101, 3)] {
        let wanted: Vec<String> = (0..runs).map(|number| format!("u{number}")).collect();
        let found = site.sources.report_events(&wanted).await.unwrap();
        assert_eq!(found.len(), runs);
        assert!(wanted.iter().all(|run| found[run][0]["resource_title"] == run.as_str()), "{runs}");
        let bodies = database.bodies();
        assert_eq!(bodies.len() - asked, batches, "{runs} runs");
        let sizes = bodies[asked..].iter().map(|body| body.matches("\"transaction_uuid\",\"u").count());
        assert!(sizes.clone().all(|size| size <= 50) && sizes.sum::<usize>() == runs, "each run once: {runs}");
        asked = bodies.len();
    }
}

#[tokio::test]
async fn a_list_of_nodes_comes_whole_however_long_it_is() {
    for nodes in [0, 999, 1_000, 1_001, 20_000] {
        let ca = TestCa::new();
        let database = puppetdb(&ca, nodes).await;
        let site = Site::start(None, Some(&database), ca).await;
        let found = site.sources.query(&json!("nodes[certname] { }")).await.unwrap().unwrap();
        assert_eq!(found.len(), nodes);
        assert_eq!(found.first().map(ToString::to_string), (nodes > 0).then(|| "n0".to_owned()));
        assert_eq!(found.last().map(ToString::to_string), nodes.checked_sub(1).map(|last| format!("n{last}")));
        let bodies = database.bodies();
        assert_eq!(bodies.len(), 1, "one question: pages would not be of one moment");
        assert!(!bodies[0].contains("limit") && !bodies[0].contains("offset"), "{bodies:?}");
        site.write("groups/all.yaml", "id: 10000000-0000-4000-8000-000000000001\nname: All\nrule: ['~', name, '^n']\n");
        let group = site.sources.group("All").await.unwrap().unwrap();
        assert_eq!(site.sources.members(group.id, Vec::new()).await.unwrap().len(), nodes);
    }
}
