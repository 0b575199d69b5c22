//! What the scripted agent keeps on disk, and what it concludes from it: the tables of `docs/pcp.md` §10.5 and §10.6.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bunraku::wire::pxp::{LOST_PROCESS, NO_RESULTS_DIRECTORY};
use serde_json::{Value, json};

use crate::site::Node;
use crate::timeline::now;

/// The directories of one agent.
pub(super) struct Spool {
    root: PathBuf,
    /// Which transactions the agent called unknown, and when: the checker must not expect more of the service than the
    /// agent told it.
    unknowns: PathBuf,
}

/// What is known of a run.
pub(super) enum Known {
    Nothing,
    Running,
    Over { exitcode: i64 },
    Unknown(&'static str),
}

impl Spool {
    pub(super) fn new(node: &Node) -> Self {
        Self { root: node.spool(), unknowns: node.dir.join("unknowns.log") }
    }

    pub(super) fn dir(&self, transaction: &str) -> PathBuf {
        self.root.join(transaction)
    }

    /// Makes a transaction known. The parameters are not kept.
    pub(super) fn create(&self, transaction: &str) {
        fs::create_dir_all(self.dir(transaction)).unwrap();
    }

    /// Writes the metadata: who asked for what, and how far it is.
    pub(super) fn write_metadata(&self, transaction: &str, request: &Value, status: &str) {
        let data = &request["data"];
        let metadata = json!({
            "requester": request["sender"], "module": data["module"], "action": data["action"], "request_params": "{}",
            "transaction_id": transaction, "request_id": request["id"], "notify_outcome": true,
            "start": now(), "status": status,
        });
        replace(&self.dir(transaction).join("metadata"), &metadata.to_string());
    }

    /// What a status query is told. `working`: a thread of this agent looks after the run.
    pub(super) fn known(&self, transaction: &str, working: bool) -> Known {
        let dir = self.dir(transaction);
        if !dir.is_dir() {
            return self.unknown(transaction, NO_RESULTS_DIRECTORY);
        }
        let metadata = fs::read_to_string(dir.join("metadata")).unwrap_or_default();
        let Ok(mut metadata) = serde_json::from_str::<Value>(&metadata) else {
            return self.unknown(transaction, "the metadata of this transaction is invalid");
        };
        let pid = fs::read_to_string(dir.join("pid")).ok().and_then(|text| text.trim().parse::<u32>().ok());
        // Looked at before the exit code is: a process that is gone by now has written it.
        let alive = pid.is_some_and(is_alive);
        match (exitcode(&dir), pid) {
            (Some(exitcode), _) => {
                if metadata["status"] == "running" {
                    metadata["status"] = json!(if exitcode == 0 { "success" } else { "failure" });
                    replace(&dir.join("metadata"), &metadata.to_string());
                }
                Known::Over { exitcode }
            }
            (None, _) if alive || working => Known::Running,
            (None, Some(_)) => self.unknown(transaction, LOST_PROCESS),
            (None, None) => self.unknown(transaction, "the PID and output of this task are not available"),
        }
    }

    fn unknown(&self, transaction: &str, words: &'static str) -> Known {
        let mut log = fs::OpenOptions::new().create(true).append(true).open(&self.unknowns).unwrap();
        writeln!(log, "{transaction} {}", now().timestamp_nanos_opt().unwrap()).unwrap();
        if words == NO_RESULTS_DIRECTORY { Known::Nothing } else { Known::Unknown(words) }
    }

    pub(super) fn output(&self, transaction: &str, name: &str) -> String {
        fs::read_to_string(self.dir(transaction).join(name)).unwrap_or_default()
    }
}

/// The exit code of a run that is complete.
pub(super) fn exitcode(dir: &Path) -> Option<i64> {
    fs::read_to_string(dir.join("exitcode")).ok()?.trim().parse().ok()
}

fn replace(path: &Path, text: &str) {
    let fresh = path.with_extension("new");
    fs::write(&fresh, text).unwrap();
    fs::rename(fresh, path).unwrap();
}

/// One that only waits to be collected is none.
fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}
