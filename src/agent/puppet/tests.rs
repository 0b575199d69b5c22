//! Reports made by hand, with every trap that a real Puppet sets.

use std::fs;

use chrono::{TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::judge::judge;
use super::*;

const JOB: &str = "7";

struct Lab {
    directory: tempfile::TempDir,
    context: Context,
}

impl Lab {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let paths =
            Paths { report: file("report.yaml"), run_lock: file("run.lock"), disabled_lock: file("disabled.lock") };
        let context = Context {
            environment: Some("production".into()),
            job_id: Some(JOB.into()),
            previous_uuid: Some("0d459f29-0000-4000-8000-000000000001".into()),
            started: Utc::now(),
            paths,
        };
        Self { directory, context }
    }

    fn judge(&self, exit_code: i64, report: &str) -> Value {
        fs::write(&self.context.paths.report, report).unwrap();
        self.judge_as_is(exit_code, false, "")
    }

    fn judge_as_is(&self, exit_code: i64, canceled: bool, output: &str) -> Value {
        match judge(&self.context, exit_code, canceled, output) {
            Outcome::Results { results, exitcode } => {
                assert_eq!(exitcode != 0, results.get("error_type").is_some(), "{results}");
                results
            }
            other => panic!("{other:?}"),
        }
    }
}

fn report(changes: &[(&str, &str)]) -> String {
    let now = (Utc::now() + TimeDelta::milliseconds(5)).to_rfc3339();
    let mut fields = vec![
        ("host", "web1".to_owned()),
        ("time", format!("'{now}'")),
        ("configuration_version", "1924963200".to_owned()),
        ("transaction_uuid", "0d459f29-0000-4000-8000-000000000002".to_owned()),
        ("report_format", "12".to_owned()),
        ("status", "changed".to_owned()),
        ("transaction_completed", "true".to_owned()),
        ("noop", "false".to_owned()),
        ("noop_pending", "false".to_owned()),
        ("environment", "production".to_owned()),
        ("job_id", "'7'".to_owned()),
    ];
    for (name, value) in changes {
        fields.retain(|(field, _)| field != name);
        if !value.is_empty() {
            fields.push((name, (*value).to_owned()));
        }
    }
    let head: String = fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("--- !ruby/object:Puppet::Transaction::Report\n{head}{BODY}")
}

const BODY: &str = "\
logs:
- !ruby/object:Puppet::Util::Log
  level: :err
  message: secret in a log
metrics:
  resources: !ruby/object:Puppet::Util::Metric
    name: resources
    label: Resources
    values:
    - - total
      - Total
      - 8
    - - changed
      - Changed
      - 1
resource_statuses:
  File[/etc/motd]: !ruby/object:Puppet::Resource::Status
    title: \"/etc/motd\"
    file: \"/code/site.pp\"
    line: 4
    resource_type: File
    containment_path: &1
    - Stage[main]
    - Motd
    - File[/etc/motd]
    events:
    - property: content
      previous_value: \"{sha256}aa11\"
      desired_value: \"{sha256}bb22\"
      message: content changed '{sha256}aa11' to '{sha256}bb22'
      name: content_changed
      status: success
      time: '2031-05-04T10:20:43.796866343+00:00'
      corrective_change: false
      redacted:
    - property: content
      previous_value: my old text
      desired_value: my new text
      message: content changed my old text
      name: content_changed
      status: success
      time: '2031-05-04T10:20:43+00:00'
    - property: password
      desired_value: hidden value
      status: success
      redacted: true
  Service[x]: !ruby/object:Puppet::Resource::Status
    title: x
    file:
    line:
    resource_type: Service
    containment_path: *1
    events:
    - property: ensure
      previous_value: stopped
      desired_value: running
      message: could not start
      name: service_started
      status: failure
      time: '2031-05-04T10:20:44+00:00'
    - property: enable
      status: audit
";

