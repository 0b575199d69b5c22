//! The events of a report in PuppetDB's shape: what was changed, failed or would be changed. Bounded, and without
//! anything that looks like the content of a file.

use serde_json::{Value, json};

use super::report::{Event, Report, ResourceStatus, as_text};

const MAX_EVENTS: usize = 500;
const MAX_BYTES: usize = 256 << 10;
/// A value longer than this is the content of something.
const MAX_VALUE: usize = 1024;
/// Stands where a value was taken out.
const CUT: &str = "[cut]";

/// The events, and how many more there were.
#[derive(Debug, PartialEq)]
pub(super) struct Events {
    pub(super) listed: Vec<Value>,
    pub(super) cut: usize,
}

/// Collects the events of a report in its order; failures first, so that a cut takes the changes.
pub(super) fn collect(report: &Report) -> Events {
    let all = report
        .resource_statuses
        .values()
        .flat_map(|resource| resource.events.iter().filter(|event| is_told(event)).map(move |event| (resource, event)));
    let (failed, others): (Vec<_>, Vec<_>) = all.partition(|(_, event)| event.status == "failure");
    let (mut listed, mut bytes, mut cut) = (Vec::new(), 0, 0);
    for (resource, event) in failed.into_iter().chain(others) {
        let told = tell(resource, event);
        let size = told.to_string().len();
        if listed.len() < MAX_EVENTS && bytes + size <= MAX_BYTES {
            bytes += size;
            listed.push(told);
        } else {
            cut += 1;
        }
    }
    Events { listed, cut }
}

fn is_told(event: &Event) -> bool {
    event.redacted != Some(true) && matches!(event.status.as_str(), "success" | "failure" | "noop")
}

fn tell(resource: &ResourceStatus, event: &Event) -> Value {
    let property = event.property.as_ref().and_then(as_text);
    let of_content = property.as_deref() == Some("content");
    let old_value = value(event.previous_value.as_ref(), of_content);
    let new_value = value(event.desired_value.as_ref(), of_content);
    // A message quotes both values.
    let holds_cut = [&old_value, &new_value].into_iter().any(|value| value == CUT);
    let message = if holds_cut { Some(CUT.to_owned()) } else { event.message.as_deref().map(clipped) };
    let path: Vec<String> = resource.containment_path.iter().filter_map(as_text).collect();
    let class = path.iter().rev().find(|part| !part.contains('[') && part.starts_with(char::is_uppercase));
    json!({
        "resource_type": resource.resource_type,
        "resource_title": as_text(&resource.title),
        "property": property,
        "name": event.name.as_ref().and_then(as_text),
        "old_value": old_value,
        "new_value": new_value,
        "message": message,
        "status": event.status,
        "timestamp": event.time,
        "file": resource.file,
        "line": resource.line,
        "containing_class": class,
        "containment_path": path,
        "corrective_change": event.corrective_change.unwrap_or(false),
    })
}

fn value(value: Option<&Value>, of_content: bool) -> Value {
    let Some(value) = value else { return Value::Null };
    let text = as_text(value).unwrap_or_else(|| value.to_string());
    if of_content && !is_checksum(&text) || text.len() > MAX_VALUE {
        return CUT.into();
    }
    value.clone()
}

/// `{md5}…`, or `absent` for a file that is not there.
fn is_checksum(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match text.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((kind, sum)) => kind.bytes().all(|byte| byte.is_ascii_alphanumeric()) && digits(sum),
        None => matches!(text, "absent" | "file" | "null"),
    }
}

fn clipped(text: &str) -> String {
    if text.chars().count() <= MAX_VALUE {
        return text.to_owned();
    }
    text.chars().take(MAX_VALUE).chain(CUT.chars()).collect()
}
