//! Never twice, never a lie: what was executed, against what store and API say of each node.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta};

use super::{Known, Violations, expected_code, ran_to};
use crate::evidence::{Evidence, Job, NodeRow};
use crate::rules;
use crate::runs_log::{End, Execution};
use crate::timeline::{Blow, Timeline};

/// How long the service may take to notice that an agent on the same machine is gone.
const NOT_YET_MISSED: TimeDelta = TimeDelta::seconds(1);

pub(super) fn check(evidence: &Evidence, known: &Known<'_>, timeline: &Timeline) -> Violations {
    let mut found = Vec::new();
    twice(evidence, known, &mut found);
    for job in evidence.jobs.values() {
        for (place, (name, row)) in job.nodes().enumerate() {
            let shown = &job.shown_nodes[place];
            let case = Case { job, name, row, executions: known.executions(row.run.as_ref()), timeline };
            let wrong = case.state().err().or_else(|| case.times().err()).or_else(|| case.shown(shown).err());
            if let Some(wrong) = wrong {
                found.push(format!("{}: {wrong}", case.title()));
            }
        }
    }
    found
}

/// No transaction and no node of a job runs twice; no run is unknown to the store or missing in its agent's ledger.
fn twice(evidence: &Evidence, known: &Known<'_>, found: &mut Violations) {
    for (run, executions) in &known.executions {
        if executions.len() > 1 {
            found.push(format!("run {run} was executed {} times on {}", executions.len(), executions[0].node));
        }
        match known.starts.get(run) {
            None => {
                found.push(format!("run {run} was executed on {}, and the store has no such start", executions[0].node))
            }
            Some((job, name, _)) => {
                let first = executions[0];
                if (*name, job.kind(), job.tag()) != (first.node.as_str(), first.kind.as_str(), first.tag) {
                    found.push(format!("run {run} is {name}'s in job {}, and was executed as {first:?}", job.number));
                }
            }
        }
    }
    let mut by_node: BTreeMap<(u64, &str), u32> = BTreeMap::new();
    for execution in &evidence.executions {
        *by_node.entry((execution.tag, &execution.node)).or_default() += 1;
    }
    for ((tag, node), times) in by_node.iter().filter(|(_, times)| **times > 1) {
        found.push(format!("the job with tag {tag} ran {times} times on {node}"));
    }
    let mut lines: BTreeMap<&str, u32> = BTreeMap::new();
    for line in &evidence.ledgers {
        *lines.entry(&line.run).or_default() += 1;
        match known.starts.get(line.run.as_str()) {
            Some((_, name, _)) if *name == line.node => {}
            _ => found.push(format!(
                "the ledger of {} has run {}, which the store does not know as its",
                line.node, line.run
            )),
        }
    }
    for (run, times) in lines.iter().filter(|(_, times)| **times > 1) {
        found.push(format!("run {run} is in its agent's ledger {times} times"));
    }
    let native =
        |execution: &&Execution| evidence.site_nodes.iter().any(|node| node.native && node.name == execution.node);
    for execution in evidence.executions.iter().filter(native) {
        if !lines.contains_key(execution.run.as_str()) {
            found.push(format!(
                "run {} was executed on {}, and is not in its agent's ledger",
                execution.run, execution.node
            ));
        }
    }
}

/// One node of one job.
struct Case<'a> {
    job: &'a Job,
    name: &'a str,
    row: &'a NodeRow,
    executions: &'a [&'a Execution],
    timeline: &'a Timeline,
}

