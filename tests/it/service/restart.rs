//! A clean restart in the middle of a job: nothing lost, nothing twice, the stop stays.

use std::time::Duration;

use bunraku_actors::model::{JobState, NodeState, StopMode};

use crate::support::fleet::{Behavior, Fleet};
use crate::support::service::{Site, assert_sound, broker_of, deploy, names, over, started};

const NODES: usize = 30;

fn slow() -> Behavior {
    Behavior { shortest: Duration::from_millis(200), spread: Duration::from_millis(300) }
}

#[actix_web::test]
async fn promise_2_never_twice_across_a_restart_in_mid_job() {
    let mut site = Site::new();
    let nodes = names(NODES);
    let service = site.start().await;
    let fleet = Fleet::connect(&site.ca, broker_of(&service), &nodes, slow()).await;
    let job = service.orchestrator().deploy(deploy(&nodes, Some(10))).await.unwrap();
    started(&service, job, 12).await;
    service.stop().await;

    let resumed = tokio::time::Instant::now();
    let service = site.start().await;
    let (record, events) = over(&service, job).await;
    assert_sound(&record, &events, NODES);
    assert_eq!(record.state, JobState::Finished, "{:?}", record.counts);
    assert!(fleet.ledger.last_start() > resumed, "the job went on after the restart");
    assert_eq!(fleet.ledger.starts().len(), NODES);
    assert!(fleet.ledger.starts().iter().all(|(_, _, times)| *times == 1));
    assert!(fleet.ledger.most_running() <= 10, "limits hold across the restart");
    service.stop().await;
}

#[actix_web::test]
async fn promise_6_an_accepted_stop_survives_a_restart() {
    let mut site = Site::new();
    let nodes = names(NODES);
    let service = site.start().await;
    let fleet = Fleet::connect(&site.ca, broker_of(&service), &nodes, slow()).await;
    let job = service.orchestrator().deploy(deploy(&nodes, Some(5))).await.unwrap();
    started(&service, job, 5).await;
    service.orchestrator().stop(job, StopMode::Plain).await.unwrap();
    service.stop().await;

    let service = site.start().await;
    let (record, events) = over(&service, job).await;
    assert_sound(&record, &events, NODES);
    assert_eq!(record.state, JobState::Stopped);
    let ran = fleet.ledger.starts().len();
    assert_eq!(record.counts.get(NodeState::Skipped) as usize, NODES - ran);
    assert_eq!(record.counts.get(NodeState::Finished) as usize, ran);
    service.stop().await;
}
