//! The log of the real process, as JSON and for people: every line says which job, node and request it is about, and
//! none holds a secret.

use std::time::Duration;

use bunraku::config::template;
use serde_json::{Value, json};

use crate::support::fleet::{Behavior, Fleet};
use crate::support::process::{Served, TOKEN};
use crate::support::service::Site;

/// The value of a task's parameter, which a failing task prints as well.
const SECRET: &str = "what-no-log-may-hold-41f6";

/// Lines of the engine that are about all jobs.
const OF_NO_JOB: [&str; 1] = ["unfinished work is taken up"];
/// Lines of the engine that are about no node, or about many.
const OF_NO_NODE: [&str; 5] =
    ["job created", "stop accepted", "nodes skipped", "job over", "unfinished work is taken up"];

/// A deploy and a task, each with a node that finishes, one that fails and one that is away; stops and looks as well.
/// Returns everything that was logged meanwhile.
async fn story(format: &str) -> String {
    let site = Site::new();
    let modules = site.dir().join("modules");
    std::fs::create_dir_all(modules.join("probe/tasks")).unwrap();
    std::fs::write(modules.join("probe/tasks/init.sh"), "#!/bin/sh\n").unwrap();
    let modulepath = format!("[{}]", template::quote(&modules.display().to_string()));
    let keys = [
        ("modulepath", modulepath.as_str()),
        ("broker.settle_time", "0s"),
        ("limits.connect_timeout", "1s"),
        ("log.level", "trace"),
        ("log.format", format),
    ];
    let mut served = Served::prepare(&site, &keys).await;
    served.start();
    served.ready().await;
    let client = &served.client;
    let nodes = ["whole", "broken", "absent"].map(str::to_owned);
    let behavior = Behavior { shortest: Duration::from_millis(20), spread: Duration::ZERO };
    let _fleet = Fleet::connect(&site.ca, ([127, 0, 0, 1], served.broker).into(), &nodes[..2], behavior).await;

    let deploy = json!({"environment": "production", "scope": {"nodes": nodes}});
    let ended = client.over(&client.deploy(&deploy).await).await;
    assert_eq!(ended["node_states"], json!({"finished": 1, "failed": 1, "errored": 1}), "{ended:#}");
    let task = json!({
        "environment": "production", "task": "probe", "params": {"password": SECRET},
        "scope": {"nodes": nodes}, "userdata": {"note": SECRET},
    });
    client.post("/orchestrator/v1/command/task", &task).await.unwrap();
    let ended = client.over("2").await;
    assert_eq!(ended["node_states"], json!({"finished": 1, "failed": 1, "errored": 1}), "{ended:#}");
    client.post("/orchestrator/v1/command/stop", &json!({"job": "2"})).await.unwrap();
    client.get(&format!("/orchestrator/v1/jobs/2/nodes?token={TOKEN}")).await.unwrap();
    client.get("/orchestrator/v1/jobs/2/events").await.unwrap();
    assert!(client.get("/orchestrator/v1/jobs/77").await.is_err());
    served.kill();
    std::fs::read_to_string(&served.log).unwrap()
}

fn assert_no_secret(log: &str) {
    for secret in [SECRET, TOKEN] {
        let found: Vec<_> = log.lines().filter(|line| line.contains(secret)).collect();
        assert!(found.is_empty(), "{secret} is in\n{}", found.join("\n"));
    }
}

/// A field of the line, or of a span around it.
fn field<'a>(line: &'a Value, name: &str) -> Option<&'a Value> {
    let spans = line["spans"].as_array().into_iter().flatten();
    line.get(name).or_else(|| spans.filter_map(|span| span.get(name)).next_back())
}

#[tokio::test(flavor = "multi_thread")]
async fn json_lines_name_job_node_and_request() {
    let log = story("json").await;
    assert_no_secret(&log);
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let mut said = Vec::new();
    for line in &lines {
        let (target, message) = (line["target"].as_str().unwrap(), line["message"].as_str().unwrap_or_default());
        let has = |name| assert!(field(line, name).is_some(), "no {name} in {line}");
        if target.starts_with("bunraku_actors") {
            said.push((message, line));
            if !OF_NO_JOB.contains(&message) {
                has("job");
            }
            if !OF_NO_NODE.contains(&message) {
                has("node");
            }
        } else if target.starts_with("bunraku::transport") {
            has("job");
            has("node");
        } else if target.starts_with("bunraku::broker") && message != "connection refused" {
            has("node");
        } else if target.starts_with("bunraku::api") {
            has("request");
            if line["path"].as_str().is_some_and(|path| path.contains("/jobs/") || path.contains("/command/")) {
                has("job");
            }
        }
    }
    let all = |message: &str| {
        let said = said.iter().filter(|(said, _)| *said == message);
        let mut found: Vec<_> = said
            .map(|(_, line)| ["job", "node", "cause"].map(|name| line[name].as_str().unwrap_or_default()))
            .collect();
        found.sort_unstable();
        found
    };
    let (away, broken) = (["1", "absent", "not_connected"], ["1", "broken", "run_failed"]);
    let of_task = |[_, node, cause]: [&'static str; 3]| ["2", node, cause];
    assert_eq!(all("node did not finish"), [away, broken, of_task(away), of_task(broken)]);
    assert_eq!(all("node finished"), [["1", "whole", ""], ["2", "whole", ""]]);
    assert_eq!(all("node started").len(), 4);
    assert_eq!((all("job created").len(), all("job over").len()), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_for_people_name_job_node_and_request() {
    let log = story("human").await;
    assert_no_secret(&log);
    let line = |words: &[&str]| {
        let found = log.lines().find(|line| words.iter().all(|word| line.contains(word)));
        found.unwrap_or_else(|| panic!("no line with {words:?} in\n{log}")).to_owned()
    };
    line(&["node did not finish", "job=1", "node=absent", "not_connected"]);
    line(&["node did not finish", "job=2", "node=broken", "run_failed"]);
    line(&["job created", "job=1", "owner=\"ops\""]);
    line(&["http.request", "request=", "job=2", "path=\"/orchestrator/v1/jobs/2/events\"", "status=200"]);
}
