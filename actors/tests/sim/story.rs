//! One seed, played: lives of the service one after another, what people do meanwhile, and the calm at the end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bunraku_actors::handle::{Engine, Limits, Orchestrator, Ports};
use bunraku_actors::model::{JobId, RunKey, StopMode, TaskName};
use bunraku_actors::ports::TaskDetail;
use bunraku_actors::testing::{Backup, Chance, FixedDirectory, MemoryStore, live};
use serde_json::json;

use crate::agent::{Agent, End, Kind};
use crate::book::Copy;
use crate::fleet::Event;
use crate::ground::{Moment, later};
use crate::plan::{Act, Plan};
use crate::store::SimStore;
use crate::tally::Tally;
use crate::transport::SimTransport;
use crate::verdict;
use crate::world::World;

/// How a seed went.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) violations: Vec<String>,
    pub(crate) tally: Tally,
    pub(crate) steps: Vec<String>,
}

/// How a life of the service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Crashed,
    Killed,
    Left,
    /// Nothing more is to come.
    Done,
}

/// What is kept from life to life.
struct Story {
    world: Arc<World>,
    store: Arc<MemoryStore>,
    directory: Arc<FixedDirectory>,
    limits: Limits,
    acts: VecDeque<(Moment, Act)>,
    crashes_left: u64,
    copy: Option<(Backup, Copy)>,
    restore: bool,
    /// The clock was set back by so many seconds in all: waits on it last as much longer.
    set_back: u64,
}

/// Plays a seed.
pub(crate) fn play(seed: u64, traced: bool) -> Outcome {
    verdict::catch_panics();
    let mut chance = Chance::new(seed);
    let plan = Plan::draw(&mut chance);
    let world = World::new(&plan, chance, traced);
    let begin = world.wall.truth();
    let directory = FixedDirectory::default().with(plan.environment).with_task(task());
    let mut story = Story {
        store: Arc::default(),
        directory: Arc::new(directory),
        limits: plan.limits,
        acts: plan.acts.into_iter().map(|(at, act)| (later(begin, at), act)).collect(),
        crashes_left: plan.weather.crashes,
        copy: None,
        restore: false,
        set_back: 0,
        world: Arc::clone(&world),
    };
    while story.live() != Ended::Done {}
    verdict::after_all(&world, &story.store);
    let steps = world.take_steps();
    let mut state = world.lock();
    let violations = std::mem::take(&mut state.book.violations);
    Outcome { violations, tally: std::mem::take(&mut state.book.tally), steps }
}

fn task() -> TaskDetail {
    let name = TaskName::parse("sim::work").unwrap();
    TaskDetail { name, metadata: json!({ "parameters": {} }), files: Vec::new() }
}

/// The Supervisor broke down: nothing within the process helps, and the watchdog ends it.
fn is_broken(engine: &Orchestrator) -> bool {
    engine.hang().is_some() || engine.fault().is_some_and(|fault| fault.starts_with("the supervisor broke down"))
}

impl Story {
    /// One life of the service, from the time before its start until its end.
    fn live(&mut self) -> Ended {
        let world = Arc::clone(&self.world);
        let ended = live(&world.truth, async {
            let events = Arc::clone(&world);
            let going_on = actix::spawn(async move { events.go_on().await });
            let down = {
                let mut state = world.lock();
                let most = state.weather.down_ms;
                state.chance.millis(1, most)
            };
            tokio::time::sleep(down).await;
            let ended = self.serve().await;
            going_on.abort();
            world.lock().take_down();
            ended
        });
        if self.restore {
            self.restore = false;
            if let Some((backup, copy)) = self.copy.clone() {
                self.store.restore(backup);
                let mut state = self.world.lock();
                state.note(|_| "RESTORE".into());
                state.book.put_back(copy);
                state.book.tally.count("restore");
            }
        }
        ended
    }

