//! Events: numbers without a gap, an order that makes sense, and every reader saw each of them once.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Violations;
use crate::evidence::{EventRow, Evidence, Job};

pub(super) fn check(evidence: &Evidence) -> Violations {
    let mut found = Vec::new();
    for (place, event) in evidence.events.iter().enumerate() {
        if usize::try_from(event.seq).ok() != Some(place + 1) {
            found.push(format!("event number {} stands where {} should be", event.seq, place + 1));
            break;
        }
    }
    for job in evidence.jobs.values() {
        let own: Vec<&EventRow> = evidence.events.iter().filter(|event| event.job == job.number).collect();
        found.extend(order(job, &own).err().map(|wrong| format!("events of job {}: {wrong}", job.number)));
        found.extend(shown(job, &own));
        if let Some(watched) = evidence.watched.get(&job.number) {
            found.extend(seen(job, &watched.events));
        }
    }
    found
}

fn order(job: &Job, events: &[&EventRow]) -> Result<(), String> {
    let mut running: BTreeMap<usize, bool> = BTreeMap::new();
    let (mut stopping, mut over) = (false, false);
    for event in events {
        let seq = event.seq;
        if over {
            return Err(format!("event {seq} comes after the last one"));
        }
        match (event.kind.as_str(), event.node) {
            ("node_running", Some(_)) if stopping => return Err(format!("event {seq}: a start after the stop")),
            ("node_running", Some(node)) => {
                if running.insert(node, true).is_some() {
                    return Err(format!("event {seq}: {} starts a second time", job.name(node)));
                }
            }
            ("node_finished" | "node_failed" | "node_errored" | "node_skipped", Some(node)) => {
                let state = event.kind.trim_start_matches("node_");
                let row = &job.row.nodes[node];
                match (running.insert(node, false), state) {
                    (Some(true), "finished" | "failed" | "errored") | (None, "errored" | "skipped") => {}
                    before => return Err(format!("event {seq}: {} ends out of {before:?}", job.name(node))),
                }
                if (row.state.as_str(), row.latest_event) != (state, seq) {
                    return Err(format!("event {seq} says {state}, the row of {} says {row:?}", job.name(node)));
                }
            }
            ("job_stopping", None) if !stopping => stopping = true,
            ("job_finished", None) => over = true,
            other => return Err(format!("event {seq} is none that can be: {other:?}")),
        }
    }
    let open = running.values().filter(|open| **open).count();
    if over && open == 0 && running.len() == job.row.nodes.len() {
        return Ok(());
    }
    Err(format!("over: {over}, {open} nodes run on, {} of {} nodes have events", running.len(), job.row.nodes.len()))
}

/// The API shows what the database holds.
fn shown(job: &Job, events: &[&EventRow]) -> Violations {
    let stored: Vec<(String, &str)> = events.iter().map(|event| (event.seq.to_string(), event.kind.as_str())).collect();
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let shown: Vec<(String, String)> =
        job.shown_events.iter().map(|event| (text(event, "id"), text(event, "type"))).collect();
    let same = stored.len() == shown.len()
        && stored.iter().zip(&shown).all(|(one, other)| one.0 == other.0 && one.1 == other.1);
    if same { Vec::new() } else { vec![format!("job {}: the API shows {shown:?}, stored are {stored:?}", job.number)] }
}

/// A reader who came back after every break saw the same as one who asks afterwards.
fn seen(job: &Job, seen: &[Value]) -> Violations {
    if seen == job.shown_events {
        return Vec::new();
    }
    let ids = |events: &[Value]| events.iter().map(|event| event["id"].clone()).collect::<Vec<_>>();
    let different = seen.iter().zip(&job.shown_events).find(|(one, other)| one != other);
    vec![format!(
        "job {}: the stream showed {:?}, the list shows {:?}; first difference {different:?}",
        job.number,
        ids(seen),
        ids(&job.shown_events)
    )]
}
