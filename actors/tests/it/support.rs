//! A world with clock, agents and store that outlives the service, and short ways to look at it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bunraku_actors::handle::{Engine, Limits, Orchestrator, Ports};
use bunraku_actors::model::{CertName, DeployCommand, EventKind, EventRecord, JobId, JobState, NodeState, Scope};
use bunraku_actors::ports::{Environment, JobRecord, JobStore, TaskDetail, Transport};
use bunraku_actors::testing::{
    Build, FixedClock, FixedDirectory, MemoryStore, Script, ScriptedTransport, live, names, until,
};

pub(crate) struct World {
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) agents: ScriptedTransport,
    pub(crate) directory: Arc<FixedDirectory>,
    pub(crate) limits: Limits,
}

/// A service and the world around it.
pub(crate) struct Service<'a> {
    pub(crate) engine: Orchestrator,
    pub(crate) world: &'a World,
}

/// Limits without the wait after a start, for tests which are not about it.
pub(crate) fn settled() -> Limits {
    Limits { settle_time: Duration::ZERO, ..Limits::default() }
}

impl World {
    pub(crate) fn new(limits: Limits, environment: Environment) -> Self {
        Self::with_tasks(limits, environment, Vec::new())
    }

    pub(crate) fn with_tasks(limits: Limits, environment: Environment, tasks: Vec<TaskDetail>) -> Self {
        let clock = Arc::new(FixedClock::default());
        let directory = tasks.into_iter().fold(FixedDirectory::default().with(environment), FixedDirectory::with_task);
        Self {
            agents: ScriptedTransport::new(Arc::clone(&clock)),
            clock,
            store: Arc::default(),
            directory: Arc::new(directory),
            limits,
        }
    }

    /// Independent nodes `n0000`…, all connected.
    pub(crate) fn flat(limits: Limits, count: usize, script: &Script) -> (Self, Vec<CertName>) {
        let nodes = numbered(count);
        let world = Self::new(limits, Build::environment(Vec::new(), nodes.clone()));
        world.agents.connect_all(&nodes, script);
        (world, nodes)
    }

    /// One life of the service, from start to crash (or shutdown, if the story makes one).
    pub(crate) fn live<T>(&self, story: impl AsyncFnOnce(Service<'_>) -> T) -> T {
        self.live_over(Arc::new(self.agents.clone()), story)
    }

    /// As [`World::live`], with something between the engine and the agents.
    pub(crate) fn live_over<T>(&self, transport: Arc<dyn Transport>, story: impl AsyncFnOnce(Service<'_>) -> T) -> T {
        let outcome = live(&self.clock, async {
            self.agents.resume();
            let ports = Ports {
                store: self.store.clone(),
                transport,
                directory: self.directory.clone(),
                clock: self.clock.clone(),
            };
            let engine = Engine::start_here(ports, self.limits.clone());
            engine.recovered().await;
            story(Service { engine, world: self }).await
        });
        self.agents.crash();
        outcome
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.store.violations(), Vec::<String>::new(), "every write obeys the rules of the store");
            self.check_history();
            self.check_executions();
        }
    }
}

impl World {
    /// No event after the last one of a job; every node ends at most once, and starts before it does.
    fn check_history(&self) {
        let mut over: BTreeMap<JobId, EventKind> = BTreeMap::new();
        let mut last: BTreeMap<(JobId, CertName), EventKind> = BTreeMap::new();
        for event in self.store.all_events() {
            assert_eq!(over.get(&event.job), None, "nothing follows the last event of job {}", event.job);
            if event.kind.is_last() {
                over.insert(event.job, event.kind);
            }
            let Some(node) = event.node.clone() else { continue };
            let before = last.insert((event.job, node.clone()), event.kind);
            let fits = match event.kind {
                EventKind::NodeRunning | EventKind::NodeSkipped => before.is_none(),
                EventKind::NodeFinished | EventKind::NodeFailed => before == Some(EventKind::NodeRunning),
                _ => before.is_none() || before == Some(EventKind::NodeRunning),
            };
            assert!(fits, "{node} of job {}: {:?} after {before:?}", event.job, event.kind);
        }
    }

    fn check_executions(&self) {
        let mut seen = std::collections::BTreeSet::new();
        for run in self.agents.executions() {
            assert!(seen.insert(run.transaction), "{} ran {} twice", run.node, run.transaction);
        }
    }
}

impl Service<'_> {
    pub(crate) async fn deploy(&self, nodes: &[CertName], concurrency: u32) -> JobId {
        self.engine.deploy(deploy(nodes, concurrency)).await.expect("the deploy is accepted")
    }

    pub(crate) async fn record(&self, job: JobId) -> JobRecord {
        self.world.store.job(job).await.expect("the store answers").expect("the job is there")
    }

    /// Waits for the end of the job and returns its state.
    pub(crate) async fn end(&self, job: JobId) -> JobState {
        until("the job is over", async || self.record(job).await.state.is_terminal()).await;
        self.record(job).await.state
    }

    /// Waits until so many nodes of the job are in this state.
    pub(crate) async fn reached(&self, job: JobId, state: NodeState, count: u32) {
        until("so many nodes are in that state", async || self.record(job).await.counts.get(state) >= count).await;
    }

    /// The cause of a node's end, by its wire name; empty without one.
    pub(crate) fn cause(&self, job: JobId, node: &CertName) -> &'static str {
        let record = self.world.store.node(job, node.as_str()).expect("the node is there");
        record.cause.map_or("", |cause| cause.name())
    }

    pub(crate) fn events(&self, job: JobId) -> Vec<EventRecord> {
        self.world.store.all_events().into_iter().filter(|event| event.job == job).collect()
    }

    /// `kind node` of every event of the job, in order.
    pub(crate) fn told(&self, job: JobId) -> Vec<String> {
        let line = |event: &EventRecord| match &event.node {
            Some(node) => format!("{} {node}", event.kind.name()),
            None => event.kind.name().to_owned(),
        };
        self.events(job).iter().map(line).collect()
    }
}

pub(crate) fn deploy(nodes: &[CertName], concurrency: u32) -> DeployCommand {
    Build::deploy(Scope::Nodes(nodes.to_vec()), concurrency)
}

pub(crate) fn numbered(count: usize) -> Vec<CertName> {
    names((0..count).map(|n| format!("n{n:04}")))
}

pub(crate) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}