#[test]
fn a_changed_run_is_a_success_with_exit_code_zero() {
    let results = Lab::new().judge(2, &report(&[]));
    assert_eq!(results["exitcode"], 0);
    assert_eq!((&results["status"], &results["environment"]), (&json!("changed"), &json!("production")));
    assert_eq!(results["configuration_version"], "1924963200");
    assert_eq!((&results["metrics"]["total"], &results["metrics"]["failed"]), (&json!(8), &json!(0)));
    assert_eq!(results["version"], 1);
}

#[test]
fn events_come_in_puppetdbs_shape_without_contents_and_secrets() {
    let results = Lab::new().judge(2, &report(&[]));
    let events = results["resource_events"].as_array().unwrap();
    let told: Vec<_> = events.iter().map(|event| (event["property"].as_str(), event["status"].as_str())).collect();
    assert_eq!(
        told,
        [(Some("ensure"), Some("failure")), (Some("content"), Some("success")), (Some("content"), Some("success"))]
    );
    assert_eq!(events[1]["old_value"], "{sha256}aa11");
    assert_eq!(events[1]["containment_path"], json!(["Stage[main]", "Motd", "File[/etc/motd]"]));
    assert_eq!((&events[1]["containing_class"], &events[1]["line"]), (&json!("Motd"), &json!(4)));
    assert_eq!((&events[2]["old_value"], &events[2]["message"]), (&json!("[cut]"), &json!("[cut]")));
    let all = results.to_string();
    for secret in ["my old text", "my new text", "hidden value", "secret in a log"] {
        assert!(!all.contains(secret), "{secret}");
    }
}

#[test]
fn the_traps_are_told_apart() {
    let lab = Lab::new();
    let kind = |results: &Value| results["error_type"].as_str().unwrap_or("none").to_owned();
    for (exit_code, changes, expected, status) in [
        // Nothing to do; a noop run with pending changes.
        (0, vec![("status", "unchanged")], "none", "unchanged"),
        (0, vec![("status", "unchanged"), ("noop", "true"), ("noop_pending", "true")], "none", "unchanged"),
        // The agent ran in production without a word.
        (0, vec![("environment", "staging")], "environment_mismatch", "failed"),
        // Terminated: exit code 0, a report that admits it.
        (0, vec![("status", "failed"), ("transaction_completed", "false")], "transaction_incomplete", "failed"),
        (2, vec![("transaction_completed", "false")], "transaction_incomplete", "failed"),
        // Failed resources, with and without a code that says so.
        (4, vec![("status", "failed")], "agent_exit_non_zero", "failed"),
        (6, vec![("status", "failed")], "agent_exit_non_zero", "failed"),
        (0, vec![("status", "failed")], "agent_exit_non_zero", "failed"),
        // A catalog that does not compile.
        (1, vec![("status", "failed"), ("configuration_version", "null")], "agent_exit_non_zero", "failed"),
        // Reports of other runs.
        (0, vec![("job_id", "'8'")], "no_last_run_report", "unknown"),
        (0, vec![("job_id", "")], "no_last_run_report", "unknown"),
        (0, vec![("transaction_uuid", "0d459f29-0000-4000-8000-000000000001")], "no_last_run_report", "unknown"),
        (0, vec![("time", "'2001-01-01T00:00:00+00:00'")], "no_last_run_report", "unknown"),
        // A job id without quotes is a number to YAML.
        (2, vec![("job_id", "7")], "none", "changed"),
        (2, vec![("transaction_completed", "")], "none", "changed"),
    ] {
        let results = lab.judge(exit_code, &report(&changes));
        assert_eq!((kind(&results).as_str(), results["status"].as_str()), (expected, Some(status)), "{changes:?}");
    }
    assert_eq!(kind(&lab.judge(0, "--- [no, report]\n")), "invalid_last_run_report");
    assert_eq!(kind(&lab.judge(0, "key: [")), "invalid_last_run_report");
}

