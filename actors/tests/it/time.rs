//! Connections, deadlines, lost contact, lost frames, lost answers.

use bunraku_actors::handle::Limits;
use bunraku_actors::model::{JobState, NodeState};
use bunraku_actors::testing::{Build, Script, until};
use chrono::TimeDelta;

use crate::support::{World, numbered, seconds, settled};

#[test]
fn nodes_without_a_connection_are_passed_and_given_up() {
    let nodes = numbered(4);
    let world = World::new(settled(), Build::environment(Vec::new(), nodes.clone()));
    world.agents.connect_all(&nodes[2..], &Script::default());
    world.live(async |service| {
        let job = service.deploy(&nodes, 1).await;
        assert_eq!(service.end(job).await, JobState::Failed);
        let away = world.store.node(job, "n0000").unwrap();
        assert_eq!(away.state, NodeState::Errored);
        assert_eq!(away.message, "Error running puppet on n0000: n0000 is not connected to the PCP broker");
        assert_eq!(away.result["_error"]["msg"], "n0000 is not connected to the PCP broker");
        assert_eq!((away.started_at, service.cause(job, &nodes[0])), (None, "not_connected"));
        assert_eq!(service.record(job).await.counts.get(NodeState::Finished), 2);
        let record = service.record(job).await;
        assert_eq!((record.finished_at.unwrap() - record.header.created_at).num_seconds(), 30);
    });
}

#[test]
fn a_node_that_connects_in_time_runs() {
    let nodes = numbered(1);
    let world = World::new(settled(), Build::environment(Vec::new(), nodes.clone()));
    world.agents.script(&nodes[0], Script::default());
    world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        tokio::time::sleep(seconds(29)).await;
        world.agents.connect(&nodes[0]);
        assert_eq!(service.end(job).await, JobState::Finished);
    });
}

#[test]
fn the_wait_for_a_connection_begins_after_the_settle_time() {
    let nodes = numbered(1);
    let world = World::new(Limits::default(), Build::environment(Vec::new(), nodes.clone()));
    world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        service.end(job).await;
        let record = service.record(job).await;
        assert_eq!((record.finished_at.unwrap() - record.header.created_at).num_seconds(), 90 + 30);
    });
}

#[test]
fn at_its_deadline_a_run_is_ended() {
    let limits = Limits { deploy_timeout: seconds(60), ..settled() };
    let (world, nodes) = World::flat(limits, 3, &Script::lasting(seconds(9_000)));
    world.agents.script(&nodes[1], Script { run_for: seconds(9_000), ..Script::pxp() });
    world.agents.script(&nodes[2], Script { obeys_cancel: false, ..Script::lasting(seconds(9_000)) });
    world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        assert_eq!(service.end(job).await, JobState::Failed);
        let took = |at: usize| {
            let node = world.store.node(job, nodes[at].as_str()).unwrap();
            assert_eq!(service.cause(job, &nodes[at]), "timed_out");
            (node.finished_at.unwrap() - node.started_at.unwrap()).num_seconds()
        };
        assert_eq!(took(0), 60, "confirmed");
        assert_eq!(took(1), 60, "a pxp-agent cannot confirm");
        assert_eq!(took(2), 90, "not confirmed within the cancel time-out");
    });
}

#[test]
fn an_agent_that_stays_away_is_lost() {
    let (world, nodes) = World::flat(settled(), 1, &Script::lasting(seconds(5_000)));
    world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        service.reached(job, NodeState::Running, 1).await;
        tokio::time::sleep(seconds(10)).await;
        world.agents.disconnect(&nodes[0]);
        let left = service.world.store.node(job, "n0000").unwrap().started_at.unwrap();
        assert_eq!(service.end(job).await, JobState::Failed);
        assert_eq!(service.cause(job, &nodes[0]), "contact_lost");
        let took = service.record(job).await.finished_at.unwrap() - left;
        assert!(took >= TimeDelta::seconds(430) && took <= TimeDelta::seconds(431), "{took}");
    });
}

#[test]
fn an_agent_that_answers_nothing_is_lost() {
    let silent = Script { answers_status: false, lose_final: true, ..Script::default() };
    let (world, nodes) = World::flat(settled(), 1, &silent);
    world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        assert_eq!(service.end(job).await, JobState::Failed);
        assert_eq!(service.cause(job, &nodes[0]), "contact_lost");
    });
}

