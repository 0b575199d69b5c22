//! A database that was restored from a backup, beside agents that know more than it does: what really ran is found,
//! nothing is sent again unasked, and what nobody can tell is called unknown.

use bunraku_actors::handle::{Binding, Limits};
use bunraku_actors::model::{CertName, JobId, JobState, NodeState, StopMode};
use bunraku_actors::testing::{Backup, Build, Execution, Script, component, instance, until};

use crate::support::{Service, World, numbered, seconds, settled};

/// A job of six nodes, two at a time, and a copy of the store while the first two ran; the service is gone then.
fn until_backup(limits: Limits, script: &Script) -> (World, Vec<CertName>, JobId, Backup) {
    let (world, nodes) = World::flat(limits, 6, script);
    let (job, backup) = world.live(async |service| {
        let job = service.deploy(&nodes, 2).await;
        service.reached(job, NodeState::Running, 2).await;
        (job, world.store.backup())
    });
    (world, nodes, job, backup)
}

async fn asked_about_all(service: &Service<'_>) {
    tokio::time::sleep(seconds(5)).await;
    assert_eq!(service.engine.trouble(), None);
}

#[test]
fn never_twice_what_ran_after_the_backup_is_found_and_not_run_again() {
    let (world, _, job, backup) = until_backup(settled(), &Script::lasting(seconds(20)));
    world.live(async |service| assert_eq!(service.end(job).await, JobState::Finished));
    assert_eq!(world.agents.executions().len(), 6);
    world.store.restore(backup);
    world.live(async |service| {
        assert_eq!(service.end(job).await, JobState::Finished, "every outcome is known to some agent");
        assert_eq!((world.agents.sends().len(), world.agents.executions().len()), (6, 6), "nothing was sent again");
        assert_eq!(service.record(job).await.counts.get(NodeState::Finished), 6);
    });
}

#[test]
fn limits_hold_exactly_what_still_runs_counts_after_a_restore() {
    let limits = Limits { concurrent_runs: 3, ..settled() };
    let (world, nodes, job, backup) = until_backup(limits, &Script::lasting(seconds(100)));
    world.live(async |service| {
        service.reached(job, NodeState::Finished, 2).await;
        service.reached(job, NodeState::Running, 2).await;
    });
    world.store.restore(backup);
    world.live(async |service| {
        asked_about_all(&service).await;
        let counts = service.record(job).await.counts;
        assert_eq!((counts.get(NodeState::Finished), counts.get(NodeState::Running)), (2, 2), "{counts:?}");
        let next = service.deploy(&nodes, 0).await;
        assert_ne!(next, job, "a number is given once");
        service.reached(next, NodeState::Running, 1).await;
        assert_eq!(service.end(next).await, JobState::Finished);
        assert!(world.agents.peak(None) <= 3);
    });
}

#[test]
fn a_restored_job_waits_until_it_is_resumed() {
    let (world, nodes, job, backup) = until_backup(settled(), &Script::lasting(seconds(20)));
    world.store.restore(backup);
    world.live(async |service| {
        service.reached(job, NodeState::Finished, 2).await;
        tokio::time::sleep(seconds(3_600)).await;
        assert_eq!(world.agents.executions().len(), 2, "nothing starts unasked");
        assert_eq!(service.engine.live(job).await.unwrap().binding, Some(Binding::Restored));
    });
    world.live(async |service| {
        asked_about_all(&service).await;
        assert_eq!(world.agents.executions().len(), 2, "not after another restart either");
        service.engine.resume(job).await.unwrap();
        assert_eq!(service.end(job).await, JobState::Finished);
        assert_eq!(world.agents.executions().len(), nodes.len());
        assert!(service.engine.resume(JobId(99)).await.is_err());
        assert!(service.engine.resume(job).await.is_ok(), "one that is over needs nothing");
    });
}

