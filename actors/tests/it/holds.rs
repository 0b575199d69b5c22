//! Every cause that leaves a hold: another job waits for the node, also over a restart, until the agent tells or the
//! hold's time is over. What the agent says then is kept beside the node and changes nothing else.

use std::time::Duration;

use bunraku_actors::handle::Limits;
use bunraku_actors::model::{Cause, CertName, JobId, JobState, LateAnswer, NodeState, StopMode};
use bunraku_actors::ports::JobStore;
use bunraku_actors::testing::{Script, until};

use crate::support::{Service, World, seconds, settled};

/// How a run comes to end without its agent's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    TimedOut,
    ContactLost,
    OutcomeUnknown,
    Abandoned,
}

impl Way {
    const ALL: [Self; 4] = [Self::TimedOut, Self::ContactLost, Self::OutcomeUnknown, Self::Abandoned];

    fn cause(self) -> Cause {
        match self {
            Self::TimedOut => Cause::TimedOut,
            Self::ContactLost => Cause::ContactLost,
            Self::OutcomeUnknown => Cause::OutcomeUnknown,
            Self::Abandoned => Cause::Abandoned,
        }
    }
}

/// Short clocks, so that every way comes to its end while the run of 500 s goes on.
fn limits() -> Limits {
    Limits { deploy_timeout: seconds(400), lost_contact: seconds(60), abandoned_hold: seconds(600), ..settled() }
}

fn script() -> Script {
    Script { run_for: seconds(500), ..Script::pxp() }
}

/// Lets the run of `job` on `node` end the given way; it goes on at the agent.
async fn end_by(way: Way, service: &Service<'_>, job: JobId, node: &CertName) {
    let world = service.world;
    service.reached(job, NodeState::Running, 1).await;
    match way {
        Way::TimedOut => {}
        Way::ContactLost => world.agents.disconnect(node),
        Way::OutcomeUnknown => {
            // The agent does not know how the run stands, which goes on all the same.
            tokio::time::sleep(seconds(1)).await;
            world.agents.forget_status(node, 1);
            world.agents.connect(node);
        }
        Way::Abandoned => drop(service.engine.stop(job, StopMode::Force).await.expect("the stop is accepted")),
    }
    service.end(job).await;
    // What is run from now on is shorter than the time that it has.
    world.agents.script(node, Script { run_for: seconds(50), ..Script::pxp() });
    assert_eq!(service.cause(job, node), way.cause().name(), "{way:?}");
    assert_eq!(service.record(job).await.causes.get(way.cause()), 1, "{way:?}");
}

fn late(world: &World, job: JobId, node: &CertName) -> Option<LateAnswer> {
    world.store.node(job, node.as_str()).expect("the node is there").late
}

/// After `end_by`: a second job gets the node only when the agent has told, and the first job is what it was.
async fn second_waits(way: Way, service: &Service<'_>, first: JobId, node: &CertName) {
    let world = service.world;
    let before = service.record(first).await;
    let events = service.told(first);
    let second = service.deploy(std::slice::from_ref(node), 0).await;
    tokio::time::sleep(seconds(20)).await;
    assert_eq!(service.record(second).await.counts.get(NodeState::Ready), 1, "{way:?}: the node is held");
    world.agents.connect(node);
    assert_eq!(service.end(second).await, JobState::Finished, "{way:?}");
    assert_eq!(world.agents.peak(None), 1, "{way:?}: the second run began after the first one's end");
    let late = late(world, first, node).expect("the agent's word is kept");
    assert_eq!((late.state, late.cause), (NodeState::Finished, None), "{way:?}");
    assert_eq!(late.result["metrics"]["total"], 7, "{way:?}");
    let after = service.record(first).await;
    assert_eq!((after.counts, &after.causes, after.state), (before.counts, &before.causes, before.state), "{way:?}");
    assert_eq!(service.told(first), events, "{way:?}: a late answer is no event");
}

