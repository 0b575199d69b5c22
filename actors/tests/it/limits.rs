//! Shared limits, turns and holds across jobs.

use bunraku_actors::handle::Limits;
use bunraku_actors::model::{JobState, NodeState, StopMode};
use bunraku_actors::testing::{Build, Script, until};

use crate::support::{World, numbered, seconds, settled};

#[test]
fn a_five_node_job_does_not_wait_for_a_fleet_wide_one() {
    let limits = Limits { concurrent_runs: 10, concurrent_compiles: 10, ..settled() };
    let (world, nodes) = World::flat(limits, 205, &Script::default());
    world.live(async |service| {
        let big = service.deploy(&nodes[5..], 0).await;
        service.reached(big, NodeState::Running, 10).await;
        let small = service.deploy(&nodes[..5], 0).await;
        assert_eq!(service.end(small).await, JobState::Finished);
        let done = service.record(big).await.counts.get(NodeState::Finished);
        assert!(done < 60, "the small job ran beside the big one, not after {done} of its nodes");
        assert_eq!(service.end(big).await, JobState::Finished);
        assert_eq!(world.agents.peak(None), 10);
    });
}

#[test]
fn compile_slots_come_back_with_the_catalog_or_after_the_hold() {
    let limits = Limits { concurrent_compiles: 2, compile_hold: seconds(1), ..settled() };
    let (world, nodes) = World::flat(limits, 40, &Script::lasting(seconds(20)));
    for node in &nodes[20..] {
        world.agents.script(node, Script { run_for: seconds(20), ..Script::pxp() });
    }
    world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        assert_eq!(service.end(job).await, JobState::Finished);
        // Two per half second (our agents), then two per second (pxp-agents): never more than that at once.
        let starts = world.agents.executions();
        for pair in starts.windows(3) {
            assert!(pair[2].began - pair[0].began >= chrono::TimeDelta::milliseconds(500));
        }
        assert!(world.agents.peak(None) > 20, "a run without compile slot goes on beside others");
    });
}

#[test]
fn promise_5_a_restart_gives_no_compile_slot_back_before_the_catalog_is_there() {
    let limits = Limits { concurrent_compiles: 1, compile_hold: seconds(30), ..settled() };
    let slow = Script { catalog_after: Some(seconds(300)), ..Script::lasting(seconds(600)) };
    let (world, nodes) = World::flat(limits, 3, &slow);
    world.agents.script(&nodes[1], Script { run_for: seconds(60), lose_requests: 1, ..Script::pxp() });
    let job = world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        service.reached(job, NodeState::Running, 1).await;
        job
    });
    world.live(async |service| {
        tokio::time::sleep(seconds(200)).await;
        assert_eq!(service.record(job).await.counts.get(NodeState::Running), 1, "our own agent has not told yet");
        service.reached(job, NodeState::Running, 2).await;
        world.agents.disconnect(&nodes[1]);
    });
    world.live(async |service| {
        tokio::time::sleep(seconds(100)).await;
        assert_eq!(service.record(job).await.counts.get(NodeState::Running), 2, "a request that may not have arrived");
        world.agents.connect(&nodes[1]);
        assert_eq!(service.end(job).await, JobState::Finished);
        let began: Vec<_> = world.agents.executions().iter().map(|run| run.began).collect();
        assert!(began[1] - began[0] >= chrono::TimeDelta::seconds(300), "after the first catalog");
        assert!(began[2] - began[1] >= chrono::TimeDelta::seconds(30), "after the hold of the second run");
    });
    // The first run goes on when the service comes back a third time: its agent tells of the catalog when it is asked.
    let told = Script { catalog_after: Some(seconds(1)), ..Script::lasting(seconds(600)) };
    world.agents.script(&nodes[0], told);
    world.agents.script(&nodes[1], Script::default());
    let job = world.live(async |service| {
        let job = service.deploy(&nodes[..1], 0).await;
        service.reached(job, NodeState::Running, 1).await;
        job
    });
    world.live(async |service| {
        tokio::time::sleep(seconds(2)).await;
        world.agents.disconnect(&nodes[0]);
        world.agents.connect(&nodes[0]);
        let second = service.deploy(&nodes[1..2], 0).await;
        assert_eq!(service.end(second).await, JobState::Finished);
        assert_eq!(service.record(job).await.counts.get(NodeState::Running), 1);
    });
}

#[test]
fn a_node_runs_one_deploy_at_a_time_across_jobs() {
    let (world, nodes) = World::flat(settled(), 3, &Script::default());
    world.live(async |service| {
        let first = service.deploy(&nodes, 0).await;
        let second = service.deploy(&nodes, 0).await;
        assert_eq!(service.end(first).await, JobState::Finished);
        assert_eq!(service.end(second).await, JobState::Finished);
        assert_eq!(world.agents.peak(None), 3);
    });
}

