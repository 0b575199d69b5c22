//! Deploys and stops that go as they should.

use bunraku_actors::model::{JobState, NodeState, Scope, StopMode};
use bunraku_actors::testing::{Build, Script, component, instance, names};

use crate::support::{World, seconds, settled};

/// db ← app1, app2 ← web, and one node beside them.
fn shop() -> World {
    let parts = vec![
        component("db", "db", &["Sql[x]"], &[]),
        component("app1", "app1", &["Http[1]"], &["Sql[x]"]),
        component("app2", "app2", &["Http[2]"], &["Sql[x]"]),
        component("web", "web", &[], &["Http[1]", "Http[2]"]),
    ];
    let world = World::new(settled(), Build::environment(vec![instance("x", parts)], names(["other"])));
    world.agents.connect_all(&names(["db", "app1", "app2", "web", "other"]), &Script::default());
    world
}

#[test]
fn a_deploy_runs_in_order_and_finishes() {
    shop().live(async |service| {
        let job = service.engine.deploy(Build::deploy(Scope::WholeEnvironment, 0)).await.unwrap();
        assert_eq!(service.end(job).await, JobState::Finished);
        let told = service.told(job);
        let at = |line: &str| told.iter().position(|told| told == line).unwrap();
        assert!(at("node_finished db") < at("node_running app1"));
        assert!(at("node_finished db") < at("node_running app2"));
        assert!(at("node_finished app1") < at("node_running web"));
        assert!(at("node_finished app2") < at("node_running web"));
        assert!(at("node_running other") < at("node_finished db"), "independent nodes do not wait");
        assert_eq!(told.last().map(String::as_str), Some("job_finished"));
        let states: Vec<JobState> = service.record(job).await.history.iter().map(|span| span.state).collect();
        assert_eq!(states, [JobState::New, JobState::Ready, JobState::Running, JobState::Finished]);
    });
}

#[test]
fn a_failure_skips_everything_that_depends_on_it() {
    let world = shop();
    world.agents.script(&names(["app1"])[0], Script::failing());
    world.live(async |service| {
        let job = service.engine.deploy(Build::deploy(Scope::WholeEnvironment, 0)).await.unwrap();
        assert_eq!(service.end(job).await, JobState::Failed);
        let states = world.store.node_states(job);
        assert_eq!(states["app1"], NodeState::Failed);
        assert_eq!(states["app2"], NodeState::Finished);
        assert_eq!(states["web"], NodeState::Skipped);
        let message = world.store.node(job, "web").unwrap().message;
        assert_eq!(message, "Skipped puppet run on web: app1, which it depends on, did not finish");
    });
}

#[test]
fn tiers_of_a_request_go_before_those_of_the_environment() {
    let mut environment = Build::environment(Vec::new(), names(["db", "web1", "web2", "other"]));
    environment.order = vec![Scope::Nodes(names(["web1", "web2"])), Scope::Nodes(names(["db"]))];
    let world = World::new(settled(), environment);
    world.agents.connect_all(&names(["db", "web1", "web2", "other"]), &Script::default());
    world.agents.script(&names(["web1"])[0], Script::failing());
    world.live(async |service| {
        let job = service.engine.deploy(Build::deploy(Scope::WholeEnvironment, 0)).await.unwrap();
        assert_eq!(service.end(job).await, JobState::Failed);
        let states = world.store.node_states(job);
        assert_eq!(
            (states["db"], states["other"]),
            (NodeState::Skipped, NodeState::Finished),
            "one of a tier is enough"
        );
        assert_eq!(states["web2"], NodeState::Finished);

        let mut command = Build::deploy(Scope::WholeEnvironment, 0);
        command.order = Some(vec![Scope::Nodes(names(["db", "away"])), Scope::Nodes(names(["web1", "db"]))]);
        let preview = service.engine.preview_deploy(command.clone()).await.unwrap();
        assert_eq!((preview.levels, preview.tiers), (vec![0, 0, 1, 0], vec![Some(0), None, Some(1), None]));
        let job = service.engine.deploy(command).await.unwrap();
        assert_eq!(service.end(job).await, JobState::Failed);
        let told = service.told(job);
        let at = |line: &str| told.iter().position(|told| told == line).unwrap();
        assert!(at("node_finished db") < at("node_running web1"));
        assert!(at("node_running web2") < at("node_finished db"), "in no tier, it waits for none");

        let mut unordered = Build::deploy(Scope::WholeEnvironment, 0);
        unordered.order = Some(Vec::new());
        assert_eq!(service.engine.preview_deploy(unordered).await.unwrap().levels, [0, 0, 0, 0]);
        let mut unknown = Build::deploy(Scope::WholeEnvironment, 0);
        unknown.order = Some(vec![Scope::NodeGroup("Web".into())]);
        let refused = service.engine.deploy(unknown).await.unwrap_err().to_string();
        assert_eq!(refused, "order[0] needs a source of groups or queries, and none is configured");
    });
}

#[test]
fn concurrency_is_kept_exactly() {
    let (world, nodes) = World::flat(settled(), 30, &Script::default());
    world.live(async |service| {
        let job = service.deploy(&nodes, 7).await;
        assert_eq!(service.end(job).await, JobState::Finished);
        assert_eq!(world.agents.peak(Some(job)), 7);
    });
}

#[test]
fn a_plain_stop_lets_running_nodes_finish() {
    let (world, nodes) = World::flat(settled(), 20, &Script::default());
    world.live(async |service| {
        let job = service.deploy(&nodes, 4).await;
        service.reached(job, NodeState::Running, 4).await;
        let counts = service.engine.stop(job, StopMode::Plain).await.unwrap();
        assert_eq!((counts.get(NodeState::Running), counts.get(NodeState::Skipped)), (4, 16));
        assert_eq!(service.record(job).await.state, JobState::Stopping);
        assert_eq!(service.end(job).await, JobState::Stopped);
        let counts = service.record(job).await.counts;
        assert_eq!((counts.get(NodeState::Finished), counts.get(NodeState::Skipped)), (4, 16));
        let again = service.engine.stop(job, StopMode::Force).await.unwrap();
        assert_eq!(again, counts, "a job that is over keeps its state");
    });
}

#[test]
fn a_forced_stop_ends_running_nodes() {
    let (world, nodes) = World::flat(settled(), 6, &Script::lasting(seconds(600)));
    world.agents.script(&nodes[1], Script { run_for: seconds(600), ..Script::pxp() });
    world.live(async |service| {
        let job = service.deploy(&nodes, 2).await;
        service.reached(job, NodeState::Running, 2).await;
        service.engine.stop(job, StopMode::Plain).await.unwrap();
        service.engine.stop(job, StopMode::Force).await.unwrap();
        assert_eq!(service.end(job).await, JobState::Stopped);
        let cause = |at: usize| world.store.node(job, nodes[at].as_str()).unwrap().cause.unwrap().name();
        assert_eq!(cause(0), "stopped_by_force");
        assert_eq!(cause(1), "abandoned", "a pxp-agent cannot end a run");
        assert_eq!(cause(2), "job_stopped");
    });
}
