//! Bodies of scheduled jobs (API §7.3, §7.4) and of the older commands that schedule (§4.8).

use bunraku_actors::model::Owner;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::Object;
use super::common::attached;
use super::plan::{check_wrapped, plan_name};
use super::time as times;
use crate::api::error::ApiError;
use crate::api::records::{ScheduleKind, ScheduleSpec};
use crate::api::schedule::{BadCron, Recurrence};

/// The longest interval and the latest first turn: a hundred years, far from the end of what times can hold.
const FAR: u64 = 100 * 365 * 86_400;
/// Keys of the older commands that are not input.
const NOT_INPUT: [&str; 6] =
    ["environment", "description", "userdata", "scheduled_time", "schedule_options", "schedule"];

/// Checks the body of a new scheduled job, and whether it is enabled from the start; what its input asks for is checked by
/// the caller.
///
/// # Errors
/// 400 naming the key; `invalid-time` for a start in the past.
pub(crate) fn new_schedule(body: &Object, owner: Owner, now: DateTime<Utc>) -> Result<(ScheduleSpec, bool), ApiError> {
    let kind = kind(body.required_text("type")?)?;
    let input = body.map("input")?.ok_or_else(|| ApiError::missing("input"))?.clone();
    let environment = environment(body)?.ok_or_else(|| ApiError::missing("environment"))?;
    let when = schedule(body, now)?.ok_or_else(|| ApiError::missing("schedule"))?;
    let enabled = body.flag("enabled")?.unwrap_or(true);
    Ok((spec(body, owner, kind, input, environment, when)?, enabled))
}

/// Puts a schedule together, with what all bodies call alike.
fn spec(
    body: &Object,
    owner: Owner,
    kind: ScheduleKind,
    input: Map<String, Value>,
    environment: String,
    (start, recurrence): (DateTime<Utc>, Recurrence),
) -> Result<ScheduleSpec, ApiError> {
    check_size(&input)?;
    check_plan(kind, &input)?;
    Ok(ScheduleSpec {
        kind,
        input,
        environment,
        description: body.text("description")?.unwrap_or_default().to_owned(),
        userdata: Value::Object(attached(body, "userdata")?),
        start,
        recurrence,
        paused: body.flag("paused")?.unwrap_or_default(),
        owner,
    })
}

/// Applies a change to what is kept: each key that is given replaces the stored value whole.
///
/// # Errors
/// As for a new one.
pub(crate) fn changed_schedule(
    body: &Object,
    mut spec: ScheduleSpec,
    now: DateTime<Utc>,
) -> Result<(ScheduleSpec, Option<bool>), ApiError> {
    if let Some(input) = body.map("input")? {
        check_size(input)?;
        check_plan(spec.kind, input)?;
        spec.input = input.clone();
    }
    if let Some(environment) = environment(body)? {
        spec.environment = environment;
    }
    if let Some((start, recurrence)) = schedule(body, now)? {
        (spec.start, spec.recurrence) = (start, recurrence);
    }
    if let Some(description) = body.text("description")? {
        spec.description = description.to_owned();
    }
    if body.map("userdata")?.is_some() {
        spec.userdata = Value::Object(attached(body, "userdata")?);
    }
    if let Some(paused) = body.flag("paused")? {
        spec.paused = paused;
    }
    Ok((spec, body.flag("enabled")?))
}

/// The body of a scheduled job out of one of the older commands.
///
/// # Errors
/// 400 naming the key.
pub(crate) fn older_schedule(
    kind: ScheduleKind,
    body: &Object,
    owner: Owner,
    now: DateTime<Utc>,
) -> Result<ScheduleSpec, ApiError> {
    let start = time("scheduled_time", body.required_text("scheduled_time")?, now)?;
    let options = body.object("schedule_options", "schedule_options.")?.unwrap_or_default();
    let recurrence = interval(&options, "interval")?;
    let mut input: Map<String, Value> = body.entries().filter(|(key, _)| !NOT_INPUT.contains(key)).map(owned).collect();
    let wrap = |params: &Map<String, Value>| -> Map<String, Value> {
        params.iter().map(|(name, value)| (name.clone(), json!({ "value": value }))).collect()
    };
    if kind != ScheduleKind::Deploy {
        let name = match kind {
            ScheduleKind::Plan => {
                body.text("plan_name")?.or(body.text("plan")?).ok_or_else(|| ApiError::missing("plan_name"))?
            }
            _ => body.required_text("task")?,
        };
        for key in ["task", "plan", "plan_name", "params"] {
            input.shift_remove(key);
        }
        input.insert("name".into(), json!(name));
        input.insert("parameters".into(), Value::Object(wrap(&attached(body, "params")?)));
    }
    let default = if kind == ScheduleKind::Deploy { None } else { Some("production".to_owned()) };
    let environment = environment(body)?.or(default).ok_or_else(|| ApiError::missing("environment"))?;
    spec(body, owner, kind, input, environment, (start, recurrence))
}

