//! What is printed in the end.

use std::fmt;

/// One measurement.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) measured: String,
    /// The same, made of nothing but what it cannot do without; empty where there is no such thing.
    pub(crate) bare: String,
    /// What the design asks for, and whether it holds.
    pub(crate) goal: Option<(&'static str, bool)>,
}

/// All of them, in the order of their measurement.
#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    /// Adds a row, and says it at once: the whole takes minutes.
    pub(crate) fn add(&mut self, row: Row) {
        println!("{}: {} (bare: {})", row.what, row.measured, if row.bare.is_empty() { "-" } else { &row.bare });
        self.0.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let memory = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default();
        writeln!(f, "{cores} cores, {} GiB of memory; server and load on the same machine.\n", memory >> 20)?;
        writeln!(f, "| what | measured | bare baseline | goal | holds |\n| --- | --- | --- | --- | --- |")?;
        for Row { what, measured, bare, goal } in &self.0 {
            let (goal, holds) = goal.map_or(("", ""), |(goal, holds)| (goal, if holds { "yes" } else { "no" }));
            writeln!(f, "| {what} | {measured} | {bare} | {goal} | {holds} |")?;
        }
        Ok(())
    }
}