#[test]
fn without_a_report_the_locks_tell() {
    let lab = Lab::new();
    let refused = lab.judge_as_is(1, false, "Error: Could not parse application options: invalid option: --x\n");
    assert_eq!(refused["error_type"], "invalid_json");
    assert_eq!(refused["error"], "this node's Puppet does not know the option --x; nothing was run");
    let crashed = lab.judge_as_is(1, false, "Error: it is broken\n");
    assert_eq!(crashed["error_type"], "no_last_run_report");
    let error = crashed["error"].as_str().unwrap();
    assert!(error.contains("exit code 1") && error.contains("it is broken"), "{error}");
    let skipped = "Notice: Run of Puppet configuration client already in progress; skipping";
    assert_eq!(lab.judge_as_is(1, false, skipped)["error_type"], "agent_locked");
    fs::write(&lab.context.paths.disabled_lock, r#"{"disabled_message":"frozen by ops"}"#).unwrap();
    let disabled = lab.judge_as_is(1, false, "");
    assert_eq!(disabled["error_type"], "agent_disabled");
    assert!(disabled["error"].as_str().unwrap().contains("frozen by ops"));
    assert_eq!(disabled["metrics"], json!({}));
    // A lock of a process that is not Puppet is none.
    fs::remove_file(&lab.context.paths.disabled_lock).unwrap();
    fs::write(&lab.context.paths.run_lock, std::process::id().to_string()).unwrap();
    assert_eq!(lab.judge_as_is(1, false, "")["error_type"], "no_last_run_report");
}

#[test]
fn a_canceled_run_says_so_whatever_its_report_says() {
    let lab = Lab::new();
    fs::write(&lab.context.paths.report, report(&[("transaction_completed", "false")])).unwrap();
    let results = lab.judge_as_is(0, true, "");
    assert_eq!((&results["canceled"], &results["error_type"]), (&json!(true), &json!("canceled")));
    assert_eq!(results["status"], "failed");
    fs::remove_file(&lab.context.paths.report).unwrap();
    assert_eq!(lab.judge_as_is(137, true, "")["canceled"], true);
}

#[test]
fn many_events_are_cut_and_counted() {
    let event = "    - {property: ensure, previous_value: absent, desired_value: present, status: success}\n";
    let many = format!(
        "{}  User[many]:\n    title: many\n    resource_type: User\n    events:\n{}",
        report(&[]),
        event.repeat(2000)
    );
    let results = Lab::new().judge(2, &many);
    let listed = results["resource_events"].as_array().unwrap().len();
    assert_eq!(listed, 500);
    assert_eq!(results["resource_events_cut"], 2003 - 500);
    assert_eq!(results["resource_events"][0]["status"], "failure", "failures are kept");
}

#[tokio::test]
async fn a_lock_is_waited_for_and_then_given_up() {
    let lab = Lab::new();
    let paths = &lab.context.paths;
    let now = tokio::time::Instant::now();
    lock::wait_for_others(paths, now).await.unwrap();
    // A process that is called like Puppet holds the lock.
    let puppet = lab.directory.path().join("puppet");
    fs::write(&puppet, "#!/bin/sh\nread line\n").unwrap();
    fs::set_permissions(&puppet, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut child = std::process::Command::new(&puppet).stdin(std::process::Stdio::piped()).spawn().unwrap();
    fs::write(&paths.run_lock, child.id().to_string()).unwrap();
    while !lock::is_locked(paths) {
        tokio::task::yield_now().await;
    }
    assert!(lock::wait_for_others(paths, now).await.is_err());
    child.kill().unwrap();
    child.wait().unwrap();
    lock::wait_for_others(paths, now).await.unwrap();
}

proptest! {
    #[test]
    fn no_text_breaks_the_report_parser(text in "(--- )?(!ruby/object:X)?[a-z:\\[\\]{}&*'\" \n-]{0,200}") {
        // Only the absence of a panic counts.
        let _ = report::parse(&text);
    }
}
