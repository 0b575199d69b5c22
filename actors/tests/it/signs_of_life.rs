//! Hangs, lost runners and rows without an owner are found; what can be repaired within the process is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bunraku_actors::handle::{Engine, Limits, Ports};
use bunraku_actors::model::{Cause, CertName, JobKind, JobState, NodeIndex, NodeState, TransactionId};
use bunraku_actors::ports::{Connection, JobStore, NewJob, RunRequest, SignalOutlet, Transport, Write};
use bunraku_actors::testing::{Script, ScriptedTransport, live, until};

use crate::support::{World, seconds, settled};

/// Breaks the runner that asks for a status, as often as told; hands the rest through.
struct Snare {
    inner: ScriptedTransport,
    left: AtomicU32,
}

impl Transport for Snare {
    fn expect(&self, node: &CertName, transaction: TransactionId, kind: JobKind, outlet: SignalOutlet) {
        self.inner.expect(node, transaction, kind, outlet);
    }

    fn forget(&self, transaction: TransactionId) {
        self.inner.forget(transaction);
    }

    fn send(&self, run: RunRequest) {
        self.inner.send(run);
    }

    fn query_status(&self, node: &CertName, transaction: TransactionId) {
        let springs = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        assert!(!springs, "the snare springs");
        self.inner.query_status(node, transaction);
    }

    fn cancel(&self, node: &CertName, transaction: TransactionId) {
        self.inner.cancel(node, transaction);
    }

    fn watch(&self, node: &CertName, watcher: u64, outlet: SignalOutlet) -> Option<Connection> {
        self.inner.watch(node, watcher, outlet)
    }

    fn unwatch(&self, node: &CertName, watcher: u64) {
        self.inner.unwatch(node, watcher);
    }

    fn connection(&self, node: &CertName) -> Option<Connection> {
        self.inner.connection(node)
    }

    fn connections(&self) -> Arc<[Connection]> {
        self.inner.connections()
    }
}

#[test]
fn a_runner_that_breaks_down_costs_only_itself() {
    // Its final answer is lost, so a status query is needed; the first ones break the runner.
    let (world, nodes) = World::flat(settled(), 3, &Script::lasting(seconds(30)));
    world.agents.script(&nodes[0], Script { lose_final: true, ..Script::lasting(seconds(30)) });
    let snare = Arc::new(Snare { inner: world.agents.clone(), left: AtomicU32::new(3) });
    world.live_over(snare, async |service| {
        let job = service.deploy(&nodes, 0).await;
        assert_eq!(service.end(job).await, JobState::Finished);
        assert_eq!(world.agents.sends().len(), 3, "nothing is sent again for it");
    });
}

#[test]
fn a_run_whose_runners_break_again_and_again_is_unknown_and_held() {
    let (world, nodes) = World::flat(settled(), 1, &Script { lose_final: true, ..Script::lasting(seconds(30)) });
    let snare = Arc::new(Snare { inner: world.agents.clone(), left: AtomicU32::new(4) });
    world.live_over(snare, async |service| {
        let job = service.deploy(&nodes, 0).await;
        assert_eq!(service.end(job).await, JobState::Failed);
        assert_eq!(service.cause(job, &nodes[0]), "outcome_unknown");
        until("the hold asks and ends", async || world.store.holds().await.unwrap().is_empty()).await;
        let late = world.store.node(job, "n0000").unwrap().late.unwrap();
        assert_eq!(late.state, NodeState::Finished, "what the hold's own query found is kept");
    });
}

#[test]
fn never_stuck_a_job_without_an_owner_gets_one() {
    let (world, nodes) = World::flat(settled(), 2, &Script::default());
    world.live(async |service| {
        let known = service.deploy(&nodes, 0).await;
        service.end(known).await;
        // Behind the Supervisor's back.
        let spec = world.store.stored(known).await.unwrap().unwrap().spec;
        let spec = Arc::new(bunraku_actors::model::JobSpec {
            run_key: bunraku_actors::model::RunKey(uuid_of(7)),
            ..(*spec).clone()
        });
        let first_state = JobState::New;
        let orphan =
            world.store.create_job(NewJob { spec, first_state, ready: vec![true, true], once: None }).await.unwrap();
        assert_eq!(service.end(orphan).await, JobState::Finished);
    });
}

fn uuid_of(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(number)
}

