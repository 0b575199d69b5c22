//! Processes as `/proc` shows them. A process is named by id, start time and boot, so a reused id is no mistake.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// A process that cannot be mistaken for a later one with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ProcessId {
    pub(super) pid: i32,
    /// Clock ticks since boot.
    pub(super) start: u64,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
struct Entry {
    parent: i32,
    start: u64,
    zombie: bool,
}

impl ProcessId {
    /// The live process of that id.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        read_entry(pid).map(|entry| Self { pid, start: entry.start })
    }

    /// Reads what [`ProcessId::record`] wrote; `None` when it is not there, or of an earlier boot.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let mut fields = text.split_whitespace();
        let pid = fields.next()?.parse().ok()?;
        let start = fields.next()?.parse().ok()?;
        (fields.next()? == boot_id()).then_some(Self { pid, start })
    }

    /// The text of a pid file.
    pub(super) fn record(self) -> String {
        format!("{} {} {}\n", self.pid, self.start, boot_id())
    }

    /// Whether that very process still runs. One that only waits to be collected does not.
    pub(super) fn is_alive(self) -> bool {
        read_entry(self.pid).is_some_and(|entry| entry.start == self.start && !entry.zombie)
    }

    /// Sends a signal, if that very process still runs.
    pub(super) fn signal(self, signal: Signal) {
        if !self.is_alive() {
            return;
        }
        if let Some(pid) = Pid::from_raw(self.pid)
            && let Err(error) = kill_process(pid, signal)
        {
            tracing::debug!(pid = self.pid, %error, "cannot signal the process");
        }
    }
}

/// All live descendants of a process, whatever session they are in; children before grandchildren.
pub(super) fn descendants(root: ProcessId) -> Vec<ProcessId> {
    let mut children: BTreeMap<i32, Vec<ProcessId>> = BTreeMap::new();
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        if let Some(entry) = read_entry(pid) {
            children.entry(entry.parent).or_default().push(ProcessId { pid, start: entry.start });
        }
    }
    let mut found = Vec::new();
    let mut next = children.remove(&root.pid).unwrap_or_default();
    while let Some(process) = next.pop() {
        next.extend(children.remove(&process.pid).unwrap_or_default());
        found.push(process);
    }
    found
}

/// The live children of a process, where the kernel lists them.
pub(super) fn children(of: ProcessId) -> Vec<ProcessId> {
    // By the thread that started them.
    let threads = fs::read_dir(format!("/proc/{}/task", of.pid)).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let pids: Vec<u32> =
        lists.flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>()).collect();
    pids.into_iter().filter_map(ProcessId::of).collect()
}

/// What the kernel calls a process; empty when it is gone.
pub(super) fn name_of(process: ProcessId) -> String {
    let name = fs::read_to_string(format!("/proc/{}/comm", process.pid)).unwrap_or_default();
    name.trim_end().to_owned()
}

/// Whether a live process of that id is Puppet: the test that Puppet itself applies to its lock.
pub(in crate::agent) fn is_puppet(pid: i32) -> bool {
    if read_entry(pid).is_none_or(|entry| entry.zombie) {
        return false;
    }
    let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let (comm, line) = (read("comm"), read("cmdline"));
    let (comm, line) = (String::from_utf8_lossy(&comm), String::from_utf8_lossy(&line));
    comm.contains("puppet") || comm.contains("ruby") && line.contains("puppet")
}

fn read_entry(pid: i32) -> Option<Entry> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// `pid (name) state ppid … start …`; the name may hold blanks and brackets.
fn parse_stat(text: &str) -> Option<Entry> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some(Entry {
        parent: fields.get(1)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
        zombie: matches!(*fields.first()?, "Z" | "X"),
    })
}

fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_again_and_a_reused_id_is_not() {
        let own = ProcessId::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        fs::write(&path, own.record()).unwrap();
        assert_eq!(ProcessId::read(&path), Some(own));
        assert!(!ProcessId { start: own.start + 1, ..own }.is_alive());
        fs::write(&path, format!("{} {} another-boot\n", own.pid, own.start)).unwrap();
        assert_eq!(ProcessId::read(&path), None);
    }

    #[test]
    fn names_with_brackets_do_not_shift_the_fields() {
        let numbers: Vec<String> = (5..=25).map(|number| number.to_string()).collect();
        let entry = parse_stat(&format!("12 (a) b (c)) S 4 {}", numbers.join(" "))).unwrap();
        assert_eq!((entry.parent, entry.start, entry.zombie), (4, 22, false));
        assert!(parse_stat("12 (short) S 4").is_none());
        assert!(parse_stat("").is_none());
    }

    #[test]
    fn children_are_descendants() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let own = ProcessId::of(std::process::id()).unwrap();
        let found = descendants(own);
        let wanted = ProcessId::of(child.id()).unwrap();
        wanted.signal(Signal::KILL);
        child.wait().unwrap();
        assert!(found.contains(&wanted));
        assert!(!wanted.is_alive());
    }
}
