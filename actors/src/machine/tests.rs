//! The machines under any order of inputs, and the judgment of known answers.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::json;

use crate::model::{
    Action, Cause, CertName, DeployAction, DeployOptions, NodeEnd, NodeState, PuppetOutcome, RunOutcome, TaskAction,
    TaskName, TaskOutcome,
};
use crate::ports::{Connection, RunSignal, StatusAnswer};

use super::*;

mod job;

fn name() -> CertName {
    CertName::parse("web1").unwrap()
}

fn deploy() -> Action {
    Action::Deploy(DeployAction { enforced_environment: None, options: DeployOptions::default() })
}

fn task() -> Action {
    Action::Task(TaskAction {
        task: TaskName::parse("t").unwrap(),
        input: serde_json::Map::new(),
        sensitive: Vec::new(),
        secrets: crate::model::Secrets::default(),
        metadata: json!({}),
        files: Vec::new(),
        noop: false,
        environment: "production".into(),
    })
}

pub(super) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_772_366_400, 0).unwrap()
}

fn judged(action: &Action, outcome: RunOutcome) -> NodeEnd {
    judge(&name(), action, outcome, Cause::StoppedByForce)
}

fn puppet(status: &str, error_type: Option<&str>) -> (NodeState, Option<Cause>) {
    let outcome = PuppetOutcome {
        status: status.into(),
        error_type: error_type.map(str::to_owned),
        error: error_type.map(|_| "sentence".to_owned()),
        ..PuppetOutcome::default()
    };
    let end = judged(&deploy(), RunOutcome::Puppet(Box::new(outcome)));
    (end.state, end.cause)
}

#[test]
fn puppet_outcomes_are_told_apart() {
    assert_eq!(puppet("changed", None), (NodeState::Finished, None));
    assert_eq!(puppet("unchanged", None), (NodeState::Finished, None));
    assert_eq!(puppet("failed", Some("agent_exit_non_zero")), (NodeState::Failed, Some(Cause::RunFailed)));
    assert_eq!(puppet("changed", Some("agent_exit_non_zero")), (NodeState::Failed, Some(Cause::RunFailed)));
    assert_eq!(puppet("unknown", Some("agent_disabled")), (NodeState::Errored, Some(Cause::Disabled)));
    assert_eq!(puppet("unknown", Some("agent_locked")), (NodeState::Errored, Some(Cause::Locked)));
    assert_eq!(puppet("unknown", Some("invalid_json")), (NodeState::Errored, Some(Cause::RefusedByAgent)));
    assert_eq!(puppet("unknown", Some("agent_failed_to_start")), (NodeState::Errored, Some(Cause::RunFailed)));
    assert_eq!(puppet("unknown", None), (NodeState::Errored, Some(Cause::OutcomeUnknown)));
}

#[test]
fn a_good_status_beside_a_bad_exit_code_is_no_success() {
    for (exitcode, state) in [(0, NodeState::Finished), (2, NodeState::Finished), (1, NodeState::Failed)] {
        let outcome = PuppetOutcome { status: "unchanged".into(), exitcode, ..PuppetOutcome::default() };
        assert_eq!(judged(&deploy(), RunOutcome::Puppet(Box::new(outcome))).state, state, "{exitcode}");
    }
}

#[test]
fn a_run_that_a_restart_of_the_agent_prevented_was_not_refused() {
    let description = "Failed to execute … Error: the agent was restarted before the run was started".to_owned();
    let end = judged(&deploy(), RunOutcome::Refused { description });
    assert_eq!((end.state, end.cause), (NodeState::Errored, Some(Cause::Undeliverable)));
}

#[test]
fn a_finished_deploy_has_all_counters() {
    let outcome = PuppetOutcome { status: "changed".into(), ..PuppetOutcome::default() };
    let end = judged(&deploy(), RunOutcome::Puppet(Box::new(outcome)));
    assert_eq!(end.message, "Finished puppet run on web1 - Success! ");
    for counter in ["total", "changed", "corrective_change", "failed", "skipped"] {
        assert_eq!(end.result["metrics"][counter], 0);
        assert_eq!(end.details["metrics"][counter], 0);
    }
    assert_eq!(end.result["noop"], json!({ "noop": false, "no_noop": false }));
    assert_eq!(end.result["status"], "changed");
}

