//! `GET /bunraku/v1/nodes/<certname>/why`: the reason for which a node waits, or did not run, from the engine's own state.

use actix_web::web;
use bunraku_actors::handle::{NodeStanding, Standing};
use bunraku_actors::model::{CertName, JobId, JobKind, NodeState};
use bunraku_actors::ports::{JobOrder, JobQuery, JobRecord, NodeQuery, NodeRecord};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::auth::Viewer;
use super::state::State;
use super::types::{millis, seconds};
use super::{Answer, ApiError, ok};

/// So many of the newest jobs are looked at for the last one that had the node.
const JOBS: u64 = 500;
/// So many at once.
const AT_ONCE: u64 = 50;

/// Where a node stands in every job that is not over; without one, how the last job ended for it.
pub(super) async fn one(state: web::Data<State>, _: Viewer, name: web::Path<String>) -> Answer {
    let node = CertName::parse(&name).map_err(|error| ApiError::from(("node", error)))?;
    ok(&about(&state, &node).await?)
}

/// The answer about a node.
pub(super) async fn about(state: &State, node: &CertName) -> Result<Value, ApiError> {
    let left = state.orchestrator.transport().left_at(node);
    let standings = state.orchestrator.standings(node).await?;
    let mut reasons: Vec<Value> = standings.iter().filter_map(|standing| reason(standing, left)).collect();
    if reasons.is_empty() {
        reasons.extend(last_run(state, node).await?.map(|(job, record)| outcome(&job, &record)));
    }
    let connection = state.orchestrator.transport().connection(node);
    let summary = match (reasons.first(), &connection) {
        (Some(reason), _) => {
            format!("job {}: {}", text_of(&reason["job"]), text_of(&reason["text"]))
        }
        (None, Some(_)) => "it is connected, and none of the newest jobs had it".to_owned(),
        (None, None) => format!("it is not connected{}, and none of the newest jobs had it", since(left)),
    };
    Ok(json!({
        "node": node,
        "connected": connection.is_some(),
        "since": connection.as_ref().map(|connection| millis(connection.since)),
        "left": left.map(millis),
        "agent": connection.as_ref().and_then(|connection| connection.agent.clone()),
        "native": connection.is_some_and(|connection| connection.spool.is_some()),
        "summary": summary,
        "reasons": reasons,
    }))
}

/// Since when, where that is known.
fn since(left: Option<DateTime<Utc>>) -> String {
    left.map(|left| format!(" since {}", seconds(left))).unwrap_or_default()
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What a job that is not over says of the node; nothing when the node is through there.
fn reason(of: &NodeStanding, left: Option<DateTime<Utc>>) -> Option<Value> {
    let run = of.kind.run_word();
    let (word, text, details) = match &of.standing {
        Standing::Over => return None,
        Standing::Runs { since, until, away } => {
            let agent = if *away { "; its agent is not connected at the moment" } else { "" };
            let text =
                format!("its {run} goes on since {}, until {} at the latest{agent}", seconds(*since), seconds(*until));
            ("running", text, json!({ "since": seconds(*since), "until": seconds(*until), "away": away }))
        }
        Standing::Stopping => ("job_stopped", "the job is being stopped: it will not start".to_owned(), json!({})),
        Standing::Restored => {
            let text = format!(
                "the job was restored from a backup and starts nothing until somebody resumes it: bunraku job resume {}",
                of.job
            );
            ("restored", text, json!({}))
        }
        Standing::Draining => ("draining", "the service is being drained and starts nothing".to_owned(), json!({})),
        Standing::Away { until } => {
            let text = format!(
                "it is not connected{}; without a connection it is given up at {}",
                since(left),
                seconds(*until)
            );
            ("connection", text, json!({ "until": seconds(*until), "left": left.map(seconds) }))
        }
        Standing::Turn { job } => ("node_turn", turn(*job, of.kind), json!({ "job": job.map(|job| job.to_string()) })),
        Standing::Concurrency { limit } => {
            let text = format!("the job runs as many nodes at once as it may, {limit} (its concurrency)");
            ("concurrency", text, json!({ "limit": limit }))
        }
        Standing::Slot(usage) => {
            let text =
                format!("limits.{} is used up: {} of {}, by all jobs together", usage.limit, usage.used, usage.of);
            (usage.limit, text, json!({ "used": usage.used, "of": usage.of }))
        }
        Standing::Depends { count, on } => {
            ("dependencies", depends(*count, on), json!({ "count": count, "nodes": on }))
        }
        Standing::Next => ("next", "nothing keeps it: it is about to start".to_owned(), json!({})),
    };
    Some(
        json!({ "job": of.job.to_string(), "state": of.state.name(), "reason": word, "text": text, "details": details }),
    )
}

fn turn(job: Option<JobId>, kind: JobKind) -> String {
    let run = kind.run_word();
    match job {
        Some(job) => format!("another {run} goes on there, of job {job}; a node has one at a time"),
        None => format!(
            "an earlier {run} ended there without its agent's word and may go on; it keeps the node until the agent tells, or limits.abandoned_hold is over"
        ),
    }
}

fn depends(count: u32, on: &[CertName]) -> String {
    let names: Vec<&str> = on.iter().take(3).map(CertName::as_str).collect();
    match names[..] {
        [] => "it waits for other nodes".to_owned(),
        [one] if count == 1 => format!("{one} has to finish first"),
        _ => format!("{count} nodes have to finish first, such as {}", names.join(", ")),
    }
}

/// The newest job that had the node, and how it ended there.
pub(super) async fn last_run(state: &State, node: &CertName) -> Result<Option<(JobRecord, NodeRecord)>, ApiError> {
    let store = state.orchestrator.store();
    let mut offset = 0;
    while offset < JOBS {
        let query = JobQuery { offset, limit: Some(AT_ONCE), ..JobQuery::all(JobOrder::Name, true) };
        let page = store.jobs(query).await?;
        if page.items.is_empty() {
            break;
        }
        offset += page.items.len() as u64;
        for job in page.items {
            let query = NodeQuery { only: Some(node.clone()), with_results: false, ..NodeQuery::all(job.id) };
            if let Some(record) = store.nodes(query).await?.items.pop() {
                return Ok(Some((job, record)));
            }
        }
    }
    Ok(None)
}

fn outcome(job: &JobRecord, record: &NodeRecord) -> Value {
    let at = seconds(record.changed_at);
    let text = match record.cause {
        Some(_) if record.message.is_empty() => format!("it is {} since {at}", record.state.name()),
        Some(_) => format!("{} ({at})", record.message),
        None if record.state == NodeState::Finished => {
            format!("it finished its last run at {at}; no job that is not over has it")
        }
        None => format!("it is {} since {at}", record.state.name()),
    };
    json!({
        "job": job.id.to_string(),
        "state": record.state.name(),
        "reason": record.cause.map_or(record.state.name(), |cause| cause.name()),
        "text": text,
        "details": { "timestamp": at },
    })
}