    async fn serve(&mut self) -> Ended {
        let engine = self.start();
        let recovered = engine.recovered();
        tokio::select! {
            biased;
            () = self.world.died.notified() => return Ended::Crashed,
            () = recovered => {}
        }
        while let Some((at, act)) = self.acts.pop_front() {
            let left = (at - self.world.wall.truth()).to_std().unwrap_or(Duration::ZERO);
            tokio::select! {
                biased;
                () = self.world.died.notified() => {
                    self.acts.push_front((at, act));
                    return self.ended("crash", Ended::Crashed);
                }
                () = tokio::time::sleep(left) => {}
            }
            self.world.lock().note(|_| format!("{act:?}").chars().take(160).collect());
            if let Some(ended) = self.act(act, &engine).await {
                return ended;
            }
            if is_broken(&engine) {
                return self.ended("watchdog", Ended::Killed);
            }
        }
        self.calm(&engine).await
    }

    fn start(&mut self) -> Orchestrator {
        {
            let mut state = self.world.lock();
            let crashes = self.crashes_left > 0;
            self.crashes_left -= u64::from(crashes);
            let fuse = crashes.then(|| {
                let most = state.chance.pick(&[10, 100, 400]);
                state.chance.between(0, most)
            });
            state.bring_up(fuse);
        }
        let ports = Ports {
            store: Arc::new(SimStore { world: Arc::clone(&self.world), inner: Arc::clone(&self.store) }),
            transport: Arc::new(SimTransport(Arc::clone(&self.world))),
            directory: self.directory.clone(),
            clock: self.world.wall.clone(),
        };
        let keys = Arc::clone(&self.world);
        let run_key = move || RunKey(uuid::Uuid::from_u128(keys.lock().chance.bits()));
        Engine::start_with_keys(ports, self.limits.clone(), run_key)
    }

    fn ended(&self, what: &str, ended: Ended) -> Ended {
        self.world.lock().book.tally.count(what);
        ended
    }

    /// Does what the plan says; `Some` when the service is gone by that.
    async fn act(&mut self, act: Act, engine: &Orchestrator) -> Option<Ended> {
        match act {
            Act::Deploy(command) => self.spawn_job(engine, async move |engine| engine.deploy(*command).await),
            Act::Task(command) => self.spawn_job(engine, async move |engine| engine.task(*command).await),
            Act::Stop(which, mode) => self.stop(which, mode, engine),
            Act::Drain(drain) => {
                self.count(if drain { "drain" } else { "drain undone" });
                let _ = engine.drain(drain).await;
            }
            Act::Resume(which) => self.resume(which, engine),
            Act::Kill => return Some(self.ended("kill", Ended::Killed)),
            Act::Shutdown => return Some(self.shut_down(engine).await),
            Act::Backup => self.copy = Some((self.store.backup(), self.world.lock().book.copy())),
            Act::Restore => {
                self.restore = true;
                return Some(Ended::Killed);
            }
            act => self.befall(act),
        }
        None
    }

    fn count(&self, what: &str) {
        self.world.lock().book.tally.count(what);
    }

    /// What befalls machines.
    fn befall(&mut self, act: Act) {
        let world = Arc::clone(&self.world);
        let mut state = world.lock();
        let now = state.now();
        let away = state.chance.millis(50, 20_000);
        match act {
            Act::Panic(node) => {
                state.nodes[node].trap += 1;
                state.book.tally.count("panic");
            }
            Act::StoreDown(time) => {
                state.store_down_until = later(now, time);
                state.book.tally.count("store down");
            }
            Act::FailAppends(times) => state.failures += times,
            Act::Disconnect(node) => state.disconnect(node, away, now),
            Act::AgentRestart(node) => {
                state.book.tally.count("agent restart");
                state.nodes[node].agents[0].restart();
                state.disconnect(node, away, now);
            }
            Act::Reboot(node) | Act::Wipe(node) => {
                let wiped = matches!(act, Act::Wipe(_));
                state.book.tally.count(if wiped { "wipe" } else { "reboot" });
                let fresh = u32::try_from(100 + state.generation).unwrap_or(u32::MAX);
                let agent = &mut state.nodes[node].agents[0];
                let lost = if wiped { agent.wipe(fresh) } else { agent.reboot() };
                lost.into_iter().for_each(|transaction| state.book.ended(transaction, End::Lost));
                state.disconnect(node, away, now);
            }
            Act::Twin(node) => {
                state.book.tally.count("twin");
                if state.nodes[node].agents.len() == 1 {
                    let spool = u32::try_from(1_000 + node).unwrap();
                    state.nodes[node].agents.push(Agent::new(Kind::Ours, spool));
                    state.agenda.add(later(now, away), Event::Connect { node, agent: 1 });
                }
            }
            Act::ClockJump(seconds) => {
                state.book.tally.count("clock jump");
                state.book.clock_jumped();
                self.set_back += seconds.min(0).unsigned_abs();
                world.wall.jump(seconds);
            }
            Act::Deploy(_)
            | Act::Task(_)
            | Act::Stop(..)
            | Act::Drain(_)
            | Act::Resume(_)
            | Act::Kill
            | Act::Shutdown
            | Act::Backup
            | Act::Restore => {}
        }
    }

