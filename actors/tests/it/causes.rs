//! Every cause is produced once, and counted in its job. A cause that is added must be added here.

use std::sync::Arc;

use bunraku_actors::handle::Limits;
use bunraku_actors::model::{Cause, CertName, JobId, NodeState, PuppetOutcome, RunOutcome, Scope, StopMode};
use bunraku_actors::ports::Transport;
use bunraku_actors::testing::{Build, Script, component, instance, names};

use crate::panics::Trap;
use crate::support::{Service, World, seconds, settled};

/// A Puppet run that could not take place, as agents say it.
fn impossible(error_type: &str, error: &str) -> Script {
    let outcome = PuppetOutcome {
        status: "unknown".into(),
        exitcode: 1,
        error_type: Some(error_type.into()),
        error: Some(error.into()),
        ..PuppetOutcome::default()
    };
    Script { outcome: RunOutcome::Puppet(Box::new(outcome)), ..Script::default() }
}

fn refused(description: &str) -> Script {
    Script { outcome: RunOutcome::Refused { description: description.into() }, ..Script::default() }
}

/// How the agent of the node `x` behaves for this cause to come about.
fn script(cause: Cause) -> Script {
    let long = Script::lasting(seconds(50_000));
    match cause {
        Cause::Undeliverable => Script { lose_requests: 1, ..Script::default() },
        Cause::RefusedByAgent => refused("unknown module: pxp-module-puppet"),
        Cause::RefusedByPolicy => refused("refused by the policy of this node: puppet is not allowed"),
        Cause::Locked => impossible("agent_locked", "Puppet agent run is already in progress"),
        Cause::Disabled => impossible("agent_disabled", "Puppet agent is disabled"),
        Cause::RunFailed => Script::failing(),
        Cause::TaskFilesUnreachable => refused("Failed to download file with: no server answers"),
        Cause::OutcomeUnknown => refused("Message size: 5096 exceeded max-message-size 2000"),
        Cause::Abandoned => Script { run_for: seconds(50_000), ..Script::pxp() },
        Cause::DependencyFailed => Script::failing(),
        Cause::NotConnected
        | Cause::TimedOut
        | Cause::ContactLost
        | Cause::StoppedByForce
        | Cause::JobStopped
        | Cause::JobTimedOut
        | Cause::JobBroken => long,
    }
}

/// What has to happen besides, once the job is there; returns the node that ends for this cause.
async fn provoke(cause: Cause, service: &Service<'_>, job: JobId) -> &'static str {
    let agents = &service.world.agents;
    let x = &names(["x"])[0];
    match cause {
        Cause::Undeliverable => {
            service.reached(job, NodeState::Running, 1).await;
            service.engine.stop(job, StopMode::Plain).await.expect("the stop is accepted");
        }
        Cause::ContactLost => {
            service.reached(job, NodeState::Running, 1).await;
            agents.disconnect(x);
        }
        Cause::Abandoned | Cause::StoppedByForce => {
            service.reached(job, NodeState::Running, 1).await;
            service.engine.stop(job, StopMode::Force).await.expect("the stop is accepted");
        }
        Cause::JobStopped => {
            service.reached(job, NodeState::Running, 1).await;
            service.engine.stop(job, StopMode::Plain).await.expect("the stop is accepted");
            return "y";
        }
        Cause::DependencyFailed | Cause::JobTimedOut | Cause::JobBroken => return "y",
        Cause::NotConnected
        | Cause::RefusedByAgent
        | Cause::RefusedByPolicy
        | Cause::Locked
        | Cause::Disabled
        | Cause::RunFailed
        | Cause::TaskFilesUnreachable
        | Cause::TimedOut
        | Cause::OutcomeUnknown => {}
    }
    "x"
}

fn expected_state(cause: Cause) -> NodeState {
    match cause {
        Cause::RunFailed => NodeState::Failed,
        Cause::DependencyFailed | Cause::JobStopped | Cause::JobTimedOut | Cause::JobBroken => NodeState::Skipped,
        _ => NodeState::Errored,
    }
}

/// `y` waits for `x`, but for the jobs that need it to be on its own.
fn world(cause: Cause) -> (World, Vec<CertName>) {
    let nodes = names(["x", "y"]);
    let parts = vec![component("x", "x", &["It[x]"], &[]), component("y", "y", &[], &["It[x]"])];
    let limits = match cause {
        Cause::JobTimedOut => Limits { job_timeout: seconds(100), ..settled() },
        _ => settled(),
    };
    let world = World::new(limits, Build::environment(vec![instance("i", parts)], Vec::new()));
    let connected = if cause == Cause::NotConnected { &nodes[1..] } else { &nodes[..] };
    world.agents.connect_all(connected, &script(cause));
    (world, nodes)
}

#[test]
fn never_a_lie_every_cause_is_told_and_counted() {
    for cause in Cause::ALL {
        let (world, nodes) = world(cause);
        let transport: Arc<dyn Transport> = match cause {
            // Breaks the job's actor whenever it looks at the node.
            Cause::JobBroken => Arc::new(Trap::new(&world, "x", 100)),
            _ => Arc::new(world.agents.clone()),
        };
        world.live_over(transport, async |service| {
            let job = service.engine.deploy(Build::deploy(Scope::WholeEnvironment, 0)).await.unwrap();
            let node = provoke(cause, &service, job).await;
            if cause == Cause::JobStopped {
                world.agents.script(&nodes[0], Script::default());
                service.engine.stop(job, StopMode::Force).await.unwrap();
            }
            service.end(job).await;
            let shown = world.store.node(job, node).unwrap();
            assert_eq!(shown.cause, Some(cause), "{cause:?}: {shown:?}");
            assert_eq!(shown.state, expected_state(cause), "{cause:?}");
            assert!(!shown.message.is_empty(), "{cause:?}");
            let record = service.record(job).await;
            assert!(record.causes.get(cause) >= 1, "{cause:?}: {:?}", record.causes);
            let total: u32 = record.causes.iter().map(|(_, count)| count).sum();
            assert_eq!(total, 2 - record.counts.get(NodeState::Finished), "{cause:?}: one cause per unfinished node");
            assert_eq!(Cause::from_name(cause.name()), Some(cause));
        });
    }
}
