//! A transport whose agents follow scripts. Agents live on over a crash of the service, as real ones do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use serde_json::Value;

use crate::model::{CertName, JobId, JobKind, RunOutcome, TransactionId};
use crate::ports::{Clock, Connection, RunRequest, RunSignal, SignalOutlet, StatusAnswer, Transport};

use super::FixedClock;
use super::agents::{Agent, Execution, Script};

/// How long an answer takes at least.
const WIRE: Duration = Duration::from_millis(1);

#[derive(Debug, Default)]
struct World {
    agents: BTreeMap<CertName, Agent>,
    routes: BTreeMap<TransactionId, SignalOutlet>,
    watches: BTreeMap<(CertName, u64), SignalOutlet>,
    sends: Vec<(DateTime<Utc>, CertName, TransactionId)>,
    /// Every run that began, in order; a transaction twice would be the worst of bugs.
    executions: Vec<Execution>,
    generation: u64,
    /// Increases with every crash: what is on its way then never arrives.
    life: u64,
}

#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    clock: Arc<FixedClock>,
}

/// The transport. Cheap to clone; all clones show the same world.
#[derive(Debug, Clone)]
pub struct ScriptedTransport(Arc<Shared>);

impl ScriptedTransport {
    /// A world without agents.
    #[must_use]
    pub fn new(clock: Arc<FixedClock>) -> Self {
        Self(Arc::new(Shared { world: Mutex::default(), clock }))
    }

    /// Adds an agent, or changes its script. It is not connected by that.
    pub fn script(&self, node: &CertName, script: Script) {
        let since = self.0.clock.now();
        let mut world = self.0.world.lock();
        let agent = world.agents.entry(node.clone()).or_insert_with(|| Agent {
            script: script.clone(),
            generation: None,
            since,
            contended: false,
            forgetful: 0,
            spool: BTreeMap::new(),
            tombstones: Vec::new(),
        });
        agent.script = script;
    }

    /// Adds connected agents with one script.
    pub fn connect_all(&self, nodes: &[CertName], script: &Script) {
        for node in nodes {
            self.script(node, script.clone());
            self.connect(node);
        }
    }

    /// The agent has a (new) session.
    pub fn connect(&self, node: &CertName) {
        let now = self.0.clock.now();
        let mut world = self.0.world.lock();
        world.generation += 1;
        let generation = world.generation;
        let Some(agent) = world.agents.get_mut(node) else { return };
        agent.generation = Some(generation);
        agent.since = now;
        let Some(connection) = world.connection(node) else { return };
        world.tell_watchers(node, &RunSignal::Connected(connection));
    }

    /// The agent's session ends.
    pub fn disconnect(&self, node: &CertName) {
        let mut world = self.0.world.lock();
        let Some(agent) = world.agents.get_mut(node) else { return };
        agent.generation = None;
        world.tell_watchers(node, &RunSignal::Disconnected);
    }

    /// The agent's spool is lost, with what it runs.
    pub fn wipe(&self, node: &CertName) {
        if let Some(agent) = self.0.world.lock().agents.get_mut(node) {
            agent.spool.clear();
        }
    }

    /// That many times the agent answers that it does not know how a run of its own stands.
    pub fn forget_status(&self, node: &CertName, times: u32) {
        if let Some(agent) = self.0.world.lock().agents.get_mut(node) {
            agent.forgetful = times;
        }
    }

    /// The service crashed: routes and watches are gone, and what agents say meanwhile is lost. Agents stay connected
    /// to the next one.
    pub fn crash(&self) {
        let mut world = self.0.world.lock();
        world.routes.clear();
        world.watches.clear();
        world.life += 1;
    }

    /// The next service is up: runs that still go on will tell their end.
    pub fn resume(&self) {
        let now = self.0.clock.now();
        let running: Vec<Execution> = {
            let world = self.0.world.lock();
            let all = world.agents.values().flat_map(|agent| agent.spool.values());
            all.filter(|run| run.ends > now).cloned().collect()
        };
        for run in running {
            if let Ok(left) = (run.ends - now).to_std()
                && let Ok(node) = CertName::parse(&run.node)
            {
                self.end_after(node, run.transaction, left);
            }
        }
    }

    /// Every frame that was handed to a session, in order.
    #[must_use]
    pub fn sends(&self) -> Vec<(DateTime<Utc>, CertName, TransactionId)> {
        self.0.world.lock().sends.clone()
    }

    /// How many watches there are.
    #[must_use]
    pub fn watches(&self) -> usize {
        self.0.world.lock().watches.len()
    }