#[test]
fn never_a_lie_a_late_answer_is_kept_and_changes_nothing() {
    for way in Way::ALL {
        let (world, nodes) = World::flat(limits(), 1, &script());
        world.live(async |service| {
            let first = service.deploy(&nodes, 0).await;
            end_by(way, &service, first, &nodes[0]).await;
            second_waits(way, &service, first, &nodes[0]).await;
        });
    }
}

#[test]
fn limits_hold_exactly_holds_count_across_a_restart() {
    for way in Way::ALL {
        let (world, nodes) = World::flat(limits(), 1, &script());
        let first = world.live(async |service| {
            let first = service.deploy(&nodes, 0).await;
            end_by(way, &service, first, &nodes[0]).await;
            first
        });
        world.live(async |service| second_waits(way, &service, first, &nodes[0]).await);
    }
}

#[test]
fn a_hold_runs_out_when_nobody_tells() {
    for way in Way::ALL {
        let limits = Limits { abandoned_hold: seconds(100), ..limits() };
        let (world, nodes) = World::flat(limits, 1, &Script { run_for: seconds(50_000), ..script() });
        let (first, second) = world.live(async |service| {
            let first = service.deploy(&nodes, 0).await;
            end_by(way, &service, first, &nodes[0]).await;
            world.agents.disconnect(&nodes[0]);
            let second = service.deploy(&nodes, 0).await;
            tokio::time::sleep(seconds(1)).await;
            (first, second)
        });
        world.live(async |service| {
            let ended = world.store.node(first, "n0000").unwrap().finished_at.unwrap();
            until("the hold runs out", async || world.store.holds().await.unwrap().is_empty()).await;
            world.agents.connect(&nodes[0]);
            service.reached(second, NodeState::Running, 1).await;
            let began = world.store.node(second, "n0000").unwrap().started_at.unwrap();
            assert!((began - ended).num_seconds() >= 100, "{way:?}: not before its time");
            assert_eq!(late(&world, first, &nodes[0]), None, "{way:?}: nobody said anything");
        });
    }
}

#[test]
fn an_agent_that_knows_nothing_ends_the_hold_and_says_so() {
    let (world, nodes) = World::flat(limits(), 1, &Script { run_for: seconds(9_000), ..script() });
    world.live(async |service| {
        let first = service.deploy(&nodes, 0).await;
        end_by(Way::ContactLost, &service, first, &nodes[0]).await;
        world.agents.wipe(&nodes[0]);
        world.agents.connect(&nodes[0]);
        until("the hold ends", async || world.store.holds().await.unwrap().is_empty()).await;
        let late = late(&world, first, &nodes[0]).expect("that it knows nothing is kept");
        assert_eq!((late.state, late.cause), (NodeState::Errored, Some(Cause::Undeliverable)));
    });
}

#[test]
fn a_late_failure_is_told_as_one() {
    let (world, nodes) = World::flat(limits(), 1, &Script { outcome: Script::puppet("failed"), ..script() });
    world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        end_by(Way::TimedOut, &service, job, &nodes[0]).await;
        world.agents.script(&nodes[0], Script { outcome: Script::puppet("failed"), ..script() });
        until("the hold ends", async || world.store.holds().await.unwrap().is_empty()).await;
        let late = late(&world, job, &nodes[0]).unwrap();
        assert_eq!((late.state, late.cause), (NodeState::Failed, Some(Cause::RunFailed)));
        assert_eq!(late.message, "Finished puppet run on n0000 - Failed! ");
        assert!(late.at > world.store.node(job, "n0000").unwrap().finished_at.unwrap());
    });
}

#[test]
fn an_end_of_a_hold_that_the_store_refuses_keeps_the_node_taken() {
    let (world, nodes) = World::flat(limits(), 1, &script());
    world.live(async |service| {
        let first = service.deploy(&nodes, 0).await;
        end_by(Way::Abandoned, &service, first, &nodes[0]).await;
        let second = service.deploy(&nodes, 0).await;
        until("the first run is over", async || {
            world.store.refuse(20);
            world.agents.executions()[0].ends < service.engine.clock().now()
        })
        .await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(service.record(second).await.counts.get(NodeState::Running), 0);
        world.store.refuse(0);
        assert_eq!(service.end(second).await, JobState::Finished);
        assert_eq!(world.agents.peak(None), 1);
    });
}

