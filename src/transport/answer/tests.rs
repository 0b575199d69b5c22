//! Answers as real agents send them, and answers that nobody should send.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const LIMIT: usize = 1 << 20;

fn puppet(status: &str, exitcode: i64) -> Value {
    json!({"time": "2031-05-04T03:15:43.796866343+00:00", "transaction_uuid": "00000039-0000-4000-8000-000000000000",
           "environment": "production", "status": status, "metrics": {"total": 8, "changed": 1},
           "exitcode": exitcode, "version": 1})
}

fn status(results: Value) -> StatusAnswer {
    parse_status(&results, JobKind::Task, false, LIMIT)
}

fn fault(msg: &str) -> String {
    json!({"_error": {"kind": EXECUTION_ERROR_KIND, "details": {}, "msg": msg}}).to_string()
}

#[test]
fn puppet_results_are_read_and_unknown_values_left_out() {
    let RunOutcome::Puppet(outcome) = parse_results(puppet("changed", 0), JobKind::Deploy, false, LIMIT) else {
        panic!("these are Puppet's results")
    };
    assert_eq!((outcome.status.as_str(), outcome.exitcode), ("changed", 0));
    assert_eq!(outcome.transaction_uuid.as_deref(), Some("00000039-0000-4000-8000-000000000000"));
    assert_eq!(outcome.metrics["total"], 8);

    let disabled = json!({"time": "unknown", "transaction_uuid": "unknown", "environment": "unknown", "status": "unknown",
        "metrics": {}, "exitcode": 1, "version": 1, "error_type": "agent_disabled", "error": "Puppet agent is disabled"});
    let RunOutcome::Puppet(outcome) = parse_results(disabled, JobKind::Deploy, false, LIMIT) else {
        panic!("a Puppet run's")
    };
    assert_eq!((outcome.transaction_uuid, outcome.environment), (None, None));
    assert_eq!(outcome.error_type.as_deref(), Some("agent_disabled"));
}

#[test]
fn task_results_are_read_and_bounded() {
    let results = json!({"exitcode": 3, "stdout": "x".repeat(50), "stderr": "oops\n"});
    let expected = TaskOutcome { exitcode: 3, stdout: "x".repeat(50), stderr: "oops\n".into() };
    assert_eq!(parse_results(results.clone(), JobKind::Task, false, LIMIT), RunOutcome::Task(expected));
    let RunOutcome::Task(outcome) = parse_results(results, JobKind::Task, false, 20) else {
        panic!("a task's results")
    };
    assert!(
        outcome.stdout.ends_with("xx\n… [cut by bunraku: 50 bytes in all]\n") && outcome.stderr == "oops\n",
        "{outcome:?}"
    );
    let silent = RunOutcome::Task(TaskOutcome::default());
    assert_eq!(parse_results(json!({"exitcode": 0}), JobKind::Task, false, LIMIT), silent);
}

#[test]
fn invalid_results_leave_the_outcome_unknown_with_the_reason() {
    for (results, kind) in [
        (json!("text"), JobKind::Task),
        (json!({"exitcode": "0"}), JobKind::Task),
        (json!({"exitcode": 0}), JobKind::Deploy),
        (json!(null), JobKind::Deploy),
    ] {
        let outcome = parse_results(results, kind, false, LIMIT);
        assert!(
            matches!(&outcome, RunOutcome::Unreadable { description } if description.starts_with("the agent's answer is not valid: ")),
            "{outcome:?}"
        );
    }
}

#[test]
fn status_answers_tell_five_things_apart() {
    let id = "00000014-0000-4000-8000-000000000000";
    assert_eq!(status(json!({"transaction_id": id, "status": "running"})), StatusAnswer::Running);
    let never = json!({"transaction_id": id, "status": "unknown", "stdout": fault(NO_RESULTS_DIRECTORY)});
    assert_eq!(status(never), StatusAnswer::NeverArrived);
    let lost =
        json!({"transaction_id": id, "status": "unknown", "stdout": fault("task process is not running, but …")});
    assert_eq!(status(lost), StatusAnswer::Unknown("task process is not running, but …".into()));
    let refused = json!({"transaction_id": id, "status": "failure", "exitcode": -1, "stdout": fault("no file")});
    assert_eq!(status(refused), StatusAnswer::Over(RunOutcome::Refused { description: "no file".into() }));
    let failed =
        json!({"transaction_id": id, "status": "failure", "exitcode": 3, "stdout": "{\"a\":1}\n", "stderr": "oops"});
    let outcome = TaskOutcome { exitcode: 3, stdout: "{\"a\":1}\n".into(), stderr: "oops".into() };
    assert_eq!(status(failed), StatusAnswer::Over(RunOutcome::Task(outcome)));
    assert!(matches!(status(json!({"status": "asleep"})), StatusAnswer::Unknown(text) if text.contains("not valid")));
}