fn printed(exitcode: i64, stdout: &str, stderr: &str) -> NodeEnd {
    let outcome = TaskOutcome { exitcode, stdout: stdout.into(), stderr: stderr.into() };
    judged(&task(), RunOutcome::Task(outcome))
}

#[test]
fn task_outcomes_follow_their_output() {
    assert_eq!(printed(0, "{\"a\":1}", "").result, json!({ "a": 1 }));
    assert_eq!(printed(0, "hello\n", "").result, json!({ "_output": "hello\n" }));
    assert_eq!(printed(0, "[1]", "").result, json!({ "_output": "[1]" }), "only objects are results");
    let own = printed(2, "{\"_error\":{\"kind\":\"mine\"}}", "");
    assert_eq!((own.state, &own.result), (NodeState::Failed, &json!({ "_error": { "kind": "mine" } })));
    assert_eq!(printed(0, "{\"_error\":{}}", "").state, NodeState::Failed, "an own error is a failure");
    let failed = printed(3, "out", "oops\n");
    assert_eq!(failed.state, NodeState::Failed);
    assert_eq!(failed.result["_output"], "out");
    assert_eq!(failed.result["_error"]["kind"], "puppetlabs.tasks/task-error");
    assert_eq!(failed.result["_error"]["details"]["exit_code"], 3);
    assert_eq!(failed.message, "Finished task on web1 - Failed! ");
}

#[test]
fn what_nests_too_deep_in_results_stays_text() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let just = format!("{{\"a\":{}}}", nested(63));
    assert!(printed(0, &just, "").result["a"].is_array());
    let deep = format!("{{\"a\":{}}}", nested(64));
    assert_eq!(printed(0, &deep, "").result, json!({ "_output": deep }));

    let value: serde_json::Value = serde_json::from_str(&nested(65)).unwrap();
    let mut outcome = PuppetOutcome { status: "changed".into(), ..PuppetOutcome::default() };
    outcome.metrics.insert("odd".into(), value.clone());
    outcome.resource_events.push(value);
    let end = judged(&deploy(), RunOutcome::Puppet(Box::new(outcome)));
    assert_eq!((&end.result["metrics"]["odd"], &end.resource_events[0]), (&json!(nested(65)), &json!(nested(65))));
    assert_eq!(end.details["metrics"]["odd"], json!(nested(65)));
}

#[test]
fn refusals_have_their_causes() {
    let cause = |text: &str| {
        let end = judged(&task(), RunOutcome::Refused { description: text.into() });
        assert_eq!(end.result["_error"]["kind"], "puppetlabs.orchestrator/execution-failure");
        assert_eq!(end.message, format!("Error running task on web1: {text}"));
        end.cause.unwrap()
    };
    assert_eq!(cause("unknown module: task"), Cause::RefusedByAgent);
    assert_eq!(cause("action run refused by the policy of this node"), Cause::RefusedByPolicy);
    assert_eq!(cause("Error: Failed to download file with: x"), Cause::TaskFilesUnreachable);
    assert_eq!(cause("the agent cannot fetch the task's files from x: put y"), Cause::TaskFilesUnreachable);
    assert_eq!(cause("Cannot download file. No master-uris were provided"), Cause::TaskFilesUnreachable);
    assert_eq!(cause("Message size: 9 exceeded max-message-size 8"), Cause::OutcomeUnknown);
}

fn rules() -> Rules {
    let seconds = TimeDelta::seconds;
    Rules {
        action: Arc::new(deploy()),
        run_timeout: seconds(3_600),
        connect_timeout: seconds(30),
        lost_contact: seconds(420),
        cancel_timeout: seconds(30),
        resend_window: seconds(3_600),
        resend_to_pxp_agents: true,
        compile_hold: seconds(30),
        status_timeout: seconds(12),
        status_interval: seconds(120),
        settled_at: start() + seconds(90),
    }
}

fn connection(generation: u64, spool: bool) -> Connection {
    let spool = spool.then(|| "s".to_owned());
    Connection { node: name(), generation, since: start(), spool, agent: None, contended: false }
}