    /// Every run that began, in order.
    #[must_use]
    pub fn executions(&self) -> Vec<Execution> {
        self.0.world.lock().executions.clone()
    }

    /// The most runs that ever went on at the same moment, of one job or of all.
    #[must_use]
    pub fn peak(&self, job: Option<JobId>) -> usize {
        let world = self.0.world.lock();
        let runs = world.executions.iter().filter(|run| job.is_none_or(|job| run.job == job));
        // Ends sort before begins of the same moment.
        let mut steps: Vec<(DateTime<Utc>, i32)> =
            runs.flat_map(|run| [(run.began, 1), (world.end_of(run), -1)]).collect();
        steps.sort_unstable();
        let mut present = 0_i32;
        let peak = steps.into_iter().map(|(_, step)| {
            present += step;
            present
        });
        usize::try_from(peak.max().unwrap_or(0)).unwrap_or(0)
    }

    fn later(&self, delay: Duration, what: impl FnOnce(&mut World, DateTime<Utc>) + 'static) {
        let (shared, life) = (Arc::clone(&self.0), self.0.world.lock().life);
        actix::spawn(async move {
            tokio::time::sleep(delay.max(WIRE)).await;
            let now = shared.clock.now();
            let mut world = shared.world.lock();
            if world.life == life {
                what(&mut world, now);
            }
        });
    }

    fn end_after(&self, node: CertName, transaction: TransactionId, delay: Duration) {
        self.later(delay, move |world, _| world.end(&node, transaction));
    }

    /// The request reached the agent.
    fn arrive(&self, run: &RunRequest) {
        let now = self.0.clock.now();
        let script = {
            let mut world = self.0.world.lock();
            let Some(agent) = world.agents.get_mut(&run.node) else { return };
            if agent.script.lose_requests > 0 {
                agent.script.lose_requests -= 1;
                return;
            }
            let script = agent.script.clone();
            if agent.spool.contains_key(&run.transaction) || agent.tombstones.contains(&run.transaction) {
                world.answer(&run.node, run.transaction, RunSignal::Accepted);
                return;
            }
            let execution = Execution {
                node: run.node.to_string(),
                job: run.job,
                transaction: run.transaction,
                began: now,
                ends: now + TimeDelta::from_std(script.run_for).unwrap_or(TimeDelta::MAX / 4),
                canceled: false,
            };
            agent.spool.insert(run.transaction, execution.clone());
            world.executions.push(execution);
            script
        };
        for (delay, signal) in
            [(script.accept_after, RunSignal::Accepted), (script.catalog_after, RunSignal::CatalogReady)]
        {
            let (node, transaction) = (run.node.clone(), run.transaction);
            if let Some(delay) = delay {
                self.later(delay, move |world, _| world.answer(&node, transaction, signal));
            }
        }
        self.end_after(run.node.clone(), run.transaction, script.run_for);
    }
}

impl World {
    fn connection(&self, node: &CertName) -> Option<Connection> {
        let agent = self.agents.get(node)?;
        Some(Connection {
            node: node.clone(),
            generation: agent.generation?,
            since: agent.since,
            spool: agent.script.spool.clone(),
            agent: None,
            contended: agent.contended,
        })
    }

    fn tell_watchers(&self, node: &CertName, signal: &RunSignal) {
        let from = (node.clone(), 0);
        for (_, outlet) in self.watches.range(from..).take_while(|((watched, _), _)| watched == node) {
            outlet.send(signal.clone());
        }
    }

    /// An answer of a connected agent; lost without a session or a route.
    fn answer(&self, node: &CertName, transaction: TransactionId, signal: RunSignal) {
        if self.connection(node).is_some()
            && let Some(outlet) = self.routes.get(&transaction)
        {
            outlet.send(signal);
        }
    }

    fn end(&mut self, node: &CertName, transaction: TransactionId) {
        let Some(agent) = self.agents.get(node) else { return };
        let Some(run) = agent.spool.get(&transaction) else { return };
        if run.canceled || agent.script.lose_final {
            return;
        }
        let (outcome, times) = (agent.script.outcome.clone(), 1 + agent.script.duplicates);
        for _ in 0..times {
            self.answer(node, transaction, RunSignal::Ended(outcome.clone()));
        }
    }

