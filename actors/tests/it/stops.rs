//! Stops at any moment, and what is promised of them.

use bunraku_actors::model::{EventKind, JobState, NodeState, StopMode};
use bunraku_actors::testing::Script;

use crate::support::{Service, World, seconds, settled};
use bunraku_actors::model::JobId;

/// After the stop's event no node starts, and the answer's counts are those of that moment.
async fn check_stopped(service: &Service<'_>, job: JobId) {
    let events = service.events(job);
    let stopping = events.iter().position(|event| event.kind == EventKind::JobStopping);
    let starts_after = events
        .iter()
        .skip(stopping.unwrap_or(events.len()))
        .filter(|event| event.kind == EventKind::NodeRunning)
        .count();
    assert_eq!(starts_after, 0, "no start after the stop");
    let started = events.iter().filter(|event| event.kind == EventKind::NodeRunning).count();
    assert_eq!(service.world.agents.executions().len(), started, "every committed start was sent, and nothing else");
    let counts = service.record(job).await.counts;
    assert!(counts.all_over());
}

#[test]
fn a_stop_at_any_moment_is_graceful_and_monotonic() {
    for moment in 0..50_u64 {
        let script = Script { run_for: std::time::Duration::from_millis(700 + moment * 13), ..Script::default() };
        let (world, nodes) = World::flat(settled(), 200, &script);
        world.store.set_delay(std::time::Duration::from_millis(moment % 5));
        world.live(async |service| {
            let job = service.deploy(&nodes, 20).await;
            // Spread over the whole life of the job by a fixed sequence, so that a failure can be repeated.
            tokio::time::sleep(std::time::Duration::from_millis(moment * moment * 7 % 9_000)).await;
            let mode = if moment % 3 == 0 { StopMode::Force } else { StopMode::Plain };
            let counts = service.engine.stop(job, mode).await.unwrap();
            assert_eq!(counts.total(), 200);
            assert_eq!(counts.get(NodeState::New) + counts.get(NodeState::Ready), 0, "nothing waits any more");
            assert!(matches!(service.end(job).await, JobState::Stopped | JobState::Finished));
            check_stopped(&service, job).await;
            assert!(world.agents.peak(Some(job)) <= 20);
        });
    }
}

#[test]
fn a_stop_before_the_first_start_stops_at_once() {
    let (world, nodes) = World::flat(settled(), 10, &Script::default());
    for node in &nodes {
        world.agents.disconnect(node);
    }
    world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        let counts = service.engine.stop(job, StopMode::Plain).await.unwrap();
        assert_eq!(counts.get(NodeState::Skipped), 10);
        assert_eq!(service.end(job).await, JobState::Stopped);
        assert_eq!(service.told(job).first().map(String::as_str), Some("job_stopping"));
    });
}

#[test]
fn a_stop_is_answered_although_the_store_was_away() {
    let (world, nodes) = World::flat(settled(), 10, &Script::lasting(seconds(30)));
    world.live(async |service| {
        let job = service.deploy(&nodes, 2).await;
        service.reached(job, NodeState::Running, 2).await;
        let stop = service.engine.clone();
        let asked = actix::spawn(async move { stop.stop(job, StopMode::Plain).await });
        tokio::task::yield_now().await;
        world.store.refuse(4);
        let counts = asked.await.unwrap().unwrap();
        assert_eq!(counts.get(NodeState::Skipped), 8);
        assert_eq!(service.end(job).await, JobState::Stopped);
    });
}

#[test]
fn force_waits_for_an_agent_that_comes_back_in_time() {
    let (world, nodes) = World::flat(settled(), 2, &Script::lasting(seconds(600)));
    world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        service.reached(job, NodeState::Running, 2).await;
        tokio::time::sleep(seconds(2)).await;
        nodes.iter().for_each(|node| world.agents.disconnect(node));
        service.engine.stop(job, StopMode::Force).await.unwrap();
        tokio::time::sleep(seconds(10)).await;
        world.agents.connect(&nodes[0]);
        assert_eq!(service.end(job).await, JobState::Stopped);
        assert_eq!(service.cause(job, &nodes[0]), "stopped_by_force");
        assert_eq!(service.cause(job, &nodes[1]), "abandoned");
    });
}
