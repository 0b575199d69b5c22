//! What a seed plans: the site, the weather, and what people do.

use std::num::NonZeroU32;
use std::time::Duration;

use bunraku_actors::handle::Limits;
use bunraku_actors::model::{ApplicationTarget, CertName, DeployCommand, Scope, StopMode, TaskCommand};
use bunraku_actors::ports::{Environment, Instance};
use bunraku_actors::testing::{Build, Chance, component, instance, names};

use crate::agent::Kind;

/// How bad things are in this seed.
#[derive(Debug, Clone)]
pub(crate) struct Weather {
    /// The longest that a message is on its way, in milliseconds.
    pub(crate) delay_ms: u64,
    pub(crate) lost_percent: u64,
    pub(crate) doubled_percent: u64,
    /// Status queries that get no answer.
    pub(crate) deaf_percent: u64,
    /// Runs that fail.
    pub(crate) failing_percent: u64,
    /// The longest run, in milliseconds.
    pub(crate) run_ms: u64,
    /// The longest commit, in milliseconds.
    pub(crate) commit_ms: u64,
    /// The longest time without a service, in milliseconds.
    pub(crate) down_ms: u64,
    /// Lives of the service that end in a crash at some call.
    pub(crate) crashes: u64,
}

/// Something that somebody does, or that befalls a machine.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Deploy(Box<DeployCommand>),
    Task(Box<TaskCommand>),
    /// A job by its place among all that were created.
    Stop(u64, StopMode),
    Drain(bool),
    Resume(Option<u64>),
    /// The service is killed.
    Kill,
    /// The service ends in order.
    Shutdown,
    Backup,
    /// The copy is put back, the service having been stopped.
    Restore,
    /// The next call to the transport about this node panics.
    Panic(usize),
    StoreDown(Duration),
    FailAppends(u32),
    Disconnect(usize),
    AgentRestart(usize),
    Reboot(usize),
    Wipe(usize),
    /// Another agent with the certname of this node begins to connect.
    Twin(usize),
    ClockJump(i64),
}

/// Everything that is fixed before the first step.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) limits: Limits,
    pub(crate) nodes: Vec<CertName>,
    pub(crate) kinds: Vec<Kind>,
    /// Nodes without an agent.
    pub(crate) absent: Vec<bool>,
    pub(crate) environment: Environment,
    pub(crate) weather: Weather,
    /// In the order of time since the start.
    pub(crate) acts: Vec<(Duration, Act)>,
}

/// Trouble comes before this time.
const TROUBLE: u64 = 240;