impl Case<'_> {
    fn title(&self) -> String {
        let run = self.row.run.as_deref().unwrap_or("never started");
        let cause = self.row.cause.as_deref().unwrap_or("no cause");
        format!(
            "job {}, {} ({run}), {}, {cause}, executed as {:?}",
            self.job.number, self.name, self.row.state, self.executions
        )
    }

    /// What the state claims is what happened.
    fn state(&self) -> Result<(), String> {
        match (self.row.state.as_str(), self.row.cause.as_deref()) {
            ("finished", None) => self.ran(0),
            ("failed", Some("run_failed")) => self.ran(1),
            ("errored", Some("not_connected" | "task_files_unreachable" | "refused_by_agent")) => self.never_ran(),
            ("errored", Some("undeliverable")) => self.never_ran(),
            ("errored", Some("stopped_by_force")) => self.stopped("force").and_then(|()| self.at_most_once()),
            ("errored", Some("abandoned")) => self.stopped("force"),
            ("errored", Some("timed_out")) => self.past_its_time(),
            ("errored", Some("outcome_unknown")) => self.unknown_for_a_reason(),
            ("errored", Some("contact_lost")) => Ok(()),
            ("skipped", Some("dependency_failed")) => self.never_ran().and_then(|()| self.failed_dependency()),
            ("skipped", Some("job_stopped")) => self.never_ran().and_then(|()| self.stopped("")),
            ("skipped", Some("job_timed_out")) => self.never_ran().and_then(|()| self.job_past_its_time()),
            _ => Err("no node ends so in this test".to_owned()),
        }
    }

    fn ran(&self, code: u8) -> Result<(), String> {
        let run = self.row.run.as_deref().unwrap_or_default();
        match self.executions {
            [one] if ran_to(one, code) && expected_code(run) == code => Ok(()),
            _ => Err(format!("it did not run to its end with {code}, exactly once")),
        }
    }

    fn never_ran(&self) -> Result<(), String> {
        if self.executions.is_empty() { Ok(()) } else { Err("it ran".to_owned()) }
    }

    fn at_most_once(&self) -> Result<(), String> {
        if self.executions.len() <= 1 { Ok(()) } else { Err("it ran more than once".to_owned()) }
    }

    fn stopped(&self, mode: &str) -> Result<(), String> {
        match self.job.row.stop.as_deref() {
            Some(stop) if mode.is_empty() || stop == mode => Ok(()),
            stop => Err(format!("the job's stop is {stop:?}")),
        }
    }

    fn past_its_time(&self) -> Result<(), String> {
        let timeout =
            self.job.shown["options"]["timeout"].as_i64().unwrap_or(rules::RUN_TIMEOUT.as_secs().cast_signed());
        match (self.row.started, self.row.finished) {
            (Some(started), Some(finished)) if finished - started >= timeout * 1_000_000 => Ok(()),
            _ => Err(format!("its {timeout} s were not over")),
        }
    }

    fn job_past_its_time(&self) -> Result<(), String> {
        let past = self.job.row.finished.is_some_and(|at| at - self.job.created() >= micros(rules::JOB_TIMEOUT));
        if past { Ok(()) } else { Err("the job's time was not over".to_owned()) }
    }

    /// Our own agent loses no outcome unless its node loses power or its disk.
    fn unknown_for_a_reason(&self) -> Result<(), String> {
        let native = self.name.starts_with('n');
        let since = self.row.started.and_then(DateTime::from_timestamp_micros);
        let blows = self.timeline.blows(self.name);
        let reason = blows.iter().any(|(at, blow)| {
            // A start may be committed for a session whose agent is gone already and is not yet missed.
            let fatal = matches!(blow, Blow::Rebooted | Blow::Reinstalled);
            fatal && since.is_some_and(|since| *at + NOT_YET_MISSED >= since)
        });
        if !native || reason {
            Ok(())
        } else {
            Err("nothing befell the node that could cost it the outcome".to_owned())
        }
    }

    fn failed_dependency(&self) -> Result<(), String> {
        let producers = crate::site::dependencies_of(self.name);
        let bad = |(name, row): (&str, &NodeRow)| producers.contains(&name) && row.state != "finished";
        if self.job.nodes().any(bad) { Ok(()) } else { Err("every node that it depends on finished".to_owned()) }
    }

    /// The run lies between its committed start and the end that the agent told.
    fn times(&self) -> Result<(), String> {
        let told = !super::CLAIM_NOTHING.contains(&self.row.cause.as_deref().unwrap_or_default());
        for execution in self.executions {
            if self.row.started.is_none_or(|started| execution.begin / 1_000 < started) {
                return Err("it began before its start was committed".to_owned());
            }
            let late = |(end, _): (i64, End)| self.row.finished.is_none_or(|finished| end / 1_000 > finished);
            if told && execution.end.is_some_and(late) {
                return Err("it ended after the end that its agent told".to_owned());
            }
        }
        Ok(())
    }

    /// The result that the API shows is this run's.
    fn shown(&self, node: &serde_json::Value) -> Result<(), String> {
        let run = self.row.run.as_deref();
        let ran = matches!(self.row.state.as_str(), "finished" | "failed");
        if ran && self.job.kind() == "task" && node["result"]["run"].as_str() != run {
            return Err(format!("the result is another run's: {}", node["result"]));
        }
        if ran && self.job.kind() == "deploy" && node["transaction_uuid"].as_str() != run {
            return Err(format!("the report is another run's: {}", node["transaction_uuid"]));
        }
        let late = &node["late"];
        let code = if late["state"] == "finished" { 0 } else { 1 };
        let claims = matches!(late["state"].as_str(), Some("finished" | "failed"));
        if claims && !matches!(self.executions, [one] if ran_to(one, code)) {
            return Err(format!("what was told late is not so: {late}"));
        }
        Ok(())
    }
}

fn micros(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap()
}