#[test]
fn a_hold_blocks_the_node_until_its_agent_tells() {
    let (world, nodes) = World::flat(settled(), 2, &Script { run_for: seconds(200), ..Script::pxp() });
    world.live(async |service| {
        let first = service.deploy(&nodes[..1], 0).await;
        service.reached(first, NodeState::Running, 1).await;
        service.engine.stop(first, StopMode::Force).await.unwrap();
        assert_eq!(service.end(first).await, JobState::Stopped);
        assert_eq!(service.cause(first, &nodes[0]), "abandoned");
        let second = service.deploy(&nodes, 0).await;
        service.reached(second, NodeState::Running, 1).await;
        assert_eq!(service.record(second).await.counts.get(NodeState::Ready), 1, "one run per node");
        assert_eq!(service.end(second).await, JobState::Finished);
        assert_eq!(world.agents.peak(None), 2, "the held node began only after its first run was over");
    });
}

#[test]
fn a_hold_runs_out() {
    let script = Script { run_for: seconds(100_000), answers_status: false, ..Script::pxp() };
    let limits = Limits { abandoned_hold: seconds(600), concurrent_runs: 1, ..settled() };
    let (world, nodes) = World::flat(limits, 2, &script);
    world.agents.script(&nodes[1], Script::default());
    world.live(async |service| {
        let first = service.deploy(&nodes[..1], 0).await;
        service.reached(first, NodeState::Running, 1).await;
        service.engine.stop(first, StopMode::Force).await.unwrap();
        service.end(first).await;
        let second = service.deploy(&nodes[1..], 0).await;
        assert_eq!(service.end(second).await, JobState::Finished);
        let started = world.store.node(second, nodes[1].as_str()).unwrap().started_at.unwrap();
        let over = service.record(first).await.finished_at.unwrap();
        assert!(started - over >= chrono::TimeDelta::seconds(599), "the only slot was kept by the hold");
    });
}

#[test]
fn a_job_of_many_nodes_runs_through() {
    let limits = Limits { concurrent_runs: 2_000, concurrent_compiles: 2_000, ..settled() };
    let (world, nodes) = World::flat(limits, 20_000, &Script::default());
    world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        assert_eq!(service.end(job).await, JobState::Finished);
        assert_eq!(world.agents.peak(None), 2_000);
    });
}

#[test]
fn own_holds_count_in_the_jobs_concurrency() {
    let limits = Limits { deploy_timeout: seconds(60), ..settled() };
    let nodes = numbered(2);
    let world = World::new(limits, Build::environment(Vec::new(), nodes.clone()));
    world.agents.connect_all(&nodes[..1], &Script { run_for: seconds(200), ..Script::pxp() });
    world.agents.connect_all(&nodes[1..], &Script::default());
    world.live(async |service| {
        let job = service.deploy(&nodes, 1).await;
        until("the first node timed out", async || service.cause(job, &nodes[0]) == "timed_out").await;
        assert_eq!(service.end(job).await, JobState::Failed);
        assert_eq!(world.agents.peak(Some(job)), 1, "the second node waited for the end of the first one's hold");
    });
}

#[test]
fn a_glance_shows_what_is_committed_and_taken() {
    let limits = Limits { concurrent_runs: 3, concurrent_compiles: 2, ..settled() };
    let (world, nodes) = World::flat(limits, 5, &Script { run_for: seconds(200), ..Script::pxp() });
    world.live(async |service| {
        let shows = async |jobs: &[(JobState, u32)], nodes: [u32; 7], slots: [u32; 3], holds: u32| {
            until("the engine shows it", async || {
                let glance = service.engine.glance();
                let used: Vec<u32> = glance.slots.iter().map(|slots| slots.used).collect();
                glance.jobs.into_iter().eq(jobs.iter().copied())
                    && glance.nodes.iter().map(|(_, count)| count).eq(nodes)
                    && used == slots
                    && glance.holds == holds
                    && glance.commands == 0
            })
            .await;
        };
        // Nodes: new, ready, running, finished, failed, errored, skipped. Slots: compiles, runs, tasks.
        shows(&[], [0; 7], [0; 3], 0).await;
        let job = service.deploy(&nodes, 0).await;
        shows(&[(JobState::Running, 1)], [0, 3, 2, 0, 0, 0, 0], [2, 2, 0], 0).await;
        // The compile slots come back, one more starts, and the runs are all taken.
        shows(&[(JobState::Running, 1)], [0, 2, 3, 0, 0, 0, 0], [1, 3, 0], 0).await;
        service.engine.stop(job, StopMode::Plain).await.unwrap();
        shows(&[(JobState::Stopping, 1)], [0, 0, 3, 0, 0, 0, 2], [1, 3, 0], 0).await;
        // These agents cannot cancel: the job ends without their word, and what may still run keeps its slot.
        service.engine.stop(job, StopMode::Force).await.unwrap();
        assert_eq!(service.end(job).await, JobState::Stopped);
        shows(&[], [0; 7], [0, 3, 0], 3).await;
        shows(&[], [0; 7], [0; 3], 0).await;
        let most: Vec<_> = service.engine.glance().slots.iter().map(|slots| (slots.limit, slots.of)).collect();
        assert_eq!(most, [("concurrent_compiles", 2), ("concurrent_runs", 3), ("concurrent_tasks", 250)]);
    });
}
