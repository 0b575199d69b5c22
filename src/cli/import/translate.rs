//! A scheduled job of Puppet Enterprise as a body of ours, or why there is none. No network here.
//!
//! What our service would refuse anyway (unknown tasks, environments, groups) is left to it: it knows better.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use crate::cli::answers::text;

/// Where a scheduled job of ours says which one of Puppet Enterprise it was, in its `userdata`.
pub(super) const MARK: &str = "pe_scheduled_job";

/// The id of the original, which is its address; its number in an export without addresses; nothing where it has neither.
pub(super) fn origin(original: &Value) -> &str {
    match text(original, "/id") {
        "" => text(original, "/name"),
        id => id,
    }
}

/// The number and what it does, for people; the place in the list of one that cannot be told from others.
pub(super) fn called(at: usize, original: &Value) -> String {
    if origin(original).is_empty() {
        return format!("entry {}", at + 1);
    }
    let owner = match text(original, "/owner/login") {
        "" => String::new(),
        login => format!(" of {login}"),
    };
    let what = [text(original, "/type"), text(original, "/input/name")].join(" ");
    format!("{} ({}{owner})", text(original, "/name"), what.trim())
}

/// Whether it runs there: what does not is not missed here.
pub(super) fn is_enabled(original: &Value) -> bool {
    original.get("enabled") != Some(&Value::Bool(false))
}

/// The body that makes it here, not enabled.
///
/// # Errors
/// Why it cannot be one of ours.
pub(super) fn translated(original: &Value, now: DateTime<Utc>) -> Result<Value, String> {
    let kind = text(original, "/type");
    if kind == "plan" {
        return Err("it runs a plan, and plans run in Bolt, not here".to_owned());
    }
    let input = input(original)?;
    let mut userdata = original.get("userdata").and_then(Value::as_object).cloned().unwrap_or_default();
    userdata.insert(MARK.to_owned(), json!(origin(original)));
    Ok(json!({
        "type": kind,
        "environment": text(original, "/environment"),
        "description": text(original, "/description"),
        "userdata": userdata,
        "input": input,
        "schedule": schedule(original, now)?,
        "enabled": false,
    }))
}

/// The input without what says nothing; what cannot come along is named.
fn input(original: &Value) -> Result<Map<String, Value>, String> {
    let mut input = original.get("input").and_then(Value::as_object).cloned().ok_or("it has no input")?;
    let sensitive = input.shift_remove("sensitive_parameters").unwrap_or_default();
    let names: Vec<&str> = sensitive.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !names.is_empty() {
        let names = names.join(", ");
        return Err(format!("it has sensitive parameters ({names}), which are not kept for later runs"));
    }
    let empty = |value: &Value| value.as_array().is_none_or(Vec::is_empty);
    if !input.shift_remove("targets").is_none_or(|targets| empty(&targets)) {
        return Err("it has targets over SSH or WinRM, which have no agent".to_owned());
    }
    match input.shift_remove("transport") {
        None | Some(Value::Null) => {}
        Some(Value::String(transport)) if transport == "pxp" => {}
        Some(other) => return Err(format!("its transport is {other}, not that of agents")),
    }
    input.retain(|_, value| !value.is_null());
    Ok(input)
}

fn schedule(original: &Value, now: DateTime<Utc>) -> Result<Value, String> {
    let time = |pointer: &str| {
        let time = DateTime::parse_from_rfc3339(text(original, pointer)).ok();
        time.map(|time| time.with_timezone(&Utc))
    };
    let start = time("/schedule/start_time").ok_or("its start time cannot be read")?;
    let interval = original.pointer("/schedule/interval").cloned().unwrap_or_default();
    let next = match time("/next_run/time").filter(|next| *next > now) {
        Some(next) => next,
        None if start > now => start,
        None if interval.is_null() => {
            return Err(format!("its only turn was at {}", shown(start)));
        }
        None => on_grid(start, &interval, now).ok_or("its interval is not a number of seconds")?,
    };
    Ok(json!({ "start_time": shown(next), "interval": interval }))
}

/// The first of the turns from `start` on that is after `now`.
fn on_grid(start: DateTime<Utc>, interval: &Value, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let seconds = interval.get("value")?.as_i64().filter(|seconds| *seconds > 0)?;
    if text(interval, "/units") != "seconds" {
        return None;
    }
    let turns = (now - start).num_seconds() / seconds + 1;
    start.checked_add_signed(TimeDelta::try_seconds(turns.checked_mul(seconds)?)?)
}

fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn original(change: impl FnOnce(&mut Value)) -> Value {
        let mut original = json!({
            "id": "https://pe:8143/orchestrator/v1/scheduled_jobs/environment_jobs/7", "name": "7", "enabled": true,
            "environment": "production", "owner": { "login": "alice" }, "description": "nightly", "type": "task",
            "input": {
                "name": "package", "parameters": { "action": { "value": "status" } }, "sensitive_parameters": [],
                "scope": { "nodes": ["a"] }, "targets": null, "transport": "pxp", "noop": false, "concurrency": null,
            },
            "userdata": { "ticket": 1 },
            "schedule": {
                "start_time": "2026-01-01T02:00:00Z", "interval": { "units": "seconds", "value": 86400 },
            },
            "next_run": { "time": "2026-03-02T02:00:00Z" }, "last_run": null,
        });
        change(&mut original);
        original
    }

    fn start(change: impl FnOnce(&mut Value)) -> String {
        text(&translated(&original(change), now()).unwrap(), "/schedule/start_time").to_owned()
    }

    fn refused(change: impl FnOnce(&mut Value)) -> String {
        translated(&original(change), now()).unwrap_err()
    }

    #[test]
    fn what_has_a_meaning_here_is_kept_and_the_origin_is_marked() {
        let expected = json!({
            "type": "task", "environment": "production", "description": "nightly",
            "userdata": {
                "ticket": 1, MARK: "https://pe:8143/orchestrator/v1/scheduled_jobs/environment_jobs/7",
            },
            "input": {
                "name": "package", "parameters": { "action": { "value": "status" } }, "scope": { "nodes": ["a"] },
                "noop": false,
            },
            "schedule": {
                "start_time": "2026-03-02T02:00:00Z", "interval": { "units": "seconds", "value": 86400 },
            },
            "enabled": false,
        });
        assert_eq!(translated(&original(|_| {}), now()), Ok(expected));
        assert_eq!(called(0, &original(|_| {})), "7 (task package of alice)");
    }

    #[test]
    fn without_id_and_name_it_is_called_by_its_place() {
        for nobody in [Value::Null, json!(7), json!({}), json!({ "id": 7, "name": null, "type": "task" })] {
            assert_eq!((origin(&nobody), called(2, &nobody).as_str()), ("", "entry 3"), "{nobody}");
        }
    }

    #[test]
    fn turns_go_on_where_they_would_have_gone_on() {
        assert_eq!(start(|job| job["next_run"] = Value::Null), "2026-03-02T02:00:00Z", "counted from the start");
        let future = |job: &mut Value| {
            job["next_run"] = Value::Null;
            job["schedule"] = json!({ "start_time": "2026-05-01T00:00:00+02:00", "interval": null });
        };
        assert_eq!(start(future), "2026-04-30T22:00:00Z");
        let at_a_turn = |job: &mut Value| {
            job["next_run"] = Value::Null;
            job["schedule"]["start_time"] = json!("2026-03-01T12:00:00Z");
        };
        assert_eq!(start(at_a_turn), "2026-03-02T12:00:00Z", "a turn that is now is not made up for");
    }

    #[test]
    fn what_cannot_come_along_is_told() {
        let set =
            |pointer: &'static str, value: Value| move |job: &mut Value| *job.pointer_mut(pointer).unwrap() = value;
        assert!(refused(set("/type", json!("plan"))).contains("plan"));
        assert!(refused(set("/input/sensitive_parameters", json!(["pw"]))).contains("(pw)"));
        assert!(refused(set("/input/targets", json!([{ "type": "node" }]))).contains("SSH"));
        assert!(refused(set("/input/transport", json!("ssh"))).contains("\"ssh\""));
        assert!(refused(set("/input", Value::Null)).contains("no input"));
        assert!(refused(set("/schedule/start_time", json!("soon"))).contains("start time"));
        let past = |job: &mut Value| {
            job["next_run"] = Value::Null;
            job["schedule"]["interval"] = Value::Null;
        };
        assert!(refused(past).contains("2026-01-01T02:00:00Z"));
        let odd = |job: &mut Value| {
            job["next_run"] = Value::Null;
            job["schedule"]["interval"]["value"] = json!(0);
        };
        assert!(refused(odd).contains("interval"));
    }
}
