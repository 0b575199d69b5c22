//! What was measured: a table for people, a file for programs. Written after each scenario, so that a failure leaves what
//! was known before it.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Options, say};

/// All figures so far, by scenario.
pub(crate) struct Figures {
    file: PathBuf,
    head: Value,
    scenarios: Map<String, Value>,
}

impl Figures {
    pub(crate) fn new(options: &Options, file: PathBuf) -> Self {
        let head = json!({ "nodes": options.nodes, "churn_seconds": options.churn.as_secs() });
        Self { file, head, scenarios: Map::new() }
    }

    /// Adds what a scenario came to.
    pub(crate) fn add(&mut self, scenario: &str, figures: Value) {
        say(&format!("{scenario}: {}", words(&figures)));
        self.scenarios.insert(scenario.to_owned(), figures);
        let mut all = self.head.clone();
        all["scenarios"] = Value::Object(self.scenarios.clone());
        std::fs::write(&self.file, serde_json::to_string_pretty(&all).unwrap() + "\n").unwrap();
    }

    /// Shows the table.
    pub(crate) fn show(&self) {
        let mut text = format!("\n{} nodes; all figures: {}\n\n", self.head["nodes"], self.file.display());
        text += "| scenario | figure | measured |\n| --- | --- | --- |\n";
        let mut scenarios: Vec<_> = self.scenarios.iter().collect();
        scenarios.sort_by_key(|(name, _)| name.split(' ').next().and_then(|number| number.parse::<u32>().ok()));
        for (scenario, figures) in scenarios {
            let mut name = scenario.as_str();
            for (figure, value) in figures.as_object().unwrap() {
                text += &format!("| {name} | {} | {} |\n", figure.replace('_', " "), plain(value));
                name = "";
            }
        }
        say(&text);
    }
}

fn words(figures: &Value) -> String {
    let parts = figures.as_object().unwrap().iter();
    parts.map(|(name, value)| format!("{} {}", name.replace('_', " "), plain(value))).collect::<Vec<_>>().join(", ")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A time, for people's eyes.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// An amount of memory.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// Median, 99th percentile and maximum of some times.
pub(crate) fn spread(times: &[Duration]) -> String {
    let mut times = times.to_vec();
    times.sort_unstable();
    let Some(last) = times.len().checked_sub(1) else { return "none".to_owned() };
    let at = |percent: usize| times[last * percent / 100].as_secs_f64() * 1_000.0;
    format!("p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms ({})", at(50), at(99), at(100), times.len())
}