#[test]
fn a_job_that_is_resumed_without_an_answer_runs_nothing_twice() {
    let (world, nodes, job, backup) = until_backup(settled(), &Script::lasting(seconds(20)));
    world.live(async |service| assert_eq!(service.end(job).await, JobState::Finished));
    world.store.restore(backup);
    nodes.iter().for_each(|node| world.agents.disconnect(node));
    world.live(async |service| {
        asked_about_all(&service).await;
        service.engine.resume_all().await.unwrap();
        tokio::time::sleep(seconds(2)).await;
        nodes.iter().for_each(|node| world.agents.connect(node));
        assert_eq!(service.end(job).await, JobState::Finished);
        assert_eq!(world.agents.executions().len(), 6, "the ids are those of the runs that took place");
    });
}

#[test]
fn never_a_lie_what_nobody_can_tell_is_unknown_and_says_why() {
    let (world, nodes, job, backup) = until_backup(settled(), &Script::lasting(seconds(20)));
    world.live(async |service| assert_eq!(service.end(job).await, JobState::Finished));
    world.store.restore(backup);
    world.agents.disconnect(&nodes[5]);
    world.live(async |service| {
        service.reached(job, NodeState::Finished, 5).await;
        let counts = service.engine.stop(job, StopMode::Plain).await.unwrap();
        assert_eq!(counts.get(NodeState::Skipped), 0, "nobody says that it never started");
        assert_eq!(service.end(job).await, JobState::Stopped);
        let lost = world.store.node(job, "n0005").unwrap();
        assert_eq!(service.cause(job, &nodes[5]), "outcome_unknown");
        assert!(lost.message.contains("restored from a backup"), "{}", lost.message);
        world.agents.connect(&nodes[5]);
        until("its agent tells late", async || world.store.node(job, "n0005").unwrap().late.is_some()).await;
        assert_eq!(world.store.node(job, "n0005").unwrap().late.unwrap().state, NodeState::Finished);
    });
}

#[test]
fn a_start_in_the_backup_that_never_arrived_is_not_sent_again() {
    let limits = Limits { job_timeout: seconds(7_200), ..settled() };
    let script = Script { lose_requests: 1, ..Script::lasting(seconds(20)) };
    let (world, nodes, job, backup) = until_backup(limits, &script);
    world.store.restore(backup);
    world.live(async |service| {
        service.reached(job, NodeState::Errored, 2).await;
        assert_eq!(service.cause(job, &nodes[0]), "undeliverable");
        assert_eq!(service.end(job).await, JobState::Failed, "the job's own time ends the wait");
        assert_eq!(service.cause(job, &nodes[5]), "job_timed_out");
        assert_eq!(world.agents.executions().len(), 0);
    });
}

#[test]
fn a_spool_that_is_gone_makes_a_restored_start_unknown() {
    let (world, nodes, job, backup) = until_backup(settled(), &Script::lasting(seconds(2_000)));
    world.live(async |_| tokio::time::sleep(seconds(60)).await);
    world.store.restore(backup);
    world.agents.wipe(&nodes[0]);
    world.agents.script(&nodes[0], Script { spool: Some("another".into()), ..Script::lasting(seconds(10)) });
    world.agents.connect(&nodes[0]);
    world.live(async |service| {
        until("it is given up", async || service.cause(job, &nodes[0]) == "outcome_unknown").await;
        let message = world.store.node(job, "n0000").unwrap().message;
        assert!(message.ends_with("(restored from a backup)"), "{message}");
        service.engine.stop(job, StopMode::Force).await.unwrap();
        assert_eq!(service.end(job).await, JobState::Stopped);
    });
}

#[test]
fn never_twice_a_spool_that_is_younger_than_the_job_cannot_tell_that_nothing_ran() {
    let (world, nodes, job, backup) = until_backup(settled(), &Script::lasting(seconds(20)));
    let created = world.live(async |service| {
        assert_eq!(service.end(job).await, JobState::Finished);
        service.record(job).await.header.created_at
    });
    world.store.restore(backup);
    let made = uuid::Timestamp::from_unix(uuid::NoContext, created.timestamp().cast_unsigned() + 60, 0);
    world.agents.wipe(&nodes[5]);
    let spool = uuid::Uuid::new_v7(made).to_string();
    world.agents.script(&nodes[5], Script { spool: Some(spool), ..Script::lasting(seconds(20)) });
    world.agents.connect(&nodes[5]);
    world.live(async |service| {
        until("it is given up", async || service.cause(job, &nodes[5]) == "outcome_unknown").await;
        service.engine.resume(job).await.unwrap();
        assert_eq!(service.end(job).await, JobState::Failed);
        let sends = |node: &CertName| world.agents.sends().iter().filter(|(_, to, _)| to == node).count();
        assert_eq!(sends(&nodes[5]), 1, "it may have run, and did: that was before the spool was made");
        assert_eq!(service.record(job).await.counts.get(NodeState::Finished), 5);
    });
}