    fn status(&mut self, node: &CertName, transaction: TransactionId, now: DateTime<Utc>) -> Option<StatusAnswer> {
        let agent = self.agents.get_mut(node).filter(|agent| agent.script.answers_status)?;
        Some(match agent.spool.get(&transaction) {
            None => StatusAnswer::NeverArrived,
            Some(_) if agent.forgetful > 0 => {
                agent.forgetful -= 1;
                StatusAnswer::Unknown("the PID and output are not available".into())
            }
            Some(run) if run.canceled => StatusAnswer::Over(RunOutcome::Canceled { results: Value::Null }),
            Some(run) if run.ends > now => StatusAnswer::Running,
            Some(_) => StatusAnswer::Over(agent.script.outcome.clone()),
        })
    }

    /// Whether the agent would tell, when it is asked, that the catalog of a run which goes on is there.
    fn has_catalog(&self, node: &CertName, transaction: TransactionId, now: DateTime<Utc>) -> bool {
        let Some(agent) = self.agents.get(node).filter(|agent| agent.script.answers_status) else { return false };
        let after = agent.script.catalog_after.and_then(|after| TimeDelta::from_std(after).ok());
        let run = agent.spool.get(&transaction).filter(|run| run.ends > now);
        run.zip(after).is_some_and(|(run, after)| run.began + after <= now)
    }

    fn cancel(&mut self, node: &CertName, transaction: TransactionId, now: DateTime<Utc>) {
        let Some(agent) = self.agents.get_mut(node) else { return };
        if agent.script.spool.is_none() {
            let refusal = RunSignal::CancelRefused("unknown module: bunraku".into());
            return self.answer(node, transaction, refusal);
        }
        if !agent.script.obeys_cancel {
            return self.answer(node, transaction, RunSignal::CancelAccepted);
        }
        match agent.spool.get_mut(&transaction) {
            Some(run) if run.ends > now => {
                run.canceled = true;
                run.ends = now;
            }
            Some(_) => {}
            None => agent.tombstones.push(transaction),
        }
        self.answer(node, transaction, RunSignal::CancelAccepted);
        self.answer(node, transaction, RunSignal::Ended(RunOutcome::Canceled { results: Value::Null }));
    }

    fn end_of(&self, run: &Execution) -> DateTime<Utc> {
        let node = CertName::parse(&run.node).ok();
        let agent = node.and_then(|node| self.agents.get(&node));
        agent.and_then(|agent| agent.spool.get(&run.transaction)).map_or(run.ends, |known| known.ends)
    }
}

impl Transport for ScriptedTransport {
    fn expect(&self, _node: &CertName, transaction: TransactionId, _kind: JobKind, outlet: SignalOutlet) {
        self.0.world.lock().routes.insert(transaction, outlet);
    }

    fn forget(&self, transaction: TransactionId) {
        self.0.world.lock().routes.remove(&transaction);
    }

    fn send(&self, run: RunRequest) {
        {
            let mut world = self.0.world.lock();
            let Some(outlet) = world.routes.get(&run.transaction).cloned() else { return };
            if world.connection(&run.node).is_none_or(|session| session.spool != run.spool) {
                outlet.send(RunSignal::Unsent);
                return;
            }
            world.sends.push((self.0.clock.now(), run.node.clone(), run.transaction));
            outlet.send(RunSignal::Sent);
        }
        self.arrive(&run);
    }

    fn query_status(&self, node: &CertName, transaction: TransactionId) {
        let node = node.clone();
        self.later(WIRE, move |world, now| {
            if world.has_catalog(&node, transaction, now) {
                world.answer(&node, transaction, RunSignal::CatalogReady);
            }
            if let Some(answer) = world.status(&node, transaction, now) {
                world.answer(&node, transaction, RunSignal::Status(answer));
            }
        });
    }

    fn cancel(&self, node: &CertName, transaction: TransactionId) {
        let node = node.clone();
        self.later(WIRE, move |world, now| {
            if world.connection(&node).is_some() {
                world.cancel(&node, transaction, now);
            }
        });
    }

    fn watch(&self, node: &CertName, watcher: u64, outlet: SignalOutlet) -> Option<Connection> {
        let mut world = self.0.world.lock();
        world.watches.insert((node.clone(), watcher), outlet);
        world.connection(node)
    }

    fn unwatch(&self, node: &CertName, watcher: u64) {
        self.0.world.lock().watches.remove(&(node.clone(), watcher));
    }

    fn connection(&self, node: &CertName) -> Option<Connection> {
        self.0.world.lock().connection(node)
    }

    fn connections(&self) -> Arc<[Connection]> {
        let world = self.0.world.lock();
        world.agents.keys().filter_map(|node| world.connection(node)).collect()
    }
}