fn facts(link: Option<Connection>) -> Facts {
    Facts {
        node: name(),
        started_at: start(),
        deadline: start() + TimeDelta::seconds(3_600),
        spool: link.as_ref().and_then(|link| link.spool.clone()),
        accepted: false,
        compiling: Some(None),
        stopping: false,
        restored: false,
        handed_over: 0,
        contact: Contact::new(link, start()),
    }
}

fn ended() -> RunOutcome {
    RunOutcome::Puppet(Box::new(PuppetOutcome { status: "changed".into(), ..PuppetOutcome::default() }))
}

fn input() -> impl Strategy<Value = NodeInput> {
    let signal = |signal| Just(NodeInput::Signal(signal));
    let status = |answer| Just(NodeInput::Signal(RunSignal::Status(answer)));
    prop_oneof![
        4 => Just(NodeInput::Tick),
        1 => Just(NodeInput::Force),
        1 => Just(NodeInput::Stopping),
        2 => Just(NodeInput::ResendCommitted),
        1 => Just(NodeInput::ResendRefused),
        1 => signal(RunSignal::Unsent),
        2 => signal(RunSignal::Sent),
        2 => signal(RunSignal::Accepted),
        1 => signal(RunSignal::CatalogReady),
        1 => signal(RunSignal::Ended(ended())),
        1 => signal(RunSignal::Ended(RunOutcome::Canceled { results: json!(null) })),
        2 => status(StatusAnswer::Running),
        1 => status(StatusAnswer::NeverArrived),
        1 => status(StatusAnswer::Unknown("gone".into())),
        1 => signal(RunSignal::CancelAccepted),
        1 => signal(RunSignal::CancelRefused("no".into())),
        3 => (1_u64..9, any::<bool>())
            .prop_map(|(generation, spool)| NodeInput::Signal(RunSignal::Connected(connection(generation, spool)))),
        2 => signal(RunSignal::Disconnected),
    ]
}

proptest! {
    /// Whatever comes in: one end at most and nothing after it; a resend only where nothing ever arrived; a timer that
    /// always lies ahead after a tick.
    #[test]
    fn a_node_keeps_its_promises(
        recovered in any::<bool>(),
        linked in any::<bool>(),
        steps in proptest::collection::vec((input(), 0_i64..200), 0..60),
    ) {
        let rules = rules();
        let first = facts(linked.then(|| connection(1, true)));
        let (mut node, mut effects) = if recovered { Node::recover(first, start()) } else { Node::start(first) };
        let mut now = start();
        let (mut over, mut arrived) = (false, false);
        for (input, pause) in steps {
            for effect in effects.drain(..) {
                prop_assert!(!over, "nothing follows the end");
                match effect {
                    NodeEffect::End { .. } => over = true,
                    NodeEffect::RecordAccepted => {
                        prop_assert!(!arrived, "recorded once");
                        arrived = true;
                    }
                    NodeEffect::RecordResend(deadline) => {
                        prop_assert!(!arrived, "what arrived is never sent again");
                        prop_assert!(deadline > now);
                    }
                    NodeEffect::Send | NodeEffect::Ask | NodeEffect::Cancel | NodeEffect::CatalogReady => {}
                }
            }
            prop_assert_eq!(over, node.is_over());
            now += TimeDelta::seconds(pause);
            let was_tick = matches!(input, NodeInput::Tick);
            let (next, stepped) = node.step(input, now, &rules);
            node = next;
            match stepped {
                Ok(new) => effects = new,
                Err(NodeRefusal::Over) => prop_assert!(over),
                Err(NodeRefusal::NothingToResend) => {}
            }
            if was_tick {
                prop_assert!(node.wake(&rules).is_none_or(|wake| wake > now), "a tick leaves nothing due: {:?}", node);
            }
        }
    }

    /// Left alone, with or without a session, a run ends within a bound that follows from the rules.
    #[test]
    fn a_node_is_never_stuck(steps in proptest::collection::vec((input(), 0_i64..200), 0..20)) {
        let rules = rules();
        let (mut node, _) = Node::start(facts(Some(connection(1, true))));
        let mut now = start();
        for (input, pause) in steps {
            now += TimeDelta::seconds(pause);
            let commits = matches!(node, Node::Resending(_));
            node = node.step(input, now, &rules).0;
            if commits {
                node = node.step(NodeInput::ResendCommitted, now, &rules).0;
            }
        }
        if matches!(node, Node::Resending(_)) {
            node = node.step(NodeInput::ResendCommitted, now, &rules).0;
        }
        let bound = now + rules.run_timeout + rules.connect_timeout + rules.cancel_timeout + rules.lost_contact;
        for _ in 0..2_000 {
            let Some(wake) = node.wake(&rules) else { break };
            now = now.max(wake);
            node = node.step(NodeInput::Tick, now, &rules).0;
        }
        prop_assert!(node.is_over() && now <= bound, "{:?} at {}", node, now);
    }
}

