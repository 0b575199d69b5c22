//! Nothing lost, never stuck: jobs against what their client was told, and their states, counts and times.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::Violations;
use crate::evidence::{Evidence, Job};
use crate::orders::Told;
use crate::rules;

/// How late the timers of a busy machine may be.
const SLACK: Duration = Duration::from_secs(30);

pub(super) fn check(evidence: &Evidence) -> Violations {
    let mut found = Vec::new();
    let mut by_tag: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for job in evidence.jobs.values() {
        by_tag.entry(job.tag()).or_default().push(job.number);
        found.extend(over(job, evidence).into_iter().map(|wrong| format!("job {}: {wrong}", job.number)));
    }
    for (order, told) in &evidence.orders {
        let jobs = by_tag.remove(&order.tag).unwrap_or_default();
        let fits = match told {
            Told::Accepted(number) => jobs == [*number],
            Told::Nothing => jobs.len() <= 1,
            Told::Refused(_) => jobs.is_empty(),
        };
        if !fits {
            found.push(format!("the job with tag {} was told to be {told:?}; there is {jobs:?}", order.tag));
        }
    }
    for (tag, jobs) in by_tag {
        found.push(format!("nobody asked for jobs {jobs:?} with tag {tag}"));
    }
    for (number, force) in &evidence.stops {
        found.extend(stop_lost(evidence, *number, *force));
    }
    found
}

/// An accepted stop stays accepted, and a job never comes back from it.
fn stop_lost(evidence: &Evidence, number: u64, force: bool) -> Option<String> {
    let job = evidence.jobs.get(&number)?;
    let stop = job.row.stop.as_deref();
    // One that was over stays as it is.
    let kept = job.row.state == "stopped" && (!force || stop == Some("force"));
    let was_over = stop.is_none() || job.row.state == "stopped";
    (!kept && !was_over)
        .then(|| format!("job {number}: its stop (force {force}) was accepted, and it is {}", job.row.state))
}

fn over(job: &Job, evidence: &Evidence) -> Violations {
    let mut found = Vec::new();
    let row = &job.row;
    let states: Vec<&str> = row.states.iter().map(|(state, _)| state.as_str()).collect();
    let rank = |state: &&str| {
        ["new", "ready", "running", "stopping", "stopped", "finished", "failed"].iter().position(|one| one == state)
    };
    let forward = states.windows(2).all(|pair| rank(&pair[0]) < rank(&pair[1]));
    let ends = states.last() == Some(&row.state.as_str());
    let stopping = states.contains(&"stopping");
    if !forward || !ends || stopping != (row.state == "stopped") || stopping != row.stop.is_some() {
        found.push(format!("its states were {states:?}, it is {}, its stop {:?}", row.state, row.stop));
    }
    let all_finished = row.nodes.iter().all(|node| node.state == "finished");
    let expected = if stopping {
        "stopped"
    } else if all_finished {
        "finished"
    } else {
        "failed"
    };
    if row.state != expected {
        found.push(format!("it is {}, by its nodes it should be {expected}", row.state));
    }
    if job.shown_nodes.len() != row.nodes.len() || job.shown["node_count"] != json!(row.nodes.len()) {
        found.push(format!("{} nodes are shown, {} are stored", job.shown_nodes.len(), row.nodes.len()));
    }
    found.extend(counts(job, "node_states", row.nodes.iter().map(|node| Some(node.state.as_str()))));
    found.extend(counts(job, "causes", row.nodes.iter().map(|node| node.cause.as_deref())));
    for (place, node) in row.nodes.iter().enumerate() {
        let shown = job.shown_nodes.get(place).cloned().unwrap_or(Value::Null);
        if shown["state"] != json!(node.state) || shown["cause"] != json!(node.cause) {
            found.push(format!(
                "{} is shown as {} {}, stored as {node:?}",
                job.name(place),
                shown["state"],
                shown["cause"]
            ));
        }
    }
    found.extend(late(job, evidence));
    found
}

/// What the job counts is what its nodes are.
fn counts<'a>(job: &Job, key: &str, words: impl Iterator<Item = Option<&'a str>>) -> Option<String> {
    let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
    for word in words.flatten() {
        *counted.entry(word).or_default() += 1;
    }
    let shown = &job.shown[key];
    (*shown != json!(counted)).then(|| format!("{key} are {shown}, counted are {counted:?}"))
}

/// The bound that follows from the configuration: starts end at the job's time limit, runs at their own.
fn late(job: &Job, evidence: &Evidence) -> Option<String> {
    let finished = job.row.finished?;
    let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap();
    let settled = evidence.last_ready.timestamp_micros() + micros(rules::SETTLE_TIME);
    let last_start = job.created() + micros(rules::JOB_TIMEOUT);
    let to_the_end = rules::RUN_TIMEOUT + rules::STATUS_TIMEOUT + rules::CANCEL_TIMEOUT + SLACK;
    let bound = last_start.max(settled) + micros(to_the_end);
    (finished > bound).then(|| format!("it ended {} s after its bound", (finished - bound) / 1_000_000))
}