#[test]
fn never_stuck_an_actor_out_of_step_with_the_store_is_replaced() {
    let (world, nodes) = World::flat(settled(), 3, &Script::lasting(seconds(400)));
    world.live(async |service| {
        let job = service.deploy(&nodes, 2).await;
        service.reached(job, NodeState::Running, 2).await;
        let skip = Write::NodesSkipped {
            job,
            nodes: vec![NodeIndex(2)],
            at: service.engine.clock().now(),
            cause: Cause::JobStopped,
            message: "Skipped puppet run on <node>: a test".into(),
        };
        world.store.append(vec![skip]).await.unwrap();
        assert_eq!(service.end(job).await, JobState::Failed);
        let counts = service.record(job).await.counts;
        assert_eq!((counts.get(NodeState::Finished), counts.get(NodeState::Skipped)), (2, 1));
        assert_eq!(world.agents.sends().len(), 2);
    });
}

#[test]
fn an_actor_that_shows_no_sign_of_life_is_told_of() {
    let (world, nodes) = World::flat(settled(), 1, &Script::default());
    live(&world.clock, async {
        let ports = Ports {
            store: world.store.clone(),
            transport: Arc::new(world.agents.clone()),
            directory: world.directory.clone(),
            clock: world.clock.clone(),
        };
        // Its seed is kept, so it neither starts nor breaks down: as an actor on a thread that is stuck.
        let kept = later::Kept::default();
        let keep = kept.clone();
        let engine = Engine::start(ports, world.limits.clone(), move |seed| keep.put(seed));
        engine.recovered().await;
        let job = engine.deploy(crate::support::deploy(&nodes, 0)).await.unwrap();
        assert_eq!(engine.hang(), None);
        until("the hang is seen", async || engine.hang().is_some()).await;
        assert_eq!(engine.hang().unwrap(), format!("the actor of job {job} hangs"));
        assert_eq!(engine.trouble(), None, "other jobs go on");
        kept.start();
        until("it is alive again", async || engine.hang().is_none()).await;
        until("the job ends", async || world.store.job(job).await.unwrap().unwrap().state.is_terminal()).await;
    });
    world.agents.crash();
}

#[test]
fn a_job_whose_thread_is_gone_moves_to_another() {
    let (world, nodes) = World::flat(settled(), 2, &Script::default());
    live(&world.clock, async {
        let ports = Ports {
            store: world.store.clone(),
            transport: Arc::new(world.agents.clone()),
            directory: world.directory.clone(),
            clock: world.clock.clone(),
        };
        let left = AtomicU32::new(2);
        let engine = Engine::start(ports, world.limits.clone(), move |seed| {
            let gone = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
            // As an arbiter whose thread has ended does with what it is given.
            if gone { drop(seed) } else { seed.start() }
        });
        engine.recovered().await;
        let job = engine.deploy(crate::support::deploy(&nodes, 0)).await.unwrap();
        until("the job ends", async || world.store.job(job).await.unwrap().unwrap().state.is_terminal()).await;
        assert_eq!(world.store.job(job).await.unwrap().unwrap().state, JobState::Finished);
    });
    world.agents.crash();
}

/// A place for seeds that are started later.
mod later {
    use std::sync::{Arc, Mutex};

    use bunraku_actors::handle::JobSeed;

    #[derive(Clone, Default)]
    pub(super) struct Kept(Arc<Mutex<Vec<JobSeed>>>);

    impl Kept {
        pub(super) fn put(&self, seed: JobSeed) {
            self.0.lock().expect("nobody panicked with it").push(seed);
        }

        pub(super) fn start(&self) {
            self.0.lock().expect("nobody panicked with it").drain(..).for_each(JobSeed::start);
        }
    }
}

#[test]
fn the_clock_is_told_when_a_jump_would_do_no_harm() {
    let limits = Limits { deploy_timeout: seconds(100), abandoned_hold: seconds(300), ..settled() };
    let (world, nodes) = World::flat(limits, 1, &Script { obeys_cancel: false, ..Script::lasting(seconds(5_000)) });
    world.live(async |service| {
        tokio::time::sleep(seconds(60)).await;
        assert!(world.clock.idle() > 0, "nothing is open");
        let job = service.deploy(&nodes, 0).await;
        let before = world.clock.idle();
        tokio::time::sleep(seconds(60)).await;
        assert_eq!(world.clock.idle(), before, "a run goes on");
        assert_eq!(service.end(job).await, JobState::Failed);
        tokio::time::sleep(seconds(60)).await;
        assert_eq!(world.clock.idle(), before, "it is held");
        tokio::time::sleep(seconds(300)).await;
        assert!(world.clock.idle() > before, "the hold is over");
    });
}