/// A job over `n0000` and, behind it, `n0001`, and a copy of the store from the time before the second started; both ran.
fn in_order_until_backup() -> (World, Vec<CertName>, JobId, Backup) {
    let nodes = numbered(2);
    let parts = vec![component("a", "n0000", &["Cap[a]"], &[]), component("b", "n0001", &[], &["Cap[a]"])];
    let world = World::new(settled(), Build::environment(vec![instance("shop", parts)], nodes.clone()));
    world.agents.connect_all(&nodes, &Script::lasting(seconds(20)));
    let (job, backup) = world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        service.reached(job, NodeState::Running, 1).await;
        let backup = world.store.backup();
        assert_eq!(service.end(job).await, JobState::Finished);
        (job, backup)
    });
    (world, nodes, job, backup)
}

#[test]
fn never_a_lie_what_may_have_run_is_not_skipped_for_its_dependency() {
    let (world, nodes, job, backup) = in_order_until_backup();
    world.store.restore(backup);
    nodes.iter().for_each(|node| world.agents.disconnect(node));
    world.live(async |service| {
        assert_eq!(service.end(job).await, JobState::Failed);
        assert_eq!(service.cause(job, &nodes[0]), "contact_lost");
        assert_eq!(service.cause(job, &nodes[1]), "outcome_unknown", "nobody says that it never ran");
        world.agents.connect(&nodes[1]);
        until("its agent tells late", async || world.store.node(job, "n0001").unwrap().late.is_some()).await;
        assert_eq!(world.store.node(job, "n0001").unwrap().late.unwrap().state, NodeState::Finished);
    });
}

#[test]
fn never_a_lie_a_resumed_job_asks_on_also_after_a_restart() {
    let (mut world, nodes, job, backup) = until_backup(settled(), &Script::lasting(seconds(20)));
    world.live(async |service| assert_eq!(service.end(job).await, JobState::Finished));
    world.store.restore(backup);
    world.agents.disconnect(&nodes[5]);
    world.limits.concurrent_runs = 1;
    world.live(async |service| {
        service.engine.resume(job).await.unwrap();
        until("it is resumed", async || service.engine.live(job).await.unwrap().binding != Some(Binding::Restored))
            .await;
    });
    world.live(async |service| {
        let counts = service.engine.stop(job, StopMode::Plain).await.unwrap();
        assert_eq!(counts.get(NodeState::Skipped), 0, "nobody says that it never started");
        assert_eq!(service.end(job).await, JobState::Stopped);
        assert_eq!(service.cause(job, &nodes[5]), "outcome_unknown");
    });
}

#[test]
fn limits_hold_exactly_a_node_in_doubt_takes_no_other_run_until_its_agent_was_asked() {
    // The first two run when the copy is made; all others begin after it, and go on after the restore.
    let (world, nodes, job, backup) = until_backup(settled(), &Script::lasting(seconds(100)));
    world.live(async |service| {
        service.reached(job, NodeState::Finished, 2).await;
        service.reached(job, NodeState::Running, 2).await;
    });
    world.store.restore(backup);
    // Their answers take a while.
    nodes.iter().for_each(|node| world.agents.disconnect(node));
    world.live(async |service| {
        let next = service.deploy(&nodes, 0).await;
        nodes.iter().for_each(|node| world.agents.connect(node));
        assert_eq!(service.end(next).await, JobState::Finished);
        service.engine.resume(job).await.unwrap();
        assert_eq!(service.end(job).await, JobState::Finished);
    });
    let runs = world.agents.executions();
    for (place, run) in runs.iter().enumerate() {
        let beside = |other: &&Execution| other.node == run.node && other.began < run.ends && run.began < other.ends;
        let other = runs[place + 1..].iter().find(beside);
        assert!(other.is_none(), "{run:?} beside {other:?}");
    }
}
