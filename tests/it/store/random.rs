//! Random sequences of writes, possible and impossible ones: the store and the model refuse and read the same, also
//! after a restart and while chunks are outstanding.

use std::sync::Arc;

use bunraku_actors::model::{Cause, JobId, JobState, NodeIndex, NodeState, StopMode};
use bunraku_actors::ports::{JobStore, NewJob, Write};
use proptest::prelude::*;

use super::builders::*;
use super::durable::assert_consistent;
use super::model::{Job, Model};

/// A step of a scenario; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    Create { nodes: usize, waiting: usize },
    Append(Vec<Choice>),
    Restart,
    Compare,
}

#[derive(Debug, Clone)]
struct Choice {
    what: u8,
    job: usize,
    node: usize,
    many: bool,
}

fn choices() -> impl Strategy<Value = Vec<Choice>> {
    let choice = (0..24_u8, 0..4_usize, 0..4_000_usize, prop::bool::weighted(0.3))
        .prop_map(|(what, job, node, many)| Choice { what, job, node, many });
    prop::collection::vec(choice, 1..4)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = prop_oneof![6 => 1..6_usize, 1 => Just(2_500_usize)];
    let step = prop_oneof![
        2 => (size, 1..4_usize).prop_map(|(nodes, waiting)| Step::Create { nodes, waiting }),
        24 => choices().prop_map(Step::Append),
        1 => Just(Step::Restart),
        2 => Just(Step::Compare),
    ];
    prop::collection::vec(step, 1..60)
}

/// The first node from `from` on in one of these states; else `from`, which makes the write an impossible one.
fn node_in(job: &Job, from: usize, states: &[NodeState]) -> NodeIndex {
    let count = job.nodes.len();
    let around = (0..count).map(|n| (from + n) % count);
    let fitting = around.into_iter().find(|n| states.contains(&job.nodes[*n].state));
    NodeIndex(fitting.unwrap_or(from % count) as u32)
}

fn nodes_in(job: &Job, choice: &Choice, states: &[NodeState]) -> Vec<NodeIndex> {
    if !choice.many {
        return vec![node_in(job, choice.node, states)];
    }
    (0..job.nodes.len()).filter(|n| states.contains(&job.nodes[*n].state)).map(|n| NodeIndex(n as u32)).collect()
}

fn write(model: &Model, choice: &Choice, now: i64) -> Option<Write> {
    let place = choice.job % model.jobs.len().max(1);
    let model_job = model.jobs.get(place)?;
    let job = JobId(place as u64 + 1);
    let waiting = [NodeState::New, NodeState::Ready];
    let node = |states: &[NodeState]| node_in(model_job, choice.node, states);
    let running = || node(&[NodeState::Running]);
    Some(match choice.what {
        0 => Write::JobState { job, state: JobState::Ready, at: at(now) },
        1 => Write::JobState { job, state: JobState::Running, at: at(now) },
        2..5 => Write::NodesReady { job, nodes: nodes_in(model_job, choice, &[NodeState::New]) },
        5..11 => started(&model_job.spec, job, node(&[NodeState::Ready]).0, now),
        11 => Write::NodeResent { job, node: running(), deadline: at(now + 50) },
        12 => Write::NodeAccepted { job, node: running() },
        13..17 => ended(job, running().0, now, NodeState::Finished),
        17 => {
            let end = Arc::new(end_of(NodeState::Errored));
            Write::NodeEnded { job, node: running(), at: at(now), end, hold: Some(at(now + 600)) }
        }
        18 => {
            let end = Arc::new(end_of(NodeState::Errored));
            Write::NodeUnstarted { job, node: node(&waiting), at: at(now), end }
        }
        19 | 20 => Write::NodesSkipped {
            job,
            nodes: nodes_in(model_job, choice, &waiting),
            at: at(now),
            cause: Cause::DependencyFailed,
            message: "Skipped <node>".into(),
        },
        21 => {
            let mode = if choice.many { StopMode::Force } else { StopMode::Plain };
            Write::StopAccepted { job, mode, at: at(now) }
        }
        22 => Write::JobEnded { job, state: JobState::Failed, at: at(now) },
        _ => {
            let node = NodeIndex((choice.node % model_job.nodes.len()) as u32);
            let transaction = model_job.spec.transaction(node, bunraku_actors::model::Attempt::FIRST);
            Write::HoldEnded { transaction, late: None }
        }
    })
}

async fn append(fixture: &Fixture, model: &mut Model, choices: &[Choice], now: i64) {
    // Each write fits the state before the group; a group of several may therefore be impossible as a whole.
    let writes: Vec<_> = choices.iter().filter_map(|choice| write(model, choice, now)).collect();
    for write in &writes {
        if let Write::JobEnded { job, .. } = write {
            fixture.store.settled(*job).await.unwrap();
        }
    }
    let expected = model.append(&writes);
    let found = fixture.store.append(writes.clone()).await;
    assert_eq!(found.is_ok(), expected.is_ok(), "{writes:?}: {found:?}");
}

async fn play(steps: Vec<Step>) {
    let mut fixture = Fixture::new();
    let mut model = Model::default();
    for (now, step) in (1..).zip(steps) {
        match step {
            Step::Create { nodes, waiting } => {
                let ready = (0..nodes).map(|n| !n.is_multiple_of(waiting)).collect();
                let job = NewJob { ready, ..new_job(deploy_spec(nodes)) };
                assert_eq!(fixture.store.create_job(job.clone()).await.unwrap(), model.create(&job));
            }
            Step::Append(choices) => append(&fixture, &mut model, &choices, now).await,
            Step::Restart => fixture = fixture.reopen().await,
            Step::Compare => model.assert_same(&fixture.store, false).await,
        }
    }
    model.assert_same(&fixture.store, true).await;
    assert_consistent(&fixture.store).await;
    let fixture = fixture.reopen().await;
    model.assert_same(&fixture.store, true).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_store_reads_as_the_model(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(steps));
    }
}
