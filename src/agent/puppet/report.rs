//! `last_run_report.yaml`, as far as the outcome of a run needs it. Of its log only errors of Puppet itself are told: what
//! resources print may hold secrets.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;

/// Beyond this a report is not parsed.
const MAX_BYTES: u64 = 64 << 20;

/// How much of a reason is told.
const LONGEST_REASON: usize = 1_000;

/// A report.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Report {
    pub(super) time: String,
    pub(super) transaction_uuid: String,
    pub(super) status: String,
    #[serde(default)]
    pub(super) environment: Option<String>,
    #[serde(default)]
    pub(super) configuration_version: Option<Value>,
    /// Older reports do not say; they were only written at the end.
    #[serde(default = "yes")]
    pub(super) transaction_completed: bool,
    #[serde(default)]
    pub(super) noop: bool,
    #[serde(default)]
    pub(super) noop_pending: bool,
    #[serde(default)]
    pub(super) job_id: Option<Value>,
    #[serde(default)]
    pub(super) corrective_change: Option<bool>,
    #[serde(default)]
    pub(super) cached_catalog_status: Option<String>,
    #[serde(default)]
    pub(super) metrics: IndexMap<String, Metric>,
    #[serde(default)]
    pub(super) resource_statuses: IndexMap<String, ResourceStatus>,
    /// Lines, whatever their shape: only some are ever looked at.
    #[serde(default)]
    logs: Value,
}

/// One group of counters.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub(super) struct Metric {
    /// Name, label, value.
    #[serde(default)]
    pub(super) values: Vec<(String, String, Value)>,
}

/// What became of one resource.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct ResourceStatus {
    pub(super) title: Value,
    pub(super) resource_type: String,
    #[serde(default)]
    pub(super) file: Option<String>,
    #[serde(default)]
    pub(super) line: Option<u64>,
    #[serde(default)]
    pub(super) containment_path: Vec<Value>,
    #[serde(default)]
    pub(super) events: Vec<Event>,
}

/// One change, or attempt at one.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Event {
    #[serde(default)]
    pub(super) property: Option<Value>,
    #[serde(default)]
    pub(super) previous_value: Option<Value>,
    #[serde(default)]
    pub(super) desired_value: Option<Value>,
    #[serde(default)]
    pub(super) message: Option<String>,
    #[serde(default)]
    pub(super) name: Option<Value>,
    pub(super) status: String,
    #[serde(default)]
    pub(super) time: Option<String>,
    #[serde(default)]
    pub(super) corrective_change: Option<bool>,
    #[serde(default)]
    pub(super) redacted: Option<bool>,
}

fn yes() -> bool {
    true
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReportError {
    #[error("{0} doesn't exist")]
    Missing(PathBuf),
    #[error("{0} could not be loaded: {1}")]
    Unreadable(PathBuf, String),
}

impl Report {
    /// Why the run failed, as far as the report says: the first resource that failed, else what Puppet itself complains of, such
    /// as a catalog that does not compile.
    pub(super) fn reason(&self) -> Option<String> {
        let failed = |status: &ResourceStatus| status.events.iter().find(|event| event.status == "failure").cloned();
        let mut failures = self.resource_statuses.iter().filter_map(|(name, status)| Some((name, failed(status)?)));
        let reason = match failures.next() {
            Some((name, event)) => {
                let more = failures.count();
                let and_more = if more > 0 { format!("; and {more} more") } else { String::new() };
                format!("{name}: {}{and_more}", event.message.unwrap_or_default())
            }
            None => {
                let mut lines = self.logs.as_array()?.iter();
                let own = lines
                    .find(|line| (line["level"] == "err" || line["level"] == ":err") && line["source"] == "Puppet")?;
                own["message"].as_str()?.to_owned()
            }
        };
        let shown: String = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        Some(shown.chars().take(LONGEST_REASON).collect())
    }

    /// The time, where it is one.
    pub(super) fn time(&self) -> Option<DateTime<Utc>> {
        parse_time(&self.time)
    }

    /// The job id as text; YAML may take digits for a number.
    pub(super) fn job_id(&self) -> Option<String> {
        self.job_id.as_ref().and_then(as_text)
    }

    /// The counters of resources.
    pub(super) fn resource_counters(&self) -> impl Iterator<Item = (&str, &Value)> {
        let values = self.metrics.get("resources").map(|metric| metric.values.as_slice()).unwrap_or_default();
        values.iter().map(|(name, _, value)| (name.as_str(), value))
    }
}

/// Reads the report of a file.
pub(super) fn read(path: &Path) -> Result<Report, ReportError> {
    let unreadable = |reason: String| ReportError::Unreadable(path.to_owned(), reason);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ReportError::Missing(path.to_owned()));
        }
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let mut text = String::new();
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| unreadable(error.to_string()))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(unreadable(format!("it is larger than {MAX_BYTES} bytes")));
    }
    parse(&text).map_err(unreadable)
}

/// Parses a report. The error never quotes the report.
pub(super) fn parse(text: &str) -> Result<Report, String> {
    let options = serde_saphyr::options! { with_snippet: false, budget: budget() };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

/// Room for a hundred thousand resources, and no more; depth as Puppet nests, and some.
fn budget() -> Option<serde_saphyr::budget::Budget> {
    serde_saphyr::budget! {
        max_events: 20_000_000,
        max_nodes: 10_000_000,
        max_total_scalar_bytes: 64 << 20,
        max_depth: 64,
        max_anchors: 500_000,
    }
}

/// A time as Puppet writes it: ISO 8601, or YAML's form with a blank in it.
pub(super) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let forms = ["%Y-%m-%d %H:%M:%S%.f %:z", "%Y-%m-%d %H:%M:%S%.f %z", "%Y-%m-%dT%H:%M:%S%.f%z"];
    DateTime::parse_from_rfc3339(text)
        .ok()
        .or_else(|| forms.iter().find_map(|form| DateTime::parse_from_str(text, form).ok()))
        .map(|time| time.with_timezone(&Utc))
}

/// A scalar as text.
pub(super) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> Option<String> {
        let head = "time: '2026-11-27T20:13:10+00:00'\ntransaction_uuid: a\nstatus: failed\n";
        serde_saphyr::from_str::<Report>(&format!("{head}{text}")).unwrap().reason()
    }

    #[test]
    fn the_reason_is_the_first_failed_resource_or_puppets_own_complaint() {
        let logs = "logs:\n- {level: err, message: secret, source: '/Stage[main]/Exec[x]'}\n\
                    - {level: ':err', message: \"no\\n catalog\", source: Puppet}\n- odd\n";
        assert_eq!(reason(logs).unwrap(), "no catalog");
        let event = "events: [{status: failure, message: it broke}]";
        let one = |title: &str| format!("  Exec[{title}]: {{title: {title}, resource_type: Exec, {event}}}\n");
        let resources = format!("{logs}resource_statuses:\n{}{}", one("a"), one("b"));
        assert_eq!(reason(&resources).unwrap(), "Exec[a]: it broke; and 1 more");
        assert_eq!(reason(""), None);
        assert_eq!(reason("logs: 7\n"), None);
    }
}
