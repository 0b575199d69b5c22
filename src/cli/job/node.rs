//! `bunraku job show --node`: one node of a job in full.

use bunraku_actors::model::CertName;
use serde_json::Value;

use crate::cli::answers::{self, Event, Node, text};
use crate::cli::client::{Client, segment};
use crate::cli::elapsed;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::terminal::one_line;
use crate::cli::why;

/// Shows everything that the server has about the node.
///
/// # Errors
/// See [`CliError`]; a usage error when the job has no such node.
pub(super) async fn show(client: &Client, job: &str, name: &CertName, out: Output) -> Result<Exit, CliError> {
    let path = format!("/bunraku/v1/jobs/{job}/nodes/{}", segment(name.as_str()));
    let node = match client.get(&path, &[]).await {
        // An older server has no such route; every server has the list.
        Err(CliError::Refused { status: 404, kind, .. }) if kind.ends_with("/not-found") => {
            from_list(client, job, name).await?
        }
        answer => answer?,
    };
    if out.is_json() {
        out.json(&node);
    } else {
        lines(job, &node)?.iter().for_each(|line| out.line(line));
    }
    Ok(Exit::Done)
}

async fn from_list(client: &Client, job: &str, name: &CertName) -> Result<Value, CliError> {
    let nodes = client.all(&format!("/orchestrator/v1/jobs/{job}/nodes"), &[]).await?;
    nodes.into_iter().find(|node| text(node, "/name") == name.as_str()).ok_or_else(|| {
        CliError::Usage(format!("{name} is no node of the job {job}; `bunraku job show {job}` lists its nodes"))
    })
}

fn lines(job: &str, value: &Value) -> Result<Vec<String>, CliError> {
    let node: Node = answers::read(value)?;
    let level = value.get("level").and_then(Value::as_u64).map(|level| level.to_string()).unwrap_or_default();
    let took = node.duration.map(elapsed).unwrap_or_default();
    let pairs = [
        ("node", node.name.as_str()),
        ("job", job),
        ("state", node.state.as_str()),
        ("cause", node.cause.as_deref().unwrap_or_default()),
        ("message", node.message()),
        ("reason", if node.reason() == node.message() { "" } else { node.reason() }),
        ("level", level.as_str()),
        ("started", text(value, "/start_timestamp")),
        ("finished", text(value, "/finish_timestamp")),
        ("took", took.as_str()),
        ("report", text(value, "/transaction_uuid")),
    ];
    let shown = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    let mut lines: Vec<_> = shown.map(|(key, value)| format!("{key:<12} {}", one_line(value))).collect();
    section(&mut lines, "result", result(&node.result));
    section(&mut lines, "told later", result(value.get("late").unwrap_or(&Value::Null)));
    section(&mut lines, "resource events", items(value, "resource_events").map(resource_event).collect());
    let error = text(value, "/events_error");
    section(&mut lines, "resource events are missing", error.lines().map(one_line).collect());
    let events = items(value, "events").map(event).collect::<Result<_, _>>()?;
    section(&mut lines, "events", events);
    let why = value.get("why").map(why::lines).unwrap_or_default();
    section(&mut lines, "why", why);
    Ok(lines)
}

fn section(lines: &mut Vec<String>, title: &str, content: Vec<String>) {
    if !content.is_empty() {
        lines.push(String::new());
        lines.push(title.to_owned());
        lines.extend(content.into_iter().map(|line| format!("  {line}").trim_end().to_owned()));
    }
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// What a task printed as it printed it, then everything else of the result.
fn result(result: &Value) -> Vec<String> {
    let Value::Object(keys) = result else { return Vec::new() };
    let mut keys = keys.clone();
    let printed = match keys.get("_output") {
        Some(Value::String(_)) => keys.shift_remove("_output"),
        _ => None,
    };
    let printed = printed.as_ref().and_then(Value::as_str).unwrap_or_default();
    let mut lines: Vec<_> = printed.lines().map(shown).collect();
    if !keys.is_empty() {
        // Every string is escaped in JSON, so that nothing in it is obeyed by a terminal.
        let rest = serde_json::to_string_pretty(&keys).unwrap_or_default();
        lines.extend(rest.lines().map(shown));
    }
    lines
}

/// A line with its blanks, and without what a terminal would obey.
fn shown(line: &str) -> String {
    let indent = line.len() - line.trim_start_matches(' ').len();
    format!("{:indent$}{}", "", one_line(line))
}

fn event(value: &Value) -> Result<String, CliError> {
    let event: Event = answers::read(value)?;
    let message = if event.message.is_empty() { event.reason() } else { event.message.as_str() };
    Ok(format!("{}  {:<13}  {}", one_line(&event.timestamp), one_line(&event.kind), one_line(message)))
}

/// An event in PuppetDB's shape.
fn resource_event(event: &Value) -> String {
    let what = format!("{}[{}]", text(event, "/resource_type"), text(event, "/resource_title"));
    let [status, what, message] = [text(event, "/status"), &what, text(event, "/message")].map(one_line);
    format!("{status:<8}  {what}  {message}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_is_shown_in_full() {
        let node = json!({
            "name": "web1.example.com", "state": "failed", "cause": "run_failed", "duration": 12.0, "level": 1,
            "start_timestamp": "2026-03-01T12:00:05Z", "finish_timestamp": "2026-03-01T12:00:17Z",
            "transaction_uuid": "0b0c8e0e-52b1-4a51-8f69-7f4d0e3a9a77",
            "details": { "message": "Finished puppet run on web1.example.com - Failed! " },
            "result": { "_output": "one\n  two\u{1b}[2J\n", "status": "failed", "metrics": { "failed": 1 } },
            "resource_events": [{ "resource_type": "File", "resource_title": "/etc/motd", "status": "failure",
                "message": "no space\nleft" }],
            "events": [{ "id": "4", "type": "node_failed", "timestamp": "2026-03-01T12:00:17Z",
                "details": { "node": "web1.example.com" }, "message": "Finished puppet run on web1.example.com - Failed! " }],
            "why": { "summary": "Its last run failed.", "node": "web1.example.com", "connected": true }
        });
        insta::assert_snapshot!("one_node", lines("42", &node).unwrap().join("\n"));
    }

    #[test]
    fn a_bare_node_has_no_empty_sections() {
        let lines = lines("42", &json!({ "name": "a", "state": "new", "details": {}, "result": null })).unwrap();
        assert_eq!(lines, ["node         a", "job          42", "state        new"]);
    }
}
