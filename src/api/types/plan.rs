//! Plan jobs and their events (API §6.2–6.4).

use bunraku_actors::model::EnvironmentName;
use bunraku_actors::ports::PlanSummary;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{EnvironmentRef, Link, OwnerView, duration, seconds};
use crate::api::links::Links;
use crate::api::records::{PlanEvent, PlanRecord};

/// A plan in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanItem {
    pub id: String,
    pub name: String,
    /// Whether the caller may run it, elsewhere.
    pub permitted: bool,
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanView {
    pub id: String,
    pub name: String,
    pub environment: EnvironmentRef,
    /// `description` and `parameters`, where its source tells them.
    pub metadata: Value,
    pub permitted: bool,
}

impl PlanItem {
    pub(crate) fn new(plan: &PlanSummary, permitted: bool, links: &Links) -> Self {
        Self { id: links.plan(&plan.name), name: plan.name.clone(), permitted }
    }
}

impl PlanView {
    pub(crate) fn new(plan: &PlanSummary, environment: &EnvironmentName, permitted: bool, links: &Links) -> Self {
        Self {
            id: links.plan(&plan.name),
            name: plan.name.clone(),
            environment: EnvironmentRef::with_code_id(environment),
            metadata: Value::Object(plan.metadata.clone()),
            permitted,
        }
    }
}

/// A plan job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanJob {
    pub id: String,
    /// Its number as text.
    pub name: String,
    /// `running`, `success` or `failure`.
    pub state: String,
    pub options: Value,
    /// Null while it goes on; absent where results were not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    pub owner: OwnerView,
    /// The last sign of it.
    pub timestamp: String,
    pub created_timestamp: String,
    pub finished_timestamp: Option<String>,
    /// Seconds, so far or in all.
    pub duration: f64,
    pub events: Link,
    pub userdata: Value,
}

impl PlanJob {
    pub(crate) fn new(record: &PlanRecord, with_result: bool, now: DateTime<Utc>, links: &Links) -> Self {
        let spec = &record.spec;
        let mut options = Map::new();
        options.insert("description".into(), json!(spec.description));
        options.insert("plan_name".into(), json!(spec.plan));
        options.insert("parameters".into(), Value::Object(spec.parameters.clone()));
        options.insert("sensitive".into(), json!(spec.sensitive));
        options.insert("scheduled_job_id".into(), Value::Null);
        if let Some(environment) = &spec.environment {
            options.insert("environment".into(), json!(environment));
        }
        let link = links.plan_job(record.id);
        Self {
            events: Link::new(format!("{link}/events")),
            id: link,
            name: record.id.to_string(),
            state: record.state.name().to_owned(),
            options: Value::Object(options),
            result: with_result.then(|| record.result.clone().unwrap_or_default()),
            owner: OwnerView::from(&spec.owner),
            timestamp: seconds(record.changed_at),
            created_timestamp: seconds(spec.created_at),
            finished_timestamp: record.finished_at.map(seconds),
            duration: duration(record.finished_at.unwrap_or(now) - spec.created_at),
            userdata: spec.userdata.clone(),
        }
    }
}

/// An event of a plan job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanEventView {
    /// Its number as text.
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub timestamp: String,
    pub details: Value,
}

impl From<&PlanEvent> for PlanEventView {
    fn from(event: &PlanEvent) -> Self {
        Self {
            id: event.seq.to_string(),
            kind: event.kind.clone(),
            timestamp: seconds(event.at),
            details: event.detail.clone(),
        }
    }
}
