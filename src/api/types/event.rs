//! Events of a job (API §5.6, §12).

use bunraku_actors::model::{EventRecord, EventSeq, JobId, JobKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::node::with_report_url;
use super::seconds;
use crate::api::links::Links;

/// Where a reader goes on: the first event that it has not seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NextEvents {
    /// The URL.
    pub id: String,
    /// The number in it.
    pub event: String,
}

impl NextEvents {
    pub(crate) fn new(job: JobId, start: EventSeq, links: &Links) -> Self {
        Self { id: links.events(job, start), event: start.to_string() }
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its number as text.
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub timestamp: String,
    /// `node` and `detail` for events of nodes.
    pub details: Value,
    pub message: String,
}

impl Event {
    pub(crate) fn new(event: &EventRecord, kind: JobKind, links: &Links) -> Self {
        let details = match &event.node {
            Some(node) => {
                let detail = with_report_url(event.detail.clone(), kind, event.job, links);
                json!({ "node": node, "detail": detail })
            }
            None if event.detail.is_null() => json!({}),
            None => event.detail.clone(),
        };
        Self {
            id: event.seq.to_string(),
            kind: event.kind.name().to_owned(),
            timestamp: seconds(event.at),
            details,
            message: event.message.clone(),
        }
    }
}

/// `GET /jobs/<id>/events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventList {
    #[serde(rename = "next-events")]
    pub next_events: NextEvents,
    pub items: Vec<Event>,
}