#[test]
fn a_frame_that_was_never_sent_waits_for_a_newer_session() {
    let rules = rules();
    let (node, _) = Node::start(facts(Some(connection(3, true))));
    let step = |node: Node, signal, seconds| {
        node.step(NodeInput::Signal(signal), start() + TimeDelta::seconds(seconds), &rules)
    };
    let (node, effects) = step(node, RunSignal::Unsent, 100);
    assert_eq!(effects.unwrap(), []);
    let (node, effects) = step(node, RunSignal::Connected(connection(3, true)), 110);
    assert_eq!(effects.unwrap(), [], "the session that did not take it");
    let (_, effects) = step(node.clone(), RunSignal::Connected(connection(4, true)), 120);
    assert_eq!(effects.unwrap(), [NodeEffect::Send]);
    let (node, _) = step(node, RunSignal::Disconnected, 120);
    let (node, effects) = node.step(NodeInput::Tick, start() + TimeDelta::seconds(130), &rules);
    assert!(node.is_over());
    let [NodeEffect::End { end, hold: false }] = &effects.unwrap()[..] else { panic!("ends without a hold") };
    assert_eq!(end.cause, Some(Cause::NotConnected));
}

#[test]
fn never_stuck_sessions_that_never_take_the_frame_do_not_prolong_the_run() {
    let rules = rules();
    let (mut node, _) = Node::start(facts(Some(connection(1, true))));
    let mut seconds = 0;
    for generation in 2.. {
        seconds += 20;
        let now = start() + TimeDelta::seconds(seconds);
        let inputs = [RunSignal::Unsent, RunSignal::Connected(connection(generation, true))].map(NodeInput::Signal);
        for input in inputs.into_iter().chain([NodeInput::Tick]) {
            node = node.step(input, now, &rules).0;
        }
        if node.is_over() {
            break;
        }
        assert!(seconds < 2 * 3_600, "{node:?}");
    }
    assert!(seconds >= 3_600, "and they have all of its time");
}

