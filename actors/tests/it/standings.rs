//! Why a node is where it is: the engine tells the exact reason, from its own state.

use bunraku_actors::handle::{Limits, Standing};
use bunraku_actors::model::{CertName, NodeState, StopMode};
use bunraku_actors::testing::{Build, Script, component, instance, names};

use crate::support::{Service, World, seconds, settled};

/// Where a node stands in its only job.
async fn standing(service: &Service<'_>, node: &CertName) -> Standing {
    let mut all = service.engine.standings(node).await.expect("the engine answers");
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0).standing
}

#[test]
fn a_node_waits_for_the_jobs_own_concurrency_and_one_runs() {
    let (world, nodes) = World::flat(settled(), 3, &Script::lasting(seconds(20)));
    world.live(async |service| {
        let job = service.deploy(&nodes, 2).await;
        service.reached(job, NodeState::Running, 2).await;
        assert_eq!(standing(&service, &nodes[2]).await, Standing::Concurrency { limit: 2 });
        assert!(matches!(standing(&service, &nodes[0]).await, Standing::Runs { away: false, .. }));
        world.agents.disconnect(&nodes[0]);
        assert!(matches!(standing(&service, &nodes[0]).await, Standing::Runs { away: true, .. }));
        assert_eq!(service.engine.standings(&CertName::parse("stranger").unwrap()).await.unwrap(), []);
        service.end(job).await;
        assert_eq!(service.engine.standings(&nodes[0]).await.unwrap(), [], "the job is over");
    });
}

#[test]
fn a_node_waits_for_a_shared_limit_that_is_named() {
    let limits = Limits { concurrent_runs: 2, concurrent_compiles: 2, ..settled() };
    let (world, nodes) = World::flat(limits, 3, &Script::lasting(seconds(20)));
    world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        service.reached(job, NodeState::Running, 2).await;
        match standing(&service, &nodes[2]).await {
            Standing::Slot(usage) => assert_eq!((usage.limit, usage.used, usage.of), ("concurrent_runs", 2, 2)),
            other => panic!("{other:?}"),
        }
        service.engine.drain(true).await.unwrap();
        assert_eq!(standing(&service, &nodes[2]).await, Standing::Draining);
    });
}

#[test]
fn a_node_waits_for_its_turn_and_its_connection() {
    let (world, nodes) = World::flat(settled(), 2, &Script::lasting(seconds(20)));
    world.agents.disconnect(&nodes[1]);
    world.live(async |service| {
        let first = service.deploy(&nodes, 0).await;
        service.reached(first, NodeState::Running, 1).await;
        let second = service.deploy(&nodes[..1], 0).await;
        tokio::time::sleep(seconds(1)).await;
        let all = service.engine.standings(&nodes[0]).await.unwrap();
        let told: Vec<_> = all.iter().map(|of| (of.job, of.state)).collect();
        assert_eq!(told, [(first, NodeState::Running), (second, NodeState::Ready)]);
        assert_eq!(all[1].standing, Standing::Turn { job: Some(first) });
        assert!(matches!(standing(&service, &nodes[1]).await, Standing::Away { .. }));
    });
}

#[test]
fn a_node_waits_for_those_that_it_depends_on_and_have_not_finished() {
    let nodes = names(["db1", "db2", "web1"]);
    let parts = vec![
        component("db1", "db1", &["Sql[1]"], &[]),
        component("db2", "db2", &["Sql[2]"], &[]),
        component("web1", "web1", &[], &["Sql[1]", "Sql[2]"]),
    ];
    let world = World::new(settled(), Build::environment(vec![instance("x", parts)], Vec::new()));
    world.agents.connect_all(&nodes, &Script::default());
    world.agents.script(&nodes[1], Script::lasting(seconds(60)));
    world.live(async |service| {
        let job = service.deploy(&nodes, 0).await;
        service.reached(job, NodeState::Finished, 1).await;
        assert_eq!(standing(&service, &nodes[2]).await, Standing::Depends { count: 1, on: vec![nodes[1].clone()] });
        service.engine.stop(job, StopMode::Plain).await.unwrap();
        assert_eq!(standing(&service, &nodes[2]).await, Standing::Over, "it is skipped");
    });
}
