//! The job's machine under any order of inputs.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use crate::machine::outcome::errored;
use crate::machine::{Job, JobInput, JobRefusal, Words};
use crate::model::{
    Cause, CertName, JobId, JobKind, JobSpec, JobState, NodeEnd, NodeIndex, NodeState, Owner, RunKey, StopMode,
};
use crate::ports::{StoredNode, Write};

use super::{deploy, start};

fn spec(count: u32, edges: &[(u32, u32)]) -> Arc<JobSpec> {
    let nodes: Vec<CertName> = (0..count).map(|n| CertName::parse(&format!("n{n:02}")).unwrap()).collect();
    let owner = Owner { id: "1".into(), login: "x".into(), display_name: String::new(), role: String::new() };
    Arc::new(JobSpec {
        run_key: RunKey(Uuid::from_u128(1)),
        action: Arc::new(deploy()),
        environment: None,
        options: json!({}).into(),
        owner,
        description: String::new(),
        origin: crate::model::Origin::default(),
        userdata: json!({}),
        created_at: start(),
        start_deadline: start(),
        concurrency: NonZeroU32::new(1),
        run_timeout: Duration::from_secs(1),
        nodes: nodes.into(),
        edges: edges.iter().map(|(a, b)| (NodeIndex(*a), NodeIndex(*b))).collect(),
    })
}

fn fresh(spec: &JobSpec) -> Vec<StoredNode> {
    let ready = crate::plan::Schedule::new(spec).startable();
    let row = |ready| StoredNode {
        state: if ready { NodeState::Ready } else { NodeState::New },
        cause: None,
        attempt: None,
        started_at: None,
        deadline: None,
        accepted: false,
        spool: None,
    };
    ready.into_iter().map(row).collect()
}

fn end(state: NodeState) -> Arc<NodeEnd> {
    let node = CertName::parse("x").unwrap();
    let mut end = errored(&node, Words::of(JobKind::Deploy), Cause::RunFailed, "x");
    end.state = state;
    Arc::new(end)
}

#[derive(Debug, Clone)]
enum Act {
    Start(u32),
    End(u32, bool),
    Away(u32),
    Stop(StopMode),
    Expire,
    Break,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => (0_u32..10).prop_map(Act::Start),
        9 => (0_u32..10, prop::bool::weighted(0.8)).prop_map(|(node, well)| Act::End(node, well)),
        2 => (0_u32..10).prop_map(Act::Away),
        1 => prop_oneof![Just(StopMode::Plain), Just(StopMode::Force)].prop_map(Act::Stop),
        1 => Just(Act::Expire),
        1 => Just(Act::Break),
    ]
}

/// What a store would make of the writes; refuses what the port forbids.
#[derive(Debug, Default)]
struct Book {
    nodes: BTreeMap<u32, NodeState>,
    stop: Option<StopMode>,
    over: Option<JobState>,
}

impl Book {
    fn shift(&mut self, node: NodeIndex, from: &[NodeState], to: NodeState) {
        let present = self.nodes.insert(node.0, to).unwrap();
        assert!(from.contains(&present), "{node:?}: {present:?} to {to:?}");
    }

    fn apply(&mut self, write: &Write) {
        assert_eq!(self.over, None, "nothing follows the end");
        let waiting = [NodeState::New, NodeState::Ready];
        match write {
            Write::NodesReady { nodes, .. } => {
                nodes.iter().for_each(|node| self.shift(*node, &waiting[..1], NodeState::Ready));
            }
            Write::NodeStarted { node, .. } => {
                assert_eq!(self.stop, None, "no start after the stop");
                self.shift(*node, &[NodeState::Ready], NodeState::Running);
            }
            Write::NodeEnded { node, end, .. } => self.shift(*node, &[NodeState::Running], end.state),
            Write::NodeUnstarted { node, end, .. } => self.shift(*node, &waiting, end.state),
            Write::NodesSkipped { nodes, .. } => {
                nodes.iter().for_each(|node| self.shift(*node, &waiting, NodeState::Skipped));
            }
            Write::StopAccepted { mode, .. } => self.stop = self.stop.max(Some(*mode)),
            Write::JobEnded { state, .. } | Write::JobAborted { state, .. } => self.over = Some(*state),
            Write::JobState { .. }
            | Write::NodeResent { .. }
            | Write::NodeAccepted { .. }
            | Write::JobResumed { .. }
            | Write::HoldEnded { .. } => panic!("not decided by these inputs: {write:?}"),
        }
    }
}

