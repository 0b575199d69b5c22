//! Scheduled jobs, in the present shape and in the older one (API §7.1, §7.5).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{OwnerView, seconds};
use crate::api::links::Links;
use crate::api::records::{ScheduleKind, ScheduleRecord, Turn, TurnOutcome};
use crate::api::schedule::Recurrence;

/// A scheduled job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScheduledJob {
    pub id: String,
    /// Its number as text.
    pub name: String,
    pub enabled: bool,
    /// Its turns are passed over for now; an addition of ours.
    pub paused: bool,
    pub environment: String,
    pub owner: OwnerView,
    pub description: String,
    /// `deploy`, `task` or `plan`.
    #[serde(rename = "type")]
    pub kind: String,
    pub input: Value,
    pub userdata: Value,
    /// `start_time`, `interval`; of ours `cron` and `timezone`.
    pub schedule: Value,
    /// `time`; null when nothing is to come.
    pub next_run: Value,
    /// `time` and `job`; null before the first turn.
    pub last_run: Value,
}

impl ScheduledJob {
    pub(crate) fn new(record: &ScheduleRecord, links: &Links) -> Self {
        let spec = &record.spec;
        let mut input = spec.input.clone();
        if spec.kind != ScheduleKind::Deploy {
            input.entry("parameters").or_insert_with(|| json!({}));
            input.entry("sensitive_parameters").or_insert_with(|| json!([]));
        }
        Self {
            id: links.schedule(record.id),
            name: record.id.to_string(),
            enabled: record.enabled,
            paused: spec.paused,
            environment: spec.environment.clone(),
            owner: OwnerView::from(&spec.owner),
            description: spec.description.clone(),
            kind: spec.kind.name().to_owned(),
            input: Value::Object(input),
            userdata: spec.userdata.clone(),
            schedule: schedule(record),
            next_run: record.next_run.map_or(Value::Null, |time| json!({ "time": seconds(time) })),
            last_run: record.last.as_ref().map_or(Value::Null, |turn| last_run(turn, links)),
        }
    }
}

fn schedule(record: &ScheduleRecord) -> Value {
    let spec = &record.spec;
    let mut schedule = Map::new();
    schedule.insert("start_time".into(), json!(seconds(spec.start)));
    schedule.insert("interval".into(), interval(&spec.recurrence));
    if let Recurrence::Cron { expression, zone } = &spec.recurrence {
        schedule.insert("cron".into(), json!(expression));
        schedule.insert("timezone".into(), json!(zone));
    }
    Value::Object(schedule)
}

fn interval(recurrence: &Recurrence) -> Value {
    match recurrence {
        Recurrence::Every { seconds } => json!({ "units": "seconds", "value": seconds }),
        Recurrence::Once | Recurrence::Cron { .. } => Value::Null,
    }
}

fn last_run(turn: &Turn, links: &Links) -> Value {
    let job = match &turn.outcome {
        TurnOutcome::Job(job) => json!({ "id": links.job(*job), "name": job.to_string() }),
        TurnOutcome::Error(error) => json!({ "submission_error": error }),
    };
    json!({ "time": seconds(turn.at), "job": job })
}

/// A scheduled job in the shape of older releases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OlderSchedule {
    pub id: String,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Value>,
    pub scope: Value,
    pub environment: String,
    pub owner: OwnerView,
    pub description: String,
    pub next_run: Option<String>,
    pub scheduled_time: String,
    pub schedule_options: Value,
    pub noop: bool,
    pub job_options: Value,
}

impl OlderSchedule {
    pub(crate) fn new(record: &ScheduleRecord, links: &Links) -> Self {
        let spec = &record.spec;
        let name = spec.input.get("name").cloned();
        let options = match interval(&spec.recurrence) {
            Value::Null => json!({}),
            interval => json!({ "interval": interval }),
        };
        Self {
            id: links.at(&format!("scheduled_jobs/{}", record.id)),
            name: record.id.to_string(),
            kind: spec.kind.name().to_owned(),
            task: name.clone().filter(|_| spec.kind == ScheduleKind::Task),
            plan: name.filter(|_| spec.kind == ScheduleKind::Plan),
            scope: spec.input.get("scope").cloned().unwrap_or_default(),
            environment: spec.environment.clone(),
            owner: OwnerView::from(&spec.owner),
            description: spec.description.clone(),
            next_run: record.next_run.map(seconds),
            scheduled_time: seconds(spec.start),
            schedule_options: options,
            noop: spec.input.get("noop").and_then(Value::as_bool).unwrap_or_default(),
            job_options: Value::Object(spec.input.clone()),
        }
    }
}