    fn spawn_job<E>(
        &self,
        engine: &Orchestrator,
        create: impl AsyncFnOnce(Orchestrator) -> Result<JobId, E> + 'static,
    ) {
        let (engine, world) = (engine.clone(), Arc::clone(&self.world));
        actix::spawn(async move {
            if let Ok(job) = create(engine).await {
                world.lock().book.job_told(job);
            }
        });
    }

    fn job(&self, which: u64) -> Option<JobId> {
        let state = self.world.lock();
        let jobs: Vec<JobId> = state.book.jobs.keys().copied().collect();
        let at = usize::try_from(which).unwrap_or_default() % jobs.len().max(1);
        jobs.get(at).copied()
    }

    fn stop(&self, which: u64, mode: StopMode, engine: &Orchestrator) {
        let Some(job) = self.job(which) else { return };
        let (engine, world) = (engine.clone(), Arc::clone(&self.world));
        actix::spawn(async move {
            if engine.stop(job, mode).await.is_ok() {
                let mut state = world.lock();
                state.book.tally.count(if mode == StopMode::Force { "stop force" } else { "stop plain" });
                state.book.stop_told(job);
            }
        });
    }

    fn resume(&self, which: Option<u64>, engine: &Orchestrator) {
        let job = which.and_then(|which| self.job(which));
        let engine = engine.clone();
        self.count("resume");
        actix::spawn(async move {
            let _ = match job {
                Some(job) => engine.resume(job).await,
                None => engine.resume_all().await,
            };
        });
    }

    /// A shutdown in order: what runs is left some time to finish.
    async fn shut_down(&self, engine: &Orchestrator) -> Ended {
        let ends = async {
            let _ = engine.leave().await;
            let _ = tokio::time::timeout(Duration::from_secs(30), engine.idle()).await;
            engine.shutdown().await
        };
        tokio::select! {
            biased;
            () = self.world.died.notified() => self.ended("crash", Ended::Crashed),
            _ = ends => self.ended("shutdown", Ended::Left),
        }
    }

    /// All is well from now on: everything must come to an end within the bound.
    async fn calm(&mut self, engine: &Orchestrator) -> Ended {
        {
            let mut state = self.world.lock();
            let now = state.now();
            state.end_twins(now);
            state.nodes.iter_mut().for_each(|node| node.trap = 0);
            state.failures = 0;
            state.store_down_until = now;
            // The fuse of this life may still burn down.
            let bad = &mut state.weather;
            (bad.lost_percent, bad.deaf_percent) = (0, 0);
        }
        let bound = self.world.lock().book.bound() + Duration::from_secs(self.set_back);
        let given_up = tokio::time::Instant::now() + bound;
        loop {
            tokio::select! {
                biased;
                () = self.world.died.notified() => return self.ended("crash", Ended::Crashed),
                () = tokio::time::sleep(Duration::from_secs(5)) => {}
            }
            if is_broken(engine) {
                return self.ended("watchdog", Ended::Killed);
            }
            let over = self.world.lock().book.all_over();
            if over || tokio::time::Instant::now() >= given_up {
                break;
            }
        }
        // Whatever an ended job left behind has until now to go.
        tokio::time::sleep(Duration::from_secs(15)).await;
        verdict::at_rest(&self.world, engine);
        Ended::Done
    }
}