#[test]
fn what_did_not_arrive_is_not_sent_again_where_that_could_run_twice() {
    let rules = rules();
    let told = |change: &dyn Fn(&mut Facts)| {
        let mut first = facts(Some(connection(1, true)));
        change(&mut first);
        let (node, _) = Node::recover(first, start());
        let answer = NodeInput::Signal(RunSignal::Status(StatusAnswer::NeverArrived));
        let effects = node.step(answer, start() + TimeDelta::seconds(1), &rules).1.unwrap();
        match &effects[..] {
            [NodeEffect::RecordResend(_)] => "resend",
            [NodeEffect::End { end, .. }] => end.cause.unwrap().name(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(told(&|_| {}), "resend");
    assert_eq!(told(&|facts| facts.accepted = true), "outcome_unknown");
    assert_eq!(told(&|facts| facts.started_at -= TimeDelta::hours(1)), "outcome_unknown");
    assert_eq!(told(&|facts| facts.spool = Some("another".into())), "outcome_unknown");
    assert_eq!(told(&|facts| facts.contact.link.as_mut().unwrap().contended = true), "outcome_unknown");
    assert_eq!(told(&|facts| facts.stopping = true), "undeliverable");
}

#[test]
fn what_an_agent_has_and_cannot_tell_the_end_of_is_not_sent_again() {
    let (node, _) = Node::recover(facts(Some(connection(1, true))), start());
    let answer = NodeInput::Signal(RunSignal::Status(StatusAnswer::Unknown("the process is gone".into())));
    let effects = node.step(answer, start() + TimeDelta::seconds(1), &rules()).1.unwrap();
    let [NodeEffect::End { end, hold: true }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(end.cause, Some(Cause::OutcomeUnknown));
}

#[test]
fn nothing_is_sent_again_once_the_job_is_being_stopped() {
    let rules = rules();
    let (node, _) = Node::recover(facts(Some(connection(1, true))), start());
    let answer = NodeInput::Signal(RunSignal::Status(StatusAnswer::NeverArrived));
    let (node, effects) = node.step(answer, start() + TimeDelta::seconds(1), &rules);
    assert!(matches!(&effects.unwrap()[..], [NodeEffect::RecordResend(_)]));
    let told = |inputs: &[NodeInput]| {
        let last = inputs.iter().fold((node.clone(), Ok(Vec::new())), |(node, _), input| {
            node.step(input.clone(), start() + TimeDelta::seconds(2), &rules)
        });
        match &last.1.unwrap()[..] {
            [NodeEffect::Send] => "sent",
            [NodeEffect::End { end, hold: false }] => end.cause.unwrap().name(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(told(&[NodeInput::ResendCommitted]), "sent");
    assert_eq!(told(&[NodeInput::ResendRefused]), "undeliverable");
    assert_eq!(told(&[NodeInput::Stopping, NodeInput::ResendCommitted]), "undeliverable");
}

#[test]
fn a_cancel_that_nobody_asked_for_is_not_called_a_stop() {
    let rules = rules();
    let told = |before: &[NodeInput], seconds: i64| {
        let (first, _) = Node::recover(facts(Some(connection(1, true))), start());
        let now = start() + TimeDelta::seconds(seconds);
        let node = before.iter().fold(first, |node, input| node.step(input.clone(), now, &rules).0);
        let answer = RunSignal::Ended(RunOutcome::Canceled { results: json!(null) });
        let effects = node.step(NodeInput::Signal(answer), now, &rules).1.unwrap();
        let [NodeEffect::End { end, hold: false }] = &effects[..] else { panic!("{effects:?}") };
        (end.cause.unwrap(), end.message.contains("the agent reports that the run was canceled"))
    };
    assert_eq!(told(&[NodeInput::Force], 5), (Cause::StoppedByForce, false));
    assert_eq!(told(&[], 5), (Cause::OutcomeUnknown, true));
    assert_eq!(told(&[NodeInput::Stopping], 5), (Cause::OutcomeUnknown, true), "a plain stop cancels nothing");
    assert_eq!(told(&[], 3_601), (Cause::TimedOut, false), "canceled for its deadline, before a restart");
}

#[test]
fn a_final_answer_that_cannot_be_read_leaves_the_outcome_unknown_and_no_hold() {
    let (node, _) = Node::start(facts(Some(connection(1, true))));
    let answer = RunSignal::Ended(RunOutcome::Unreadable { description: "not valid".into() });
    let effects = node.step(NodeInput::Signal(answer), start(), &rules()).1.unwrap();
    let [NodeEffect::End { end, hold: false }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((end.state, end.cause), (NodeState::Errored, Some(Cause::OutcomeUnknown)));
}

#[test]
fn a_loss_that_overtakes_the_news_of_the_sending_ends_the_run() {
    let (node, _) = Node::start(facts(Some(connection(1, true))));
    let words = || RunSignal::Status(StatusAnswer::Unknown("lost".into()));
    let (node, effects) = node.step(NodeInput::Signal(words()), start(), &rules());
    assert_eq!(effects.unwrap(), [], "about a frame that is still queued a query tells nothing");
    let (node, effects) = node.step(NodeInput::Signal(RunSignal::Accepted), start(), &rules());
    assert_eq!(effects.unwrap(), [NodeEffect::RecordAccepted]);
    let effects = node.step(NodeInput::Signal(words()), start(), &rules()).1.unwrap();
    let [NodeEffect::End { end, hold: true }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(end.cause, Some(Cause::OutcomeUnknown));
}
