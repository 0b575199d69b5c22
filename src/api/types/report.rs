//! A line of a job's report (API §5.5).

use bunraku_actors::model::NodeState;
use bunraku_actors::ports::NodeRecord;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::seconds;

/// What became of one node, with the resource events of its Puppet report where the agent sends them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReportItem {
    pub node: String,
    pub state: String,
    pub timestamp: String,
    pub start_timestamp: Option<String>,
    pub finish_timestamp: Option<String>,
    /// Objects in PuppetDB's shape, or none at all; never null.
    pub events: Vec<Value>,
    /// Why the events are not known, where they could not be had from PuppetDB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events_error: Option<String>,
}

/// The event with its node's name, as PuppetDB shows it.
fn named(event: &Value, record: &NodeRecord) -> Value {
    let mut event = event.clone();
    if let Some(keys) = event.as_object_mut() {
        keys.insert("certname".to_owned(), record.name.as_str().into());
    }
    event
}

impl From<&NodeRecord> for ReportItem {
    fn from(record: &NodeRecord) -> Self {
        let ran = record.state != NodeState::Skipped;
        Self {
            node: record.name.as_str().to_owned(),
            state: record.state.name().to_owned(),
            timestamp: seconds(record.changed_at),
            start_timestamp: record.started_at.filter(|_| ran).map(seconds),
            finish_timestamp: record.finished_at.filter(|_| ran).map(seconds),
            events: record.resource_events.iter().map(|event| named(event, record)).collect(),
            events_error: None,
        }
    }
}
