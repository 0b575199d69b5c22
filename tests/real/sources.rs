//! Environments, tasks and plans of a real puppetserver; queries, facts and reports of a real PuppetDB.

use std::fs;
use std::time::Duration;

use bunraku::directory::{Options, RemoteOptions, Sources};
use bunraku::tls::TlsPaths;
use bunraku_actors::ports::Directory as _;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::TURN;
use crate::api::Api;
use crate::lab::Lab;
use crate::service::{Service, until};

/// Longer than PuppetDB takes to store a report.
const STORED: Duration = Duration::from_secs(60);

fn names(answer: &Value) -> Vec<&str> {
    answer["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

/// Runs Puppet once on these nodes, so that PuppetDB knows them.
async fn introduce(api: &Api, nodes: &[&str]) -> crate::api::Job {
    let job = api.finished(&api.deploy(nodes).await).await;
    assert_eq!(job.state, "finished", "{}", job.message(nodes[0]));
    job
}

#[tokio::test]
async fn environments_tasks_and_plans_are_those_of_puppetserver() {
    let Some(lab) = Lab::find() else { return };
    let _turn = TURN.lock().await;
    lab.reset();
    let node = lab.node(1);
    let mut service = Service::start_with(&lab, None, &Lab::sources());
    service.connect(&lab, &[node]).await;
    let api = service.api();

    let environments = api.get("/orchestrator/v1/environments").await;
    assert_eq!(names(&environments), ["broken", "empty", "production", "staging"]);
    let tasks = api.get("/orchestrator/v1/tasks").await;
    let listed = names(&tasks);
    assert!(listed.contains(&"lab_tasks::multi") && listed.contains(&"lab_tasks::bare"), "{listed:?}");
    assert!(
        !listed.iter().any(|name| name.starts_with("lab_tasks::multi_")),
        "implementations are no tasks: {listed:?}"
    );
    // Puppetserver leaves it out of its list.
    let (status, broken) =
        api.call(Method::GET, "/orchestrator/v1/tasks/lab_tasks/badmeta?environment=staging", None).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(broken["msg"].as_str().unwrap().contains("unfinished"), "{broken}");
    assert_eq!(names(&api.get("/orchestrator/v1/plans").await), ["lab_tasks", "lab_tasks::rolling"]);
    let unknown = json!({"environment": "nowhere", "scope": {"nodes": [node]}});
    let (status, refused) = api.call(Method::POST, "/orchestrator/v1/command/deploy", Some(&unknown)).await;
    assert_eq!(
        (status, &refused["kind"]),
        (StatusCode::NOT_FOUND, &json!("puppetlabs.orchestrator/unknown-environment"))
    );
    let (status, flushed) = api.call(Method::POST, "/bunraku/v1/environments/production/flush", Some(&json!({}))).await;
    assert_eq!((status, &flushed["flushed"]), (StatusCode::OK, &json!(true)), "{flushed}");

    let body = json!({"task": "lab_tasks::multi", "params": {"what": "everything"}, "scope": {"nodes": [node]}});
    let job = api.finished(&api.command("task", &body).await).await;
    let output = &job.node(node)["result"]["_output"];
    assert_eq!(output, "helped with everything\nshipped by the file server\n", "{:#}", job.node(node));
    let job = api
        .finished(&api.command("deploy", &json!({"environment": "staging", "scope": {"nodes": [node]}})).await)
        .await;
    assert_eq!(job.node(node)["result"]["environment"], "staging", "{:#}", job.node(node));
    let status = api.get("/status/v1/services/orchestrator-service").await;
    assert_eq!(status["status"]["puppetserver_up"], true, "{status:#}");
    assert_eq!(status["status"]["puppetdb_up"], true, "{status:#}");
}

#[tokio::test]
async fn all_nodes_of_a_job_run_the_code_of_its_creation() {
    let Some(lab) = Lab::find() else { return };
    let _turn = TURN.lock().await;
    lab.reset();
    let nodes = [lab.node(1), lab.node(2)];
    let file = lab.code().join("production/modules/lab_tasks/tasks/changing.sh");
    fs::write(
        &file,
        "#!/bin/sh\necho first > \"$PT_sign\"\nwhile [ ! -e \"$PT_go\" ]; do sleep 0.1; done\necho first\n",
    )
    .unwrap();
    let mut service = Service::start_with(&lab, None, &Lab::sources());
    service.connect(&lab, &nodes).await;
    let api = service.api();
    let signs = TempDir::new().unwrap();
    let (sign, go) = (signs.path().join("sign"), signs.path().join("go"));

    let body = json!({
        "task": "lab_tasks::changing", "scope": {"nodes": nodes}, "concurrency": 1,
        "params": {"sign": sign.to_str().unwrap(), "go": go.to_str().unwrap()},
    });
    let number = api.command("task", &body).await;
    until("the first node runs", Duration::from_secs(60), || sign.exists()).await;
    fs::write(&file, "#!/bin/sh\necho second\n").unwrap();
    fs::write(&go, "").unwrap();
    let job = api.finished(&number).await;
    let body = json!({"task": "lab_tasks::changing", "params": {}, "scope": {"nodes": nodes}});
    let later = api.finished(&api.command("task", &body).await).await;
    fs::remove_file(&file).unwrap();
    for node in nodes {
        assert_eq!(job.node(node)["result"]["_output"], "first\n", "{:#}", job.node(node));
        assert_eq!(later.node(node)["result"]["_output"], "second\n", "{:#}", later.node(node));
    }
}

#[tokio::test]
async fn queries_and_facts_are_those_of_puppetdb() {
    let Some(lab) = Lab::find() else { return };
    let _turn = TURN.lock().await;
    lab.reset();
    let (worker, web) = (lab.node(1), lab.node(2));
    let mut service = Service::start_with(&lab, None, &Lab::sources());
    service.connect(&lab, &[worker, web]).await;
    let api = service.api();
    introduce(&api, &[worker, web]).await;

    let query = format!("inventory[certname] {{ trusted.extensions.pp_role = 'web' and certname = '{web}' }}");
    let job = json!({"environment": "production", "noop": true, "scope": {"query": query}});
    let job = api.finished(&api.command("deploy", &job).await).await;
    assert_eq!(job.names(), [web]);
    let ast = json!(["from", "nodes", ["extract", ["certname"], ["=", "certname", worker]]]);
    let body = json!({"task": "lab_tasks::bare", "scope": {"query": ast}});
    assert_eq!(api.finished(&api.command("task", &body).await).await.names(), [worker]);
    let wrong = json!({"environment": "production", "scope": {"query": "nodes[certname] { no such thing }"}});
    let (status, refused) = api.call(Method::POST, "/orchestrator/v1/command/deploy", Some(&wrong)).await;
    assert_eq!((status, &refused["kind"]), (StatusCode::BAD_REQUEST, &json!("puppetlabs.orchestrator/query-error")));
    assert!(refused["msg"].as_str().unwrap().contains("PQL parse error"), "{refused}");

    let rule = format!(
        "[and, ['=', [trusted, extensions, pp_role], web], ['=', [fact, kernel], Linux], ['~', name, '{web}|{worker}']]"
    );
    service.write("groups/web.yaml", &format!("id: 10000000-0000-4000-8000-000000000001\nname: Web\nrule: {rule}\n"));
    let members = api.get("/bunraku/v1/groups/Web/nodes").await;
    assert_eq!(members["nodes"], json!([web]), "{members}");
    let body = json!({"task": "lab_tasks::bare", "scope": {"node_group": "10000000-0000-4000-8000-000000000001"}});
    assert_eq!(api.finished(&api.command("task", &body).await).await.names(), [web]);
}

#[tokio::test]
async fn a_report_is_found_by_the_transaction_of_its_run() {
    let Some(lab) = Lab::find() else { return };
    let _turn = TURN.lock().await;
    lab.reset();
    let node = lab.node(1);
    fs::write(lab.managed(node, "motd"), "out of date\n").unwrap();
    let mut service = Service::start_with(&lab, None, &Lab::sources());
    service.connect(&lab, &[node]).await;
    let job = introduce(&service.api(), &[node]).await;
    let transaction = job.node(node)["transaction_uuid"].as_str().unwrap().to_owned();

    let sources = sources(&lab).await;
    let found = async {
        loop {
            let events = sources.report_events(std::slice::from_ref(&transaction)).await.unwrap();
            if let Some(events) = events.get(&transaction) {
                return events.clone();
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    };
    let events = tokio::time::timeout(STORED, found).await.unwrap();
    let motd = events.iter().find(|event| event["resource_title"].as_str().unwrap().ends_with("motd"));
    let motd = motd.unwrap_or_else(|| panic!("{events:#?}"));
    assert_eq!((&motd["status"], &motd["resource_type"]), (&json!("success"), &json!("File")));
}

#[tokio::test]
async fn the_report_of_a_job_shows_the_events_that_only_puppetdb_has() {
    let Some(lab) = Lab::find() else { return };
    let _turn = TURN.lock().await;
    lab.reset();
    let node = lab.node(3);
    fs::write(lab.managed(node, "motd"), "out of date\n").unwrap();
    let mut service = Service::start_with(&lab, None, &Lab::sources());
    service.connect(&lab, &[node]).await;
    let api = service.api();
    let number = api.deploy(&[node]).await;
    assert_eq!(api.finished(&number).await.state, "finished");
    let path = format!("/orchestrator/v1/jobs/{number}/report");
    let motd = |report: &Value| {
        let events = report["items"][0]["events"].as_array().unwrap().clone();
        events.into_iter().find(|event| event["resource_title"].as_str().unwrap().ends_with("motd"))
    };
    let told_by_agent = motd(&api.get(&path).await).unwrap();
    // As after a run by pxp-agent, which sends none.
    service.forget_events();
    let told_by_puppetdb = async {
        loop {
            let report = api.get(&path).await;
            assert_eq!(report["items"], report["report"]);
            assert_eq!(report["items"][0].get("events_error"), None, "{report:#}");
            if let Some(event) = motd(&report) {
                return event;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    };
    let told_by_puppetdb = tokio::time::timeout(STORED, told_by_puppetdb).await.unwrap();
    // The values are Puppet's own there; the agent leaves out what may be the content of a file.
    for key in ["resource_type", "resource_title", "property", "status", "line", "file", "containing_class"] {
        assert_eq!(told_by_puppetdb[key], told_by_agent[key], "{key}: {told_by_puppetdb:#} {told_by_agent:#}");
    }
    assert_eq!(told_by_puppetdb["status"], "success");
}

/// The lab's PuppetDB alone.
async fn sources(lab: &Lab) -> Sources {
    let empty = TempDir::new().unwrap();
    let ssl = lab.orchestrator_ssl();
    let name = std::env::var("PUPPET_LAB_CERTNAME").unwrap();
    let remote = RemoteOptions {
        url: std::env::var("PUPPET_LAB_PDB_URL").unwrap().parse().unwrap(),
        tls: TlsPaths {
            cert: ssl.join(format!("certs/{name}.pem")),
            key: ssl.join(format!("private_keys/{name}.pem")),
            ca: ssl.join("certs/ca.pem"),
            crl: Some(ssl.join("crl.pem")),
        },
        timeout: Duration::from_secs(15),
    };
    let options = Options {
        environments_dir: empty.path().join("environments"),
        module_path: Vec::new(),
        file_store: empty.path().join("files"),
        groups_dir: empty.path().join("groups"),
        facts_dir: None,
        puppetserver: None,
        puppetdb: Some(remote),
    };
    Sources::start(options).await.unwrap()
}

#[tokio::test]
async fn the_doctor_finds_what_puppetserver_and_puppetdb_allow() {
    let Some(lab) = Lab::find() else { return };
    let _turn = TURN.lock().await;
    let service = Service::start_with(&lab, None, &Lab::sources());
    let findings = service.doctor(&Lab::sources());
    assert!(findings.iter().all(|finding| finding["health"] == "ok"), "{findings:#?}");
    let node = lab.node(1);
    let ssl = lab.confdir(node).join("ssl");
    let file = |path: String| ssl.join(path).to_str().unwrap().to_owned();
    let (cert, key) = (file(format!("certs/{node}.pem")), file(format!("private_keys/{node}.pem")));
    let as_node = [
        Lab::sources(),
        vec![
            ("BUNRAKU_PUPPETSERVER__CERT", cert.clone()),
            ("BUNRAKU_PUPPETSERVER__KEY", key.clone()),
            ("BUNRAKU_PUPPETDB__CERT", cert),
            ("BUNRAKU_PUPPETDB__KEY", key),
        ],
    ]
    .concat();
    let findings = service.doctor(&as_node);
    let told = |source: &str| {
        let of = findings.iter().filter(|finding| finding["about"] == source && finding["health"] != "ok");
        of.map(|finding| finding["advice"].to_string()).collect::<Vec<_>>().join("\n")
    };
    assert!(told("puppetserver").contains("/puppet/v3/plans"), "{findings:#?}");
    assert!(told("puppetserver").contains("/puppet-admin-api/v1/environment-cache"), "{findings:#?}");
    assert!(told("puppetdb").contains(&format!("{node} stands in its certificate-allowlist")), "{findings:#?}");
}