#[test]
fn a_word_of_another_agent_with_the_same_certname_ends_no_hold() {
    let (world, nodes) = World::flat(limits(), 1, &Script::lasting(seconds(5_000)));
    world.live(async |service| {
        let first = service.deploy(&nodes, 0).await;
        service.reached(first, NodeState::Running, 1).await;
        world.agents.disconnect(&nodes[0]);
        service.end(first).await;
        assert_eq!(service.cause(first, &nodes[0]), "contact_lost");
        // It knows nothing of the run, and cannot know whether it goes on.
        world.agents.wipe(&nodes[0]);
        world.agents.script(&nodes[0], Script { spool: Some("another".into()), ..Script::default() });
        world.agents.connect(&nodes[0]);
        let second = service.deploy(&nodes, 0).await;
        tokio::time::sleep(seconds(550)).await;
        assert_eq!(service.record(second).await.counts.get(NodeState::Ready), 1, "the node is held");
        assert_eq!(service.end(second).await, JobState::Finished, "until the hold's time is over");
        assert_eq!(late(service.world, first, &nodes[0]), None);
    });
}

#[test]
fn never_twice_a_request_is_for_the_agent_that_it_was_started_for() {
    let (world, nodes) = World::flat(settled(), 1, &Script::default());
    world.store.set_delay(seconds(2));
    world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        until("the start is decided", async || world.store.appends() > 1).await;
        world.agents.script(&nodes[0], Script { spool: Some("another".into()), ..Script::default() });
        world.agents.connect(&nodes[0]);
        assert_eq!(service.end(job).await, JobState::Failed);
        assert_eq!(service.cause(job, &nodes[0]), "undeliverable");
        assert_eq!((world.agents.sends().len(), world.agents.executions().len()), (0, 0));
    });
}

#[test]
fn stop_is_graceful_an_agent_that_was_away_is_told_of_the_force_when_it_returns() {
    for restart in [false, true] {
        let (world, nodes) = World::flat(limits(), 1, &Script { run_for: seconds(5_000), ..Script::default() });
        let job = world.live(async |service| {
            let job = service.deploy(&nodes, 0).await;
            service.reached(job, NodeState::Running, 1).await;
            world.agents.disconnect(&nodes[0]);
            service.engine.stop(job, StopMode::Force).await.unwrap();
            assert_eq!(service.end(job).await, JobState::Stopped);
            assert_eq!(service.cause(job, &nodes[0]), "abandoned");
            if !restart {
                comes_back_and_is_ended(&world, job, &nodes[0]).await;
            }
            job
        });
        if restart {
            world.live(async |_| comes_back_and_is_ended(&world, job, &nodes[0]).await);
        }
    }
}

async fn comes_back_and_is_ended(world: &World, job: JobId, node: &CertName) {
    tokio::time::sleep(seconds(60)).await;
    world.agents.connect(node);
    until("the agent ends it", async || late(world, job, node).is_some()).await;
    assert_eq!(late(world, job, node).expect("it was told").cause, Some(Cause::StoppedByForce));
}

#[test]
fn limits_hold_exactly_an_agent_that_lost_its_memory_ends_no_hold_of_what_it_had_accepted() {
    let (world, nodes) = World::flat(limits(), 1, &Script { run_for: seconds(5_000), ..Script::default() });
    world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        service.reached(job, NodeState::Running, 1).await;
        tokio::time::sleep(seconds(5)).await;
        // As when a machine is put back to an older state of itself: the same spool, without the run.
        world.agents.wipe(&nodes[0]);
        world.agents.connect(&nodes[0]);
        service.end(job).await;
        assert_eq!(service.cause(job, &nodes[0]), "outcome_unknown");
        let next = service.deploy(&nodes, 0).await;
        tokio::time::sleep(seconds(300)).await;
        assert_eq!(service.record(next).await.counts.get(NodeState::Running), 0, "the hold stays");
        service.reached(next, NodeState::Running, 1).await;
        assert_eq!(late(&world, job, &nodes[0]), None, "it ran out");
    });
}
