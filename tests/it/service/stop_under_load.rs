//! Promises 5 and 6 under load: 200 sessions, concurrency 20, a stop at a random moment, fifty times.

use std::collections::BTreeSet;
use std::time::Duration;

use bunraku::app::Service;
use bunraku_actors::model::{EventKind, JobState, StopMode};
use rand::RngExt as _;

use crate::support::fleet::{Behavior, Fleet};
use crate::support::service::{Site, assert_sound, broker_of, deploy, names, over};

const NODES: usize = 200;
const CONCURRENCY: u32 = 20;
const ROUNDS: usize = 50;

#[actix_web::test]
async fn promise_6_stop_is_graceful_and_monotonic_and_promise_5_limits_hold_exactly() {
    let mut site = Site::new();
    site.config.limits.concurrent_compiles = 1_000;
    let service = site.start().await;
    let behavior = Behavior { shortest: Duration::from_millis(2), spread: Duration::from_millis(30) };
    let nodes = names(NODES);
    let fleet = Fleet::connect(&site.ca, broker_of(&service), &nodes, behavior).await;
    for round in 0..ROUNDS {
        let moment = Duration::from_micros(rand::rng().random_range(0..150_000));
        stop_after(&service, &fleet, &nodes, moment, round).await;
    }
    let most = fleet.ledger.most_running();
    assert!(most <= CONCURRENCY as usize, "{most} ran at once");
    assert!(most > 1, "the runs did overlap");
    service.stop().await;
}

async fn stop_after(service: &Service, fleet: &Fleet, nodes: &[String], moment: Duration, round: usize) {
    let job = service.orchestrator().deploy(deploy(nodes, Some(CONCURRENCY))).await.unwrap();
    // The moment itself is what is tried here, not a wait for something.
    tokio::time::sleep(moment).await;
    let answer = service.orchestrator().stop(job, StopMode::Plain).await.unwrap();
    assert_eq!(answer.total() as usize, NODES, "round {round}: the answer's counts add up");
    let (record, events) = over(service, job).await;
    assert_sound(&record, &events, NODES);

    let stopping = events.iter().position(|event| event.kind == EventKind::JobStopping);
    match stopping {
        Some(at) => {
            assert_eq!(record.state, JobState::Stopped, "round {round}");
            let late = events[at..].iter().filter(|event| event.kind == EventKind::NodeRunning).count();
            assert_eq!(late, 0, "round {round}: starts after job_stopping");
        }
        None => assert_eq!(record.state, JobState::Finished, "round {round}: the stop came after the last end"),
    }
    let announced: BTreeSet<_> = events
        .iter()
        .filter(|event| event.kind == EventKind::NodeRunning)
        .filter_map(|event| event.node.as_ref().map(|node| node.as_str().to_owned()))
        .collect();
    let spec = service.orchestrator().store().stored(job).await.unwrap().unwrap().spec;
    let ids: BTreeSet<_> = (0..NODES)
        .map(|index| {
            let node = bunraku_actors::model::NodeIndex(u32::try_from(index).unwrap());
            spec.transaction(node, bunraku_actors::model::Attempt::FIRST).to_string()
        })
        .collect();
    let mut begun = BTreeSet::new();
    for (id, node, times) in fleet.ledger.starts() {
        assert_eq!(times, 1, "round {round}: {node} started twice");
        if ids.contains(&id) {
            begun.insert(node);
        }
    }
    assert_eq!(begun, announced, "round {round}: agents started exactly what was announced");
}
