//! Crashes of the service: nothing is lost, nothing runs twice, nothing is stuck.

use std::time::Duration;

use bunraku_actors::handle::Limits;
use bunraku_actors::model::{JobId, JobState, NodeState, StopMode};
use bunraku_actors::testing::Script;

use crate::support::{World, seconds, settled};

#[test]
fn runs_go_on_over_a_crash() {
    let (world, nodes) = World::flat(settled(), 20, &Script::lasting(seconds(100)));
    let job = world.live(async |service| {
        let job = service.deploy(&nodes, 5).await;
        service.reached(job, NodeState::Running, 5).await;
        tokio::time::sleep(seconds(50)).await;
        job
    });
    world.live(async |service| {
        assert_eq!(service.end(job).await, JobState::Finished);
        assert_eq!(world.agents.peak(Some(job)), 5, "concurrency holds across a restart");
        assert_eq!(world.agents.sends().len(), 20);
    });
}

#[test]
fn any_number_of_crashes_at_any_moment() {
    for seed in 0..12_u64 {
        let script = Script { run_for: Duration::from_millis(900), ..Script::default() };
        let limits = Limits { concurrent_runs: 12, ..settled() };
        let (world, nodes) = World::flat(limits, 60, &script);
        for node in nodes.iter().step_by(3) {
            world.agents.script(node, Script { lose_requests: 1, run_for: seconds(2), ..Script::pxp() });
        }
        world.store.set_delay(Duration::from_millis(seed % 4 * 3));
        let jobs: Vec<JobId> =
            world.live(async |service| vec![service.deploy(&nodes, 7).await, service.deploy(&nodes[..10], 0).await]);
        for crash in 0..15 {
            world
                .live(async |_| tokio::time::sleep(Duration::from_millis(37 * (seed + 1) * (crash + 1) % 1_900)).await);
        }
        world.live(async |service| {
            for job in &jobs {
                assert_eq!(service.end(*job).await, JobState::Finished, "seed {seed}");
            }
            assert!(world.agents.peak(Some(jobs[0])) <= 7);
            assert!(world.agents.peak(None) <= 12);
        });
    }
}

#[test]
fn a_stop_outlives_a_crash() {
    let (world, nodes) = World::flat(settled(), 20, &Script::lasting(seconds(100)));
    let job = world.live(async |service| {
        let job = service.deploy(&nodes, 5).await;
        service.reached(job, NodeState::Running, 5).await;
        service.engine.stop(job, StopMode::Plain).await.unwrap();
        job
    });
    world.live(async |service| {
        assert_eq!(service.engine.stop(job, StopMode::Force).await.unwrap().get(NodeState::Running), 5);
        tokio::time::sleep(Duration::from_millis(1)).await;
    });
    world.live(async |service| {
        assert_eq!(service.end(job).await, JobState::Stopped);
        assert_eq!(world.agents.executions().len(), 5);
        assert_eq!(service.cause(job, &nodes[0]), "stopped_by_force");
    });
}

#[test]
fn a_deadline_is_not_moved_by_a_crash() {
    let limits = Limits { deploy_timeout: seconds(300), ..settled() };
    let (world, nodes) = World::flat(limits, 1, &Script::lasting(seconds(9_000)));
    let job = world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        tokio::time::sleep(seconds(200)).await;
        job
    });
    world.live(async |service| {
        service.end(job).await;
        let node = world.store.node(job, "n0000").unwrap();
        assert_eq!((node.finished_at.unwrap() - node.started_at.unwrap()).num_seconds(), 300);
    });
}

#[test]
fn nothing_ends_for_something_missing_before_the_settle_time() {
    let limits = Limits { deploy_timeout: seconds(100), ..Limits::default() };
    let (world, nodes) = World::flat(limits, 1, &Script::lasting(seconds(80)));
    let job = world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        tokio::time::sleep(seconds(70)).await;
        world.agents.disconnect(&nodes[0]);
        tokio::time::sleep(seconds(25)).await;
        job
    });
    world.live(async |service| {
        tokio::time::sleep(seconds(80)).await;
        assert_eq!(world.store.node_states(job)["n0000"], NodeState::Running, "its deadline passed 75 s ago");
        world.agents.connect(&nodes[0]);
        assert_eq!(service.end(job).await, JobState::Finished, "the agent's word came in time");
    });
}

#[test]
fn holds_outlive_a_crash() {
    let (world, nodes) = World::flat(settled(), 1, &Script { run_for: seconds(400), ..Script::pxp() });
    world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        service.reached(job, NodeState::Running, 1).await;
        service.engine.stop(job, StopMode::Force).await.unwrap();
        service.end(job).await;
    });
    world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        assert_eq!(service.end(job).await, JobState::Finished);
        assert_eq!(world.agents.peak(None), 1);
    });
}

#[test]
fn a_shutdown_commits_what_is_decided_and_jobs_go_on() {
    let (world, nodes) = World::flat(settled(), 10, &Script::lasting(seconds(10)));
    let job = world.live(async |service| {
        let job = service.deploy(&nodes, 3).await;
        service.reached(job, NodeState::Running, 3).await;
        service.engine.shutdown().await.unwrap();
        assert!(service.engine.deploy(crate::support::deploy(&nodes, 0)).await.is_err());
        job
    });
    world.live(async |service| assert_eq!(service.end(job).await, JobState::Finished));
}

#[test]
fn starts_do_not_expire_before_the_settle_time() {
    let limits = Limits { job_timeout: seconds(150), ..Limits::default() };
    let (world, nodes) = World::flat(limits, 2, &Script::lasting(seconds(135)));
    nodes.iter().for_each(|node| world.agents.disconnect(node));
    let job = world.live(async |service| {
        let mut command = crate::support::deploy(&nodes, 1);
        command.common.timeout = Some(seconds(149));
        let job = service.engine.deploy(command).await.unwrap();
        tokio::time::sleep(seconds(20)).await;
        nodes.iter().for_each(|node| world.agents.connect(node));
        tokio::time::sleep(seconds(80)).await;
        job
    });
    world.live(async |service| {
        tokio::time::sleep(seconds(60)).await;
        let states = world.store.node_states(job);
        assert_eq!(states["n0001"], NodeState::Ready, "10 s after the job's deadline, before the service is settled");
        assert_eq!(service.end(job).await, JobState::Failed);
        assert_eq!(service.cause(job, &nodes[1]), "job_timed_out");
        assert_eq!(world.agents.executions().len(), 1, "none starts after the deadline either");
    });
}
