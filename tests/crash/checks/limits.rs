//! Limits hold exactly: how many real executions overlapped, and in which order they came.
//!
//! A limit counts from the committed start of a run to its committed end, or to the end of its hold; the execution lies
//! within, but for a hold that ran out. So what was seen at once is never more than what was counted.

use std::collections::BTreeMap;

use super::{CLAIM_NOTHING, Known, Violations};
use crate::evidence::{Evidence, Job, NodeRow};
use crate::rules;
use crate::runs_log::Execution;
use crate::timeline::{Blow, Timeline};

/// An execution as far as a limit must count it, in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Span<'a> {
    from: i64,
    until: i64,
    execution: &'a Execution,
}

pub(super) fn check<'a>(evidence: &'a Evidence, known: &Known<'_>, timeline: &Timeline) -> Violations {
    let mut groups: BTreeMap<String, (usize, Vec<Span<'a>>)> = BTreeMap::new();
    let mut add = |group: String, limit: usize, span: Span<'a>| {
        groups.entry(group).or_insert_with(|| (limit, Vec::new())).1.push(span);
    };
    for execution in &evidence.executions {
        let Some((job, name, row)) = known.starts.get(execution.run.as_str()) else { continue };
        let span = Span { from: execution.begin, until: until(execution, row, evidence, timeline), execution };
        let class = if job.kind() == "task" { rules::CONCURRENT_TASKS } else { rules::CONCURRENT_RUNS };
        add(format!("{}s", job.kind()), class, span);
        add(format!("{}s on {name}", job.kind()), 1, span);
        if let Some(own) = job.shown["options"]["concurrency"].as_u64() {
            add(format!("runs of job {}", job.number), usize::try_from(own).unwrap(), span);
        }
        if job.kind() == "deploy" {
            add("compiles".to_owned(), rules::CONCURRENT_COMPILES, compiling(span, row, name));
        }
    }
    let mut found = Vec::new();
    for (group, (limit, spans)) in &groups {
        let most = most_at_once(spans);
        if most.len() > *limit {
            let shown: Vec<&Execution> = most.iter().map(|span| span.execution).collect();
            found.push(format!("{} {group} at once, where {limit} may be: {shown:?}", most.len()));
        }
    }
    found.extend(evidence.jobs.values().flat_map(|job| order(job, known)));
    found
}

/// When an execution was over, or need not be counted any longer.
fn until(execution: &Execution, row: &NodeRow, evidence: &Evidence, timeline: &Timeline) -> i64 {
    let nanos = |micros: i64| micros * 1_000;
    let power_cut = timeline.blows(&execution.node).into_iter().filter_map(|(at, blow)| {
        let fatal = matches!(blow, Blow::Rebooted | Blow::Reinstalled);
        at.timestamp_nanos_opt().filter(|at| fatal && *at > execution.begin)
    });
    // One that was killed without a word lived at least until its node lost power.
    let over = execution.end.map(|(at, _)| at).or_else(|| power_cut.min()).unwrap_or(execution.begin);
    if !CLAIM_NOTHING.contains(&row.cause.as_deref().unwrap_or_default()) {
        return over;
    }
    let hold = i64::try_from(rules::ABANDONED_HOLD.as_nanos()).unwrap();
    let held = row.finished.map_or(i64::MAX, |finished| nanos(finished) + hold);
    // A hold ends with any word of the agent but "running"; a pxp-agent that was killed at the wrong moment calls a run
    // unknown that goes on.
    let disowned = evidence.unknowns.get(&execution.run).copied().unwrap_or(i64::MAX);
    over.min(held).min(disowned)
}

/// The part in which the run counts as compiling.
fn compiling<'a>(span: Span<'a>, row: &NodeRow, name: &str) -> Span<'a> {
    let ended = row.finished.map_or(i64::MAX, |at| at * 1_000);
    let catalog = if name.starts_with('n') {
        span.execution.catalog.unwrap_or(i64::MAX)
    } else {
        let hold = i64::try_from(rules::COMPILE_HOLD.as_nanos()).unwrap();
        row.started.map_or(i64::MIN, |at| at * 1_000 + hold)
    };
    Span { until: span.until.min(ended).min(catalog), ..span }
}

/// The largest set of spans that have a moment in common.
fn most_at_once<'a>(spans: &[Span<'a>]) -> Vec<Span<'a>> {
    let at = |moment: i64| spans.iter().filter(move |span| span.from <= moment && moment < span.until);
    let fullest = spans.iter().max_by_key(|span| at(span.from).count());
    fullest.map(|span| at(span.from).copied().collect()).unwrap_or_default()
}

/// No node runs before those that it depends on have finished.
fn order(job: &Job, known: &Known<'_>) -> Violations {
    if job.kind() != "deploy" || job.shown["environment"]["name"] != "production" {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (name, row) in job.nodes() {
        let Some(execution) = known.executions(row.run.as_ref()).first() else { continue };
        for producer in crate::site::dependencies_of(name) {
            let Some((_, first)) = job.nodes().find(|(other, _)| other == producer) else { continue };
            let ended = known.executions(first.run.as_ref()).first().and_then(|one| one.end);
            if first.state != "finished" || ended.is_none_or(|(at, _)| at > execution.begin) {
                found.push(format!("job {}: {name} ran before {producer} had finished", job.number));
            }
        }
    }
    found
}
