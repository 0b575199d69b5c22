//! What processes cost, as the kernel counts it.

use std::fs;
use std::path::PathBuf;

/// Resident memory of a process that is its own, in bytes: without files that are mapped.
pub(crate) fn memory(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
}

/// CPU time of all threads that a process has, in seconds.
pub(crate) fn cpu(id: u32) -> f64 {
    threads(id).map(|thread| nanoseconds(&thread)).sum::<u64>() as f64 / 1e9
}

/// The same for this process.
pub(crate) fn own_cpu() -> f64 {
    cpu(std::process::id())
}

fn threads(id: u32) -> impl Iterator<Item = PathBuf> {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).unwrap();
    tasks.flatten().map(|task| task.path().join("schedstat"))
}

/// A thread that has ended meanwhile costs no more.
fn nanoseconds(schedstat: &PathBuf) -> u64 {
    let text = fs::read_to_string(schedstat).unwrap_or_default();
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