proptest! {
    #[test]
    fn a_job_keeps_its_promises(
        pairs in proptest::collection::btree_set((0_u32..10, 0_u32..10), 0..15),
        acts in proptest::collection::vec(act(), 0..80),
    ) {
        let edges: Vec<(u32, u32)> = pairs.into_iter().filter(|(a, b)| a < b).collect();
        let spec = spec(10, &edges);
        let stored = fresh(&spec);
        let mut book = Book { nodes: (0..).zip(stored.iter().map(|node| node.state)).collect(), ..Book::default() };
        let (mut job, first) = Job::restore(JobId(1), Arc::clone(&spec), JobState::Running, None, &stored);
        prop_assert!(first.writes.is_empty());
        for act in acts {
            let input = match act {
                Act::Start(node) => JobInput::Start { node: NodeIndex(node), deadline: start(), spool: None },
                Act::End(node, well) => {
                    let state = if well { NodeState::Finished } else { NodeState::Failed };
                    JobInput::End { node: NodeIndex(node), end: end(state), hold: None }
                }
                Act::Away(node) => JobInput::NotConnected { node: NodeIndex(node) },
                Act::Stop(mode) => JobInput::Stop(mode),
                Act::Expire => JobInput::StartsExpired,
                Act::Break => JobInput::Break { held_until: start() },
            };
            let before = book.nodes.clone();
            let (next, stepped) = job.step(input.clone(), start());
            job = next;
            let Ok(decision) = stepped else { continue };
            decision.writes.iter().for_each(|write| book.apply(write));
            if let JobInput::Start { node, .. } = input {
                let done = |at: u32| before[&at] == NodeState::Finished;
                prop_assert!(edges.iter().filter(|(_, to)| *to == node.0).all(|(from, _)| done(*from)));
            }
            if matches!(input, JobInput::Stop(_) | JobInput::StartsExpired | JobInput::Break { .. }) {
                let waits = |state: &NodeState| matches!(state, NodeState::New | NodeState::Ready);
                prop_assert!(!book.nodes.values().any(waits));
            }
            // What is decided is what the writes say, and a restart sees the same job.
            for (node, state) in &book.nodes {
                prop_assert_eq!(job.node(NodeIndex(*node)), *state);
            }
            let rows: Vec<StoredNode> =
                stored.iter().zip(book.nodes.values()).map(|(row, state)| StoredNode { state: *state, ..row.clone() }).collect();
            let state = if book.stop.is_some() { JobState::Stopping } else { JobState::Running };
            let (again, healed) = Job::restore(JobId(1), Arc::clone(&spec), state, book.stop, &rows);
            prop_assert!(healed.writes.is_empty(), "nothing was left undecided: {:?}", healed.writes);
            prop_assert_eq!(again.counts(), job.counts());
            prop_assert_eq!(again.is_open(), job.is_open());
        }
        let (job, ended) = job.step(JobInput::Settled, start());
        prop_assert_eq!(ended.is_ok(), job.all_over());
        prop_assert_eq!(job.is_over(), job.all_over());
        if let Ok(decision) = ended {
            decision.writes.iter().for_each(|write| book.apply(write));
            let all_finished = book.nodes.values().all(|state| *state == NodeState::Finished);
            let expected = match (book.stop, all_finished) {
                (Some(_), _) => JobState::Stopped,
                (None, true) => JobState::Finished,
                (None, false) => JobState::Failed,
            };
            prop_assert_eq!(book.over, Some(expected));
            prop_assert!(job.step(JobInput::Stop(StopMode::Force), start()).1.unwrap().writes.is_empty());
        }
    }
}

#[test]
fn a_stopping_job_sends_nothing_again() {
    let spec = spec(1, &[]);
    let (job, _) = Job::restore(JobId(1), Arc::clone(&spec), JobState::Running, None, &fresh(&spec));
    let node = NodeIndex(0);
    let (job, started) = job.step(JobInput::Start { node, deadline: start(), spool: None }, start());
    assert_eq!(started.unwrap().writes.len(), 1);
    let resend = JobInput::Resend { node, deadline: start() };
    let (job, resent) = job.step(resend.clone(), start());
    assert!(matches!(&resent.unwrap().writes[..], [Write::NodeResent { .. }]));
    let (job, _) = job.step(JobInput::Stop(StopMode::Plain), start());
    assert_eq!(job.step(resend, start()).1.unwrap_err(), JobRefusal::ResendsNothing);
}
