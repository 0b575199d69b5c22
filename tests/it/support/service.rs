//! A whole service in this process, on free ports, with a certificate authority of its own.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use bunraku::app::Service;
use bunraku::config::Config;
use bunraku_actors::model::{
    CertName, Common, DeployCommand, DeployOptions, EnvironmentName, EventRecord, EventSeq, JobId, JobState, Owner,
    Scope,
};
use bunraku_actors::ports::JobRecord;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::ca::TestCa;

/// Where everything of a service lies; it outlives the service, so that another one can go on with it.
pub(crate) struct Site {
    pub(crate) ca: TestCa,
    pub(crate) config: Config,
    dir: TempDir,
}

impl Site {
    /// A site whose environment `production` has no nodes of its own.
    pub(crate) fn new() -> Self {
        bunraku::tls::install_provider();
        let ca = TestCa::new();
        let dir = tempfile::tempdir().unwrap();
        let paths = ca.issue("localhost");
        let mut config = Config {
            data_dir: dir.path().join("data"),
            environments_dir: dir.path().join("environments"),
            modulepath: vec![dir.path().join("modules")],
            ..Config::default()
        };
        config.server.listen = "127.0.0.1:0".to_owned();
        config.broker.listen = "127.0.0.1:0".to_owned();
        config.ssl.cert = paths.cert;
        config.ssl.key = paths.key;
        config.ssl.ca = paths.ca;
        config.ssl.crl = paths.crl;
        config.engine.threads = Some(2);
        config.server.workers = Some(1);
        std::fs::create_dir_all(&config.environments_dir).unwrap();
        std::fs::write(config.environments_dir.join("production.yaml"), "nodes: []\n").unwrap();
        Self { ca, config, dir }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts the service; the broker keeps its port from now on, so that agents find a later service of this site.
    pub(crate) async fn start(&mut self) -> Service {
        let service = Service::start(&self.config, None).await.unwrap();
        self.config.broker.listen = service.broker_address().to_string();
        service.orchestrator().recovered().await;
        service
    }
}

/// `n` certnames.
pub(crate) fn names(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("node{i:03}.example.com")).collect()
}

/// A deploy to these nodes.
pub(crate) fn deploy(nodes: &[String], concurrency: Option<u32>) -> DeployCommand {
    DeployCommand {
        environment: Some(EnvironmentName::parse("production").unwrap()),
        enforce_environment: true,
        scope: Scope::Nodes(nodes.iter().map(|name| CertName::parse(name).unwrap()).collect()),
        order: None,
        run: DeployOptions::default(),
        common: Common {
            reach: bunraku_actors::model::Reach::All,
            origin: bunraku_actors::model::Origin::default(),
            once: None,
            owner: Owner {
                id: "7d7a1c4e-0d2b-4a0e-9c56-0a4a0a4b9f11".to_owned(),
                login: "ops".to_owned(),
                display_name: String::new(),
                role: "operator".to_owned(),
            },
            description: String::new(),
            concurrency: concurrency.and_then(NonZeroU32::new),
            timeout: None,
            userdata: json!({}),
            options: Value::Null,
        },
    }
}

/// Waits until the job is over and returns it with all its events.
pub(crate) async fn over(service: &Service, job: JobId) -> (JobRecord, Vec<EventRecord>) {
    let mut feed = service.orchestrator().store().subscribe();
    let waited = async {
        loop {
            let record = service.orchestrator().store().job(job).await.unwrap().unwrap();
            if record.state.is_terminal() {
                return record;
            }
            // A batch, or the news that some were missed: both are a reason to look again.
            let _ = feed.recv().await;
        }
    };
    let record = tokio::time::timeout(Duration::from_secs(120), waited).await.expect("the job never ends");
    (record, events(service, job).await)
}

/// All events of a job.
pub(crate) async fn events(service: &Service, job: JobId) -> Vec<EventRecord> {
    let mut all: Vec<EventRecord> = Vec::new();
    loop {
        let start = all.last().map_or(EventSeq(0), |event| event.seq.next());
        let page = service.orchestrator().store().events(job, start, 1_000).await.unwrap();
        all.extend(page.items);
        if !page.more {
            return all;
        }
    }
}

/// Waits until the job has that many `node_running` events.
pub(crate) async fn started(service: &Service, job: JobId, wanted: usize) {
    let mut feed = service.orchestrator().store().subscribe();
    let waited = async {
        while events(service, job).await.iter().filter(|event| event.kind.name() == "node_running").count() < wanted {
            let _ = feed.recv().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waited).await.expect("the nodes never start");
}

/// The address of the broker, as simulated agents want it.
pub(crate) fn broker_of(service: &Service) -> SocketAddr {
    service.broker_address()
}

/// Asserts what holds for every ended job: counts add up, every node has one end, no event after the last.
pub(crate) fn assert_sound(record: &JobRecord, events: &[EventRecord], nodes: usize) {
    assert_eq!(record.counts.total() as usize, nodes, "counts add up");
    assert!(record.counts.all_over(), "every node is over: {:?}", record.counts);
    let mut ends = std::collections::BTreeMap::new();
    let mut last = EventSeq(0);
    for event in events {
        assert!(event.seq > last, "event numbers increase");
        last = event.seq;
        if let Some(node) = event.node.as_ref().filter(|_| event.kind.name() != "node_running") {
            *ends.entry(node.clone()).or_insert(0) += 1;
        }
    }
    assert_eq!(ends.len(), nodes, "every node has an end");
    assert!(ends.values().all(|times| *times == 1), "no node ends twice");
    assert!(events.last().is_some_and(|event| event.kind.is_last()), "the last event is the job's");
    assert_eq!(events.iter().filter(|event| event.kind.is_last()).count(), 1);
    assert!(matches!(record.state, JobState::Finished | JobState::Failed | JobState::Stopped));
}
