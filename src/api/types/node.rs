//! A node of a job (API §5.4).

use bunraku_actors::model::{JobId, JobKind, LateAnswer, NodeState, REPORT_COUNTERS};
use bunraku_actors::ports::NodeRecord;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{duration, seconds};
use crate::api::links::Links;

/// One node of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    pub name: String,
    pub state: String,
    pub transport: String,
    pub start_timestamp: Option<String>,
    pub finish_timestamp: Option<String>,
    /// The last change.
    pub timestamp: String,
    /// Seconds, so far or in all; null when it never started.
    pub duration: Option<f64>,
    pub transaction_uuid: Option<String>,
    /// 0 before the node's first event.
    #[serde(rename = "latest-event-id")]
    pub latest_event_id: u64,
    pub details: Map<String, Value>,
    /// Null until the node is over, and for skipped ones.
    pub result: Value,
    /// Why it did not finish; an addition of ours.
    pub cause: Option<String>,
    /// What the agent said after the node had ended without its word; an addition of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late: Option<Late>,
}

/// An agent's word on a run that came too late to count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Late {
    pub timestamp: String,
    /// The state in which the node would have ended, and why.
    pub state: String,
    pub cause: Option<String>,
    pub message: String,
    /// As [`Node::result`].
    pub result: Value,
}

impl Late {
    fn new(late: &LateAnswer, job: JobId, kind: JobKind, links: &Links) -> Self {
        Self {
            timestamp: seconds(late.at),
            state: late.state.name().to_owned(),
            cause: late.cause.map(|cause| cause.name().to_owned()),
            message: late.message.clone(),
            result: with_report_url(late.result.clone(), kind, job, links),
        }
    }
}

impl Node {
    pub(crate) fn new(record: &NodeRecord, job: JobId, kind: JobKind, now: DateTime<Utc>, links: &Links) -> Self {
        let started = record.started_at.filter(|_| record.state != NodeState::Skipped);
        let finished = record.finished_at.filter(|_| record.state != NodeState::Skipped);
        Self {
            name: record.name.as_str().to_owned(),
            state: record.state.name().to_owned(),
            transport: "pcp".to_owned(),
            start_timestamp: started.map(seconds),
            finish_timestamp: finished.map(seconds),
            timestamp: seconds(record.changed_at),
            duration: started.map(|start| duration(finished.unwrap_or(now) - start)),
            transaction_uuid: record.transaction_uuid.clone(),
            latest_event_id: record.latest_event.0,
            details: details(record, job, kind, now, links),
            result: with_report_url(record.result.clone(), kind, job, links),
            cause: record.cause.map(|cause| cause.name().to_owned()),
            late: record.late.as_ref().map(|late| Late::new(late, job, kind, links)),
        }
    }
}

/// `details` by state: every key that some client dereferences is there.
fn details(record: &NodeRecord, job: JobId, kind: JobKind, now: DateTime<Utc>, links: &Links) -> Map<String, Value> {
    let mut details = record.details.as_object().cloned().unwrap_or_default();
    if !record.message.is_empty() {
        details.insert("message".to_owned(), json!(record.message));
    }
    match (record.state, kind) {
        (NodeState::Finished | NodeState::Failed, JobKind::Deploy) => {
            fill_metrics(&mut details);
            details.entry("report-url").or_insert_with(|| json!(report_url(job, links)));
        }
        (NodeState::Skipped, _) => {
            details.insert("detail".to_owned(), json!(record.message));
            if kind == JobKind::Deploy {
                fill_metrics(&mut details);
            }
        }
        (NodeState::Running, _) => {
            let so_far = record.started_at.map_or(0, |start| (now - start).num_seconds().max(0));
            details.insert("run-time".to_owned(), json!(so_far));
        }
        (NodeState::Finished | NodeState::Failed, JobKind::Task)
        | (NodeState::New | NodeState::Ready | NodeState::Errored, _) => {}
    }
    details
}

fn fill_metrics(details: &mut Map<String, Value>) {
    let metrics = details.entry("metrics").or_insert_with(|| json!({}));
    if !metrics.is_object() {
        *metrics = json!({});
    }
    if let Some(metrics) = metrics.as_object_mut() {
        for counter in REPORT_COUNTERS {
            metrics.entry(counter).or_insert(json!(0));
        }
    }
}

/// Without a console, the report of a run is the report of its job on this service.
fn report_url(job: JobId, links: &Links) -> String {
    links.of_job(job, "report").id
}

/// Adds `report-url` to the summary of a Puppet run; anything else comes back as it was.
pub(super) fn with_report_url(mut summary: Value, kind: JobKind, job: JobId, links: &Links) -> Value {
    if let (JobKind::Deploy, Some(object)) = (kind, summary.as_object_mut())
        && object.contains_key("metrics")
        && !object.contains_key("_error")
    {
        object.entry("report-url").or_insert_with(|| json!(report_url(job, links)));
    }
    summary
}
