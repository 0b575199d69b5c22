//! A service that is drained takes no new jobs and starts no node; what runs goes on, and stops are still taken.

use bunraku_actors::handle::{Binding, OrchestratorError};
use bunraku_actors::model::{JobState, NodeState, StopMode};
use bunraku_actors::testing::Script;

use crate::support::{World, deploy, seconds, settled};

#[test]
fn a_drained_service_starts_nothing_and_goes_on_when_told() {
    let (world, nodes) = World::flat(settled(), 6, &Script::lasting(seconds(20)));
    world.agents.disconnect(&nodes[5]);
    world.live(async |service| {
        let job = service.deploy(&nodes, 3).await;
        service.reached(job, NodeState::Running, 3).await;
        assert!(service.engine.drain(true).await.unwrap());
        assert!(service.engine.is_drained());
        assert_eq!(service.engine.fault(), None, "it is well");
        let refused = service.engine.deploy(deploy(&nodes, 0)).await.unwrap_err();
        assert!(matches!(refused, OrchestratorError::Unavailable(_)), "{refused}");
        service.engine.idle().await;
        tokio::time::sleep(seconds(300)).await;
        let counts = service.record(job).await.counts;
        assert_eq!((counts.get(NodeState::Finished), counts.get(NodeState::Ready)), (3, 3), "nobody was given up");
        assert_eq!(service.engine.live(job).await.unwrap().binding, Some(Binding::Draining));
        assert!(!service.engine.drain(false).await.unwrap());
        world.agents.connect(&nodes[5]);
        assert_eq!(service.end(job).await, JobState::Finished);
        assert!(world.agents.peak(None) <= 3);
    });
}

#[test]
fn a_stop_is_taken_while_the_service_is_drained() {
    let (world, nodes) = World::flat(settled(), 4, &Script::lasting(seconds(20)));
    world.live(async |service| {
        let job = service.deploy(&nodes, 2).await;
        service.reached(job, NodeState::Running, 2).await;
        service.engine.drain(true).await.unwrap();
        assert_eq!(service.engine.stop(job, StopMode::Plain).await.unwrap().get(NodeState::Skipped), 2);
        assert_eq!(service.end(job).await, JobState::Stopped);
    });
}

#[test]
fn a_service_that_leaves_never_comes_back_and_loses_nothing() {
    let (world, nodes) = World::flat(settled(), 6, &Script::lasting(seconds(20)));
    let job = world.live(async |service| {
        let job = service.deploy(&nodes, 2).await;
        service.reached(job, NodeState::Running, 2).await;
        service.engine.leave().await.unwrap();
        assert!(service.engine.drain(false).await.unwrap(), "it is on its way out");
        service.engine.idle().await;
        assert_eq!(service.record(job).await.counts.get(NodeState::Finished), 2, "what ran was left to finish");
        service.engine.shutdown().await.unwrap();
        job
    });
    assert_eq!(world.agents.sends().len(), 2);
    world.live(async |service| assert_eq!(service.end(job).await, JobState::Finished));
}
