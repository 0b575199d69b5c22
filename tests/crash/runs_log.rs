//! The log of runs: lines that the runs themselves appended, and the signs that follow from new ones.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::signs::{Sign, Signs};

const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// How a run ended by its own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// To its end, with this exit code.
    Code(u8),
    /// It was told to end.
    Killed,
}

/// One execution. Times are nanoseconds since 1970; what lies between them really took place between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Execution {
    pub(crate) run: String,
    pub(crate) node: String,
    pub(crate) kind: String,
    pub(crate) tag: u64,
    pub(crate) begin: i64,
    /// When Puppet had its catalog.
    pub(crate) catalog: Option<i64>,
    /// `None`: it was killed without a word.
    pub(crate) end: Option<(i64, End)>,
}

/// Reads all executions, in the order of their beginnings.
pub(crate) fn read(path: &Path) -> Vec<Execution> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut executions: Vec<Execution> = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [word, run, node, kind, tag, time] = fields[..] else { panic!("a line of the runs' log: {line}") };
        let time: i64 = time.parse().unwrap();
        if word == "begin" {
            let tag = tag.parse().unwrap();
            let (run, node, kind) = (run.to_owned(), node.to_owned(), kind.to_owned());
            executions.push(Execution { run, node, kind, tag, begin: time, catalog: None, end: None });
            continue;
        }
        // Killed between beginning and writing so: it may end without a beginning, which tells nothing.
        let open = |execution: &&mut Execution| execution.run == run && execution.end.is_none();
        let Some(execution) = executions.iter_mut().rev().find(open) else { continue };
        match word {
            "catalog" => execution.catalog = Some(time),
            "killed" => execution.end = Some((time, End::Killed)),
            code => execution.end = Some((time, End::Code(code.strip_prefix("end").unwrap().parse().unwrap()))),
        }
    }
    executions
}

/// Gives a sign for every line that is added.
pub(crate) fn watch(path: PathBuf, signs: Signs) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut position = 0;
        loop {
            sleep(LOOK_AGAIN).await;
            let Ok(mut file) = File::open(&path) else { continue };
            if file.metadata().map_or(0, |metadata| metadata.len()) <= position {
                continue;
            }
            let mut fresh = String::new();
            if file.seek(SeekFrom::Start(position)).and_then(|_| file.read_to_string(&mut fresh)).is_err() {
                continue;
            }
            position += fresh.len() as u64;
            for line in fresh.lines() {
                if line.starts_with("begin") {
                    signs.give(Sign::Begun);
                } else if line.starts_with("end") {
                    signs.give(Sign::Ended);
                }
            }
        }
    })
}