fn owned((key, value): (&str, &Value)) -> (String, Value) {
    (key.to_owned(), value.clone())
}

fn kind(text: &str) -> Result<ScheduleKind, ApiError> {
    ScheduleKind::from_name(text).ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        ApiError::invalid("type", format!("type must be one of deploy, task, plan, not '{shown}'"))
    })
}

fn environment(body: &Object) -> Result<Option<String>, ApiError> {
    Ok(body.text("environment")?.map(str::to_owned))
}

fn check_size(input: &Map<String, Value>) -> Result<(), ApiError> {
    const MOST: usize = 4 * 1024 * 1024;
    let size = serde_json::to_vec(input).map_or(usize::MAX, |json| json.len());
    if size > MOST {
        let msg = format!("input must be at most {MOST} bytes of JSON, not {size}");
        return Err(ApiError::validation(msg, json!({ "key": "input", "size": size, "limit": MOST })));
    }
    Ok(())
}

fn check_plan(kind: ScheduleKind, input: &Map<String, Value>) -> Result<(), ApiError> {
    if kind != ScheduleKind::Plan {
        return Ok(());
    }
    let input = Object::within(input.clone(), "input.");
    plan_name("input.name", input.required_text("name")?)?;
    check_wrapped("input.parameters", &input.map("parameters")?.cloned().unwrap_or_default())
}

/// Reads `schedule`: the first turn, and how it comes again.
fn schedule(body: &Object, now: DateTime<Utc>) -> Result<Option<(DateTime<Utc>, Recurrence)>, ApiError> {
    let Some(schedule) = body.object("schedule", "schedule.")? else { return Ok(None) };
    let start = time("schedule.start_time", schedule.required_text("start_time")?, now)?;
    let recurrence = match cron(&schedule)? {
        None => interval(&schedule, "interval")?,
        Some(_) if schedule.value("interval").is_some() => {
            return Err(ApiError::invalid("schedule.cron", "schedule.cron and schedule.interval exclude each other"));
        }
        Some(cron) => cron,
    };
    // What never comes, and what cannot be read, is refused here.
    let first = recurrence.first(start).map_err(|error| {
        let key = if matches!(error, BadCron::Zone(_)) { "schedule.timezone" } else { "schedule.cron" };
        ApiError::invalid(key, error.to_string())
    })?;
    Ok(Some((first.unwrap_or(start), recurrence)))
}

fn cron(schedule: &Object) -> Result<Option<Recurrence>, ApiError> {
    let Some(expression) = schedule.text("cron")? else {
        return match schedule.text("timezone")? {
            None => Ok(None),
            Some(_) => Err(ApiError::invalid("schedule.timezone", "schedule.timezone needs schedule.cron")),
        };
    };
    let zone = schedule.text("timezone")?.unwrap_or("UTC").to_owned();
    Ok(Some(Recurrence::Cron { expression: expression.to_owned(), zone }))
}

fn interval(from: &Object, key: &str) -> Result<Recurrence, ApiError> {
    let Some(interval) = from.object(key, "interval.")? else { return Ok(Recurrence::Once) };
    let units = interval.required_text("units")?;
    if units != "seconds" {
        let shown: String = units.chars().take(80).collect();
        return Err(ApiError::invalid("interval.units", format!("interval.units must be seconds, not '{shown}'")));
    }
    let seconds = interval.integer("value", 1)?.ok_or_else(|| ApiError::missing("interval.value"))?;
    if seconds > FAR {
        return Err(ApiError::invalid("interval.value", format!("interval.value must be at most {FAR} seconds")));
    }
    Ok(Recurrence::Every { seconds })
}

/// A time in the future.
fn time(key: &str, text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, ApiError> {
    let shown: String = text.chars().take(80).collect();
    let time = times::parse(text).ok_or_else(|| {
        let msg = format!("{key} must be an ISO 8601 time with offset, such as 2026-03-01T12:00:05Z, not '{shown}'");
        ApiError::invalid(key, msg)
    })?;
    if time <= now {
        return Err(ApiError::invalid_time(key, &shown));
    }
    if time > now + TimeDelta::seconds(i64::try_from(FAR).unwrap_or(i64::MAX / 1_000)) {
        return Err(ApiError::invalid(key, format!("{key} must be less than 100 years away")));
    }
    Ok(time)
}