#[test]
fn an_outcome_whose_answer_was_lost_is_asked_for() {
    let (world, nodes) = World::flat(settled(), 2, &Script { lose_final: true, ..Script::default() });
    world.agents.script(&nodes[1], Script { accept_after: None, lose_final: true, ..Script::pxp() });
    world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        assert_eq!(service.end(job).await, JobState::Finished);
    });
}

#[test]
fn a_run_goes_on_while_its_agent_is_away() {
    let (world, nodes) = World::flat(settled(), 1, &Script::lasting(seconds(60)));
    world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        service.reached(job, NodeState::Running, 1).await;
        tokio::time::sleep(seconds(1)).await;
        world.agents.disconnect(&nodes[0]);
        tokio::time::sleep(seconds(120)).await;
        world.agents.connect(&nodes[0]);
        assert_eq!(service.end(job).await, JobState::Finished);
        assert_eq!(world.agents.sends().len(), 1);
    });
}

#[test]
fn a_request_that_never_arrived_is_sent_again_with_its_id() {
    let (world, nodes) = World::flat(settled(), 2, &Script { lose_requests: 1, ..Script::default() });
    world.agents.script(&nodes[1], Script { lose_requests: 2, ..Script::pxp() });
    world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        assert_eq!(service.end(job).await, JobState::Finished);
        let sends = world.agents.sends();
        assert_eq!(sends.len(), 5);
        assert!(
            sends
                .iter()
                .all(|(_, node, id)| { sends.iter().all(|(_, other, other_id)| (node == other) == (id == other_id)) })
        );
    });
}

#[test]
fn pxp_agents_get_no_second_frame_where_that_is_forbidden() {
    let limits = Limits { resend_to_pxp_agents: false, ..settled() };
    let (world, nodes) = World::flat(limits, 1, &Script { lose_requests: 1, ..Script::pxp() });
    world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        assert_eq!(service.end(job).await, JobState::Failed);
        assert_eq!(service.cause(job, &nodes[0]), "outcome_unknown");
        assert_eq!(world.agents.sends().len(), 1);
    });
}

#[test]
fn a_wiped_spool_makes_the_outcome_unknown() {
    let (world, nodes) = World::flat(settled(), 1, &Script::lasting(seconds(900)));
    world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        service.reached(job, NodeState::Running, 1).await;
        tokio::time::sleep(seconds(5)).await;
        world.agents.wipe(&nodes[0]);
        assert_eq!(service.end(job).await, JobState::Failed);
        assert_eq!(service.cause(job, &nodes[0]), "outcome_unknown");
    });
}

#[test]
fn doubled_answers_change_nothing() {
    let (world, nodes) = World::flat(settled(), 5, &Script { duplicates: 3, ..Script::default() });
    world.live(async |service| {
        let job = service.deploy(&nodes, 2).await;
        assert_eq!(service.end(job).await, JobState::Finished);
    });
}

#[test]
fn nodes_not_started_in_the_jobs_time_are_skipped() {
    let limits = Limits { job_timeout: seconds(100), ..settled() };
    let (world, nodes) = World::flat(limits, 5, &Script::lasting(seconds(40)));
    world.live(async |service| {
        let mut command = crate::support::deploy(&nodes, 1);
        command.common.timeout = Some(seconds(99));
        let job = service.engine.deploy(command).await.unwrap();
        assert_eq!(service.end(job).await, JobState::Failed);
        assert_eq!(service.record(job).await.counts.get(NodeState::Finished), 3);
        assert_eq!(service.cause(job, &nodes[4]), "job_timed_out");
    });
}

#[test]
fn an_append_that_fails_is_tried_again_and_nothing_is_lost() {
    let (world, nodes) = World::flat(settled(), 10, &Script::default());
    world.live(async |service| {
        let job = service.deploy(&nodes, 3).await;
        service.reached(job, NodeState::Running, 3).await;
        world.store.refuse(6);
        until("the store takes writes again", async || service.engine.trouble().is_none()).await;
        assert_eq!(service.end(job).await, JobState::Finished);
        assert_eq!(world.agents.peak(Some(job)), 3);
    });
}