#[test]
fn the_status_of_a_puppet_run_is_its_results() {
    let text = puppet("changed", 0).to_string();
    let results = json!({"transaction_id": "t", "status": "success", "exitcode": 0, "stdout": text});
    let expected = StatusAnswer::Over(parse_results(puppet("changed", 0), JobKind::Deploy, false, LIMIT));
    assert_eq!(parse_status(&results, JobKind::Deploy, false, LIMIT), expected);
    let as_task = TaskOutcome { exitcode: 0, stdout: text, stderr: String::new() };
    let known = parse_status(&results, JobKind::Task, false, LIMIT);
    assert_eq!(known, StatusAnswer::Over(RunOutcome::Task(as_task)), "a task may print what it likes");
    let noise = json!({"transaction_id": "t", "status": "success", "exitcode": 0, "stdout": "no JSON"});
    let StatusAnswer::Over(outcome) = parse_status(&noise, JobKind::Deploy, false, LIMIT) else { panic!("over") };
    assert!(matches!(outcome, RunOutcome::Unreadable { .. }));
    let endless = json!({"transaction_id": "t", "status": "success", "stdout": "x"});
    assert!(matches!(status(endless), StatusAnswer::Over(RunOutcome::Unreadable { .. })), "no exit code");
}

#[test]
fn only_our_own_agents_confirm_cancels() {
    let results = json!({"canceled": true, "exitcode": 143});
    let of = |may_cancel| parse_results(results.clone(), JobKind::Task, may_cancel, LIMIT);
    assert_eq!(of(true), RunOutcome::Canceled { results: results.clone() });
    assert!(matches!(of(false), RunOutcome::Task(outcome) if outcome.exitcode == 143), "not theirs to say");
    let answer = json!({"transaction_id": "t", "status": "failure", "exitcode": 143, "canceled": true,
        "stdout": results.to_string()});
    let ours = parse_status(&answer, JobKind::Task, true, LIMIT);
    assert_eq!(ours, StatusAnswer::Over(RunOutcome::Canceled { results }));
    assert!(matches!(parse_status(&answer, JobKind::Task, false, LIMIT), StatusAnswer::Over(RunOutcome::Task(_))));
    let printed = json!({"transaction_id": "t", "status": "success", "exitcode": 0, "stdout": "{\"canceled\":true}"});
    let printed = parse_status(&printed, JobKind::Task, true, LIMIT);
    assert!(matches!(printed, StatusAnswer::Over(RunOutcome::Task(_))), "a task may print what it likes");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(stdout in ".{0,80}", exitcode in proptest::option::of(any::<i64>()), deploy: bool) {
        let kind = if deploy { JobKind::Deploy } else { JobKind::Task };
        let results = json!({"transaction_id": "t", "status": "failure", "exitcode": exitcode, "stdout": stdout});
        let _ = parse_status(&results, kind, true, 10);
        let _ = parse_results(results, kind, true, 10);
    }
}

#[test]
fn everything_that_is_kept_of_a_run_is_bounded() {
    const KEPT: usize = 8 * 1024 + 100;
    let long = "ä".repeat(50_000);
    let mut results = puppet("failed", 1);
    results["error_type"] = json!("agent_failed_to_start");
    results["error"] = json!(long);
    results["resource_events"] = json!(vec![json!({"message": "x".repeat(100)}); 50]);
    results["resource_events_cut"] = json!(7);
    results["metrics"]["noise"] = json!(long);
    for n in 0..500 {
        results["metrics"][format!("m{n}")] = json!(n);
    }
    let RunOutcome::Puppet(outcome) = parse_results(results, JobKind::Deploy, false, 1_000) else { panic!("Puppet's") };
    let error = outcome.error.unwrap();
    assert!(error.len() <= KEPT && error.contains("100000 bytes in all"), "{}", error.len());
    assert_eq!((outcome.resource_events.len(), outcome.resource_events_cut), (8, 42 + 7));
    assert_eq!(outcome.metrics.len(), 100);
    assert!(!outcome.metrics.contains_key("noise"));

    let canceled = json!({"canceled": true, "exitcode": 143, "stdout": long, "stderr": long, "more": long});
    let RunOutcome::Canceled { results } = parse_results(canceled, JobKind::Task, true, 1_000) else { panic!("ours") };
    assert!(results.to_string().len() <= 1_300 && results["exitcode"] == 143, "{results}");

    let answer = |state: &str| json!({"transaction_id": "t", "status": state, "exitcode": 1, "stdout": fault(&long)});
    let StatusAnswer::Unknown(text) = status(answer("unknown")) else { panic!("unknown") };
    assert!(text.len() <= KEPT && text.contains("100000 bytes in all"));
    let StatusAnswer::Over(RunOutcome::Refused { description }) = status(answer("failure")) else { panic!("refused") };
    assert!(description.len() <= KEPT);
    let RunOutcome::Unreadable { description } = parse_results(json!(long), JobKind::Task, false, LIMIT) else {
        panic!("no results")
    };
    assert!(description.len() <= KEPT);
}
