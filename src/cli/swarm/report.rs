//! What a swarm has seen: memory and CPU of both sides, and the report for people and programs.

use std::path::PathBuf;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::readable;
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::swarm::Swarm;

/// The server's process on this machine.
pub(super) struct Server(PathBuf);

/// What a process has used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    pub(super) memory: u64,
    pub(super) cpu_seconds: f64,
}

impl Server {
    /// The process with this number, if one is given.
    pub(super) fn of(pid: Option<u32>) -> Result<Option<Self>, CliError> {
        let Some(pid) = pid else { return Ok(None) };
        let server = Self(PathBuf::from(format!("/proc/{pid}")));
        server.usage()?;
        Ok(Some(server))
    }

    /// Its resident memory, and its CPU time so far.
    pub(super) fn usage(&self) -> Result<Usage, CliError> {
        let read =
            |name: &str| readable(std::fs::read_to_string(self.0.join(name)), "cannot read the server's process");
        let stat = read("stat")?;
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = |place: usize| fields.get(place).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
        // The kernel counts in hundredths of a second, and has for decades.
        Ok(Usage { memory: resident(&read("status")?), cpu_seconds: (ticks(11) + ticks(12)) / 100.0 })
    }
}

fn resident(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or_default() * 1_024
}

/// What the connected swarm costs the server.
pub(super) fn server(before: Usage, idle: Usage, nodes: usize) -> Value {
    let count = nodes.max(1) as f64;
    json!({
        "memory_bytes": idle.memory,
        "bytes_per_session": idle.memory.saturating_sub(before.memory) / nodes.max(1) as u64,
        "cpu_ms_per_connect": rounded((idle.cpu_seconds - before.cpu_seconds) * 1_000.0 / count),
    })
}

/// A number for people's eyes: three decimals.
pub(super) fn rounded(number: f64) -> Value {
    json!((number * 1_000.0).round() / 1_000.0)
}

/// What a swarm has come to so far.
pub(super) struct Report(Mutex<Map<String, Value>>);

impl Report {
    /// Of a swarm whose certificates took that long.
    pub(super) fn new(swarm: &Swarm, made: Duration) -> Self {
        let mut figures = Map::new();
        figures.insert("nodes".to_owned(), json!(swarm.names().len()));
        figures.insert("certificates_seconds".to_owned(), rounded(made.as_secs_f64()));
        Self(Mutex::new(figures))
    }

    /// Adds a figure.
    pub(super) fn add(&self, name: &str, value: Value) {
        self.0.lock().insert(name.to_owned(), value);
    }

    /// Prints what was added, and what the agents have seen until now.
    pub(super) fn show(&self, swarm: &Swarm, out: Output) {
        let mut figures = self.0.lock().clone();
        figures.insert("agents".to_owned(), json!(swarm.snapshot()));
        figures.insert("reconnects".to_owned(), json!(swarm.reconnects()));
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let memory = resident(&status) / swarm.names().len().max(1) as u64;
        figures.insert("swarm_bytes_per_session".to_owned(), json!(memory));
        show(&Value::Object(figures), out);
    }
}

fn show(report: &Value, out: Output) {
    if out.is_json() {
        return out.json(report);
    }
    for (name, value) in report.as_object().into_iter().flatten() {
        match value {
            Value::Array(items) => items.iter().for_each(|item| line(name, item, out)),
            value => line(name, value, out),
        }
    }
}

fn line(name: &str, value: &Value, out: Output) {
    let words = match value {
        Value::Object(parts) => {
            let parts = parts.iter().map(|(key, value)| format!("{} {value}", key.replace('_', " ")));
            parts.collect::<Vec<_>>().join(", ")
        }
        value => value.to_string(),
    };
    out.line(format!("{}: {words}", name.replace('_', " ")));
}