impl Plan {
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        let nodes: Vec<CertName> = names((0..chance.between(1, 9)).map(|n| format!("n{n}")));
        let kinds = nodes.iter().map(|_| if chance.percent(60) { Kind::Ours } else { Kind::Pxp }).collect();
        let absent = nodes.iter().map(|_| chance.percent(5)).collect();
        let environment = Build::environment(application(chance, &nodes), nodes.clone());
        let mut plan = Self {
            limits: limits(chance),
            kinds,
            absent,
            environment,
            weather: weather(chance),
            acts: Vec::new(),
            nodes,
        };
        plan.acts = plan.draw_acts(chance);
        plan.acts.sort_by_key(|(at, _)| *at);
        plan
    }

    fn draw_acts(&self, chance: &mut Chance) -> Vec<(Duration, Act)> {
        let mut acts = Vec::new();
        let mut add = |chance: &mut Chance, act: Act| {
            let at = chance.millis(1, TROUBLE * 1_000);
            acts.push((at, act));
            at
        };
        for _ in 0..chance.between(1, 4) {
            let act = self.job(chance);
            add(chance, act);
        }
        let often = chance.pick(&[0, 1, 1, 3]);
        for _ in 0..often {
            let mode = if chance.percent(50) { StopMode::Plain } else { StopMode::Force };
            let act = Act::Stop(chance.between(0, 3), mode);
            add(chance, act);
        }
        // Wiped machines and restored databases together leave nobody who could know what ran.
        let restores = chance.percent(15);
        if restores {
            let copied = add(chance, Act::Backup);
            let back = copied + chance.millis(100, 200_000);
            let resumed = back + chance.millis(100, 100_000);
            let which = chance.percent(50).then(|| chance.between(0, 3));
            let resumes = chance.percent(60);
            acts.push((back, Act::Restore));
            if resumes {
                acts.push((resumed, Act::Resume(which)));
            }
        }
        let mut add = |chance: &mut Chance, act: Act| acts.push((chance.millis(1, TROUBLE * 1_000), act));
        for _ in 0..chance.pick(&[0, 0, 1, 4]) {
            let node = self.any(chance);
            let act = match chance.between(0, 9) {
                0..=4 => Act::Disconnect(node),
                5 => Act::AgentRestart(node),
                6 => Act::Reboot(node),
                7 if self.may_wipe(node) && !restores => Act::Wipe(node),
                8 if self.kinds[node] == Kind::Ours && !restores => Act::Twin(node),
                _ => Act::Panic(node),
            };
            add(chance, act);
        }
        for _ in 0..chance.pick(&[0, 0, 1, 2]) {
            let act = match chance.between(0, 7) {
                0..=1 => Act::Kill,
                2 => Act::Shutdown,
                3 => Act::Drain(true),
                4 => Act::StoreDown(chance.millis(100, 60_000)),
                5 => Act::FailAppends(chance.pick(&[1, 1, 2, 5])),
                6 => Act::ClockJump(i64::try_from(chance.between(1, 2_000)).unwrap()),
                _ => Act::ClockJump(-i64::try_from(chance.between(1, 2_000)).unwrap()),
            };
            add(chance, act);
        }
        if chance.percent(4) {
            // Again and again: its job is given up.
            let node = self.any(chance);
            (0..6).for_each(|_| add(chance, Act::Panic(node)));
        }
        // Nobody drains for ever.
        acts.push((Duration::from_secs(TROUBLE), Act::Drain(false)));
        acts
    }

    /// A wiped pxp-agent cannot be told from one that never got the request, unless nothing is ever sent again.
    fn may_wipe(&self, node: usize) -> bool {
        self.kinds[node] == Kind::Ours || !self.limits.resend_to_pxp_agents
    }

    fn any(&self, chance: &mut Chance) -> usize {
        usize::try_from(chance.between(0, self.nodes.len() as u64 - 1)).unwrap()
    }

    fn job(&self, chance: &mut Chance) -> Act {
        let concurrency = u32::try_from(chance.pick(&[0, 0, 1, 2, 3])).unwrap();
        let count = usize::try_from(chance.between(1, self.nodes.len() as u64)).unwrap();
        let some = chance.some(&self.nodes, count);
        if chance.percent(30) {
            return Act::Task(Box::new(Build::task("sim::work", some, concurrency)));
        }
        let scope = match chance.between(0, 2) {
            0 => Scope::WholeEnvironment,
            1 if !self.environment.instances.is_empty() => {
                Scope::Application(ApplicationTarget { kind: "Shop".into(), title: None })
            }
            _ => Scope::Nodes(some),
        };
        let mut deploy = Build::deploy(scope, concurrency);
        if chance.percent(20) {
            deploy.common.timeout = Some(Duration::from_secs(chance.between(1, 60)));
        }
        deploy.common.concurrency = NonZeroU32::new(concurrency);
        Act::Deploy(Box::new(deploy))
    }
}

/// An application over some of the nodes: each part consumes what earlier parts produce.
fn application(chance: &mut Chance, nodes: &[CertName]) -> Vec<Instance> {
    if chance.percent(40) {
        return Vec::new();
    }
    let parts = nodes.iter().enumerate().map(|(at, node)| {
        let produced = format!("Cap[{at}]");
        let mut consumed = Vec::new();
        for earlier in 0..at {
            if chance.percent(30) {
                consumed.push(format!("Cap[{earlier}]"));
            }
        }
        let consumed: Vec<&str> = consumed.iter().map(String::as_str).collect();
        component(&format!("part{at}"), node.as_str(), &[&produced], &consumed)
    });
    vec![instance("shop", parts.collect())]
}

fn limits(chance: &mut Chance) -> Limits {
    let seconds = Duration::from_secs;
    let few = |chance: &mut Chance, most| u32::try_from(chance.between(1, most)).unwrap();
    Limits {
        concurrent_compiles: few(chance, 3),
        concurrent_runs: few(chance, 6),
        concurrent_tasks: few(chance, 4),
        compile_hold: seconds(5),
        deploy_timeout: seconds(60),
        task_timeout: seconds(60),
        job_timeout: seconds(200),
        connect_timeout: seconds(10),
        lost_contact: seconds(40),
        cancel_timeout: seconds(10),
        abandoned_hold: seconds(60),
        resend_window: seconds(100),
        resend_to_pxp_agents: chance.percent(70),
        settle_time: chance.pick(&[seconds(0), seconds(15)]),
        status_timeout: seconds(5),
        status_interval: seconds(20),
        ..Limits::default()
    }
}

fn weather(chance: &mut Chance) -> Weather {
    Weather {
        delay_ms: chance.pick(&[1, 20, 500, 8_000]),
        lost_percent: chance.pick(&[0, 0, 3, 25]),
        doubled_percent: chance.pick(&[0, 0, 20]),
        deaf_percent: chance.pick(&[0, 0, 0, 10, 60]),
        failing_percent: chance.pick(&[0, 5, 50]),
        run_ms: chance.pick(&[10, 3_000, 20_000, 90_000]),
        commit_ms: chance.pick(&[0, 2, 50, 2_000]),
        down_ms: chance.pick(&[10, 2_000, 60_000]),
        crashes: chance.pick(&[0, 0, 1, 2, 4]),
    }
}
