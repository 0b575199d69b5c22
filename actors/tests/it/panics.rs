//! A job's actor that breaks down is rebuilt from the store, and given up when that does not help.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bunraku_actors::handle::Limits;
use bunraku_actors::model::{CertName, JobKind, JobState, NodeState, StopMode, TransactionId};
use bunraku_actors::ports::{Connection, RunRequest, SignalOutlet, Transport};
use bunraku_actors::testing::{Script, ScriptedTransport};

use crate::support::{World, seconds, settled};

/// Breaks the actor that watches one node, as often as told; hands the rest through.
pub(crate) struct Trap {
    inner: ScriptedTransport,
    node: &'static str,
    left: AtomicU32,
}

impl Trap {
    pub(crate) fn new(world: &World, node: &'static str, times: u32) -> Self {
        Self { inner: world.agents.clone(), node, left: AtomicU32::new(times) }
    }

    fn on_tenth(world: &World, times: u32) -> Arc<Self> {
        Arc::new(Self::new(world, "n0009", times))
    }
}

impl Transport for Trap {
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
        self.inner.query_status(node, transaction);
    }

    fn cancel(&self, node: &CertName, transaction: TransactionId) {
        self.inner.cancel(node, transaction);
    }

    fn watch(&self, node: &CertName, watcher: u64, outlet: SignalOutlet) -> Option<Connection> {
        let springs = node.as_str() == self.node
            && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        assert!(!springs, "the trap springs");
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
fn a_job_goes_on_after_a_panic_of_its_actor() {
    let limits = Limits { concurrent_runs: 6, ..settled() };
    let (world, nodes) = World::flat(limits, 20, &Script::default());
    world.store.set_delay(std::time::Duration::from_millis(3));
    world.live_over(Trap::on_tenth(&world, 2), async |service| {
        let job = service.deploy(&nodes, 4).await;
        let beside = service.deploy(&nodes[..5], 0).await;
        assert_eq!(service.end(job).await, JobState::Finished);
        assert_eq!(service.end(beside).await, JobState::Finished);
        assert!(world.agents.peak(Some(job)) <= 4 && world.agents.peak(None) <= 6);
        let last = service.deploy(&nodes, 0).await;
        assert_eq!(service.end(last).await, JobState::Finished);
        assert_eq!(world.agents.peak(None), 6, "no slot was lost");
    });
}

#[test]
fn a_job_that_breaks_again_and_again_is_ended() {
    let (world, nodes) = World::flat(settled(), 20, &Script::lasting(seconds(120)));
    world.live_over(Trap::on_tenth(&world, 100), async |service| {
        let job = service.deploy(&nodes[..12], 0).await;
        assert_eq!(service.end(job).await, JobState::Failed);
        assert_eq!(service.told(job).last().map(String::as_str), Some("job_aborted"));
        let counts = service.record(job).await.counts;
        assert!(counts.get(NodeState::Errored) >= 8, "running ones: {counts:?}");
        assert_eq!(counts.get(NodeState::Errored) + counts.get(NodeState::Skipped), 12);
        assert_eq!(service.cause(job, &nodes[0]), "outcome_unknown");
        assert_eq!(service.cause(job, &nodes[9]), "job_broken");
        assert_eq!(service.engine.stop(job, StopMode::Plain).await.unwrap(), counts);
        let next = service.deploy(&nodes[..9], 0).await;
        assert_eq!(service.end(next).await, JobState::Finished, "what it held was held, and came back");
        assert_eq!(world.agents.peak(None), 9);
    });
}

#[test]
fn nothing_is_left_of_an_actor_that_broke_down() {
    // Long enough for a runner that was left behind to lose patience with a run it hears nothing of.
    let (world, nodes) = World::flat(settled(), 10, &Script::lasting(seconds(1_500)));
    world.agents.script(&nodes[0], Script::default());
    world.live_over(Trap::on_tenth(&world, 1), async |service| {
        let job = service.deploy(&nodes, 9).await;
        service.reached(job, NodeState::Running, 9).await;
        assert_eq!(service.end(job).await, JobState::Finished);
        assert_eq!(world.agents.sends().len(), 10);
        assert_eq!(world.agents.watches(), 0);
    });
}

#[test]
fn a_refused_group_is_decided_anew_and_harms_no_other_job() {
    let (world, nodes) = World::flat(settled(), 12, &Script::lasting(seconds(20)));
    world.live(async |service| {
        let job = service.deploy(&nodes[..8], 4).await;
        service.reached(job, NodeState::Running, 4).await;
        world.store.fail(2);
        let beside = service.deploy(&nodes[8..], 0).await;
        assert_eq!(service.end(job).await, JobState::Finished);
        assert_eq!(service.end(beside).await, JobState::Finished);
        assert_eq!(service.engine.trouble(), None);
        assert!(world.agents.peak(Some(job)) <= 4);
        assert_eq!(world.agents.watches(), 0);
    });
}

#[test]
fn a_job_whose_groups_are_all_refused_ends_when_the_store_takes_its_end() {
    let (world, nodes) = World::flat(settled(), 4, &Script::lasting(seconds(100)));
    world.live(async |service| {
        let job = service.deploy(&nodes, 2).await;
        service.reached(job, NodeState::Running, 2).await;
        // Four actors, and the first two tries to end the job.
        world.store.fail(6);
        assert_eq!(service.end(job).await, JobState::Failed);
        assert_eq!(service.told(job).last().map(String::as_str), Some("job_aborted"));
        assert!(service.engine.trouble().is_some(), "the store refused even the end");
        service.engine.shutdown().await.unwrap();
    });
}
