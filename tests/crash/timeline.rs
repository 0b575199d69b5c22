//! What was done to whom and when: printed with a violation, and read by the checker where it must know of a fault.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::time::Instant;

/// A moment by the machine's wall clock, which runs and the service use as well.
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}

/// What befell a node that can cost it a run, or the memory of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    /// Its agent was killed.
    Killed,
    /// Its agent and everything that it had started were killed.
    Rebooted,
    /// The same, and its spool is gone.
    Reinstalled,
    /// Its agent stood still for a while.
    Frozen,
}

/// Blows by node, oldest first.
type Blows = BTreeMap<String, Vec<(DateTime<Utc>, Blow)>>;

/// The record of one round.
pub(crate) struct Timeline {
    begun: Instant,
    entries: Mutex<Vec<(f64, String)>>,
    blows: Mutex<Blows>,
}

impl Timeline {
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now(), entries: Mutex::default(), blows: Mutex::default() }
    }

    /// Adds an entry.
    pub(crate) fn note(&self, text: impl Into<String>) {
        self.entries.lock().push((self.begun.elapsed().as_secs_f64(), text.into()));
    }

    /// Adds a blow that a node is about to get.
    pub(crate) fn blow(&self, node: &str, blow: Blow) {
        self.note(format!("{node}: {blow:?}"));
        self.blows.lock().entry(node.to_owned()).or_default().push((now(), blow));
    }

    /// The blows that a node got, oldest first.
    pub(crate) fn blows(&self, node: &str) -> Vec<(DateTime<Utc>, Blow)> {
        self.blows.lock().get(node).cloned().unwrap_or_default()
    }

    /// All entries, one a line.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (second, entry) in &*self.entries.lock() {
            writeln!(text, "{second:9.3}  {entry}").unwrap();
        }
        text
    }
}
