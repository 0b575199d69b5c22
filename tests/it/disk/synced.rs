//! Promise 1 as the kernel sees it: between the last write to the database and the answer to a command, the database's
//! file was synced, and that call had returned.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::support::process::Served;
use crate::support::service::Site;
use crate::support::strace;

/// What the kernel was asked, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    WritesDatabase,
    Synced,
    WritesToClient,
}

/// A trace of a process.
struct Trace {
    strace: Child,
    file: std::path::PathBuf,
}

impl Trace {
    /// Attaches to the process with all its threads.
    async fn of(process: u32, file: &Path) -> Self {
        let mut strace = Command::new("strace");
        strace.args(["--follow-forks", "--decode-fds=path,socket", "--string-limit=16"]);
        strace.args(["--trace=write,writev,pwrite64,sendto,sendmsg,fdatasync,fsync"]);
        strace.args(["--attach", &process.to_string(), "--output"]).arg(file);
        let strace = strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let trace = Self { strace, file: file.to_owned() };
        // Attached when every thread of the process is traced.
        let traced =
            |status: String| status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"));
        loop {
            let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
            let statuses =
                threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap());
            if statuses.into_iter().all(traced) {
                return trace;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends the trace and reads it.
    fn end(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.strace);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        self.strace.wait().unwrap();
        std::fs::read_to_string(&self.file).unwrap()
    }
}

/// The steps of a trace that matter here. A sync counts when it returned, not when it was called.
fn steps(trace: &str, port: u16) -> Vec<Step> {
    let client = format!(":{port}->");
    let mut syncing = std::collections::BTreeSet::new();
    let mut steps = Vec::new();
    for line in trace.lines() {
        let (thread, call) = line.split_once(' ').unwrap_or_default();
        let call = call.trim_start();
        let is_sync = call.starts_with("fdatasync(") || call.starts_with("fsync(");
        if is_sync && call.contains("bunraku.db-wal") {
            if call.contains("<unfinished") {
                syncing.insert(thread.to_owned());
            } else if call.ends_with("= 0") {
                steps.push(Step::Synced);
            }
        } else if call.starts_with("<... f") && call.contains("sync resumed") {
            if syncing.remove(thread) && call.ends_with("= 0") {
                steps.push(Step::Synced);
            }
        } else if call.contains("bunraku.db-wal") {
            steps.push(Step::WritesDatabase);
        } else if call.contains(&client) {
            steps.push(Step::WritesToClient);
        }
    }
    steps
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_1_the_sync_has_returned_before_the_answer_is_written() {
    if !strace::available() {
        return;
    }
    let site = Site::new();
    let mut served = Served::prepare(&site, &[]).await;
    served.start();
    served.ready().await;
    let file = site.dir().join("trace");
    let trace = Trace::of(served.id(), &file).await;
    let body = json!({"environment": "production", "scope": {"nodes": ["a.example.com", "b.example.com"]}});
    assert_eq!(served.client.deploy(&body).await, "1");
    let text = trace.end();
    let steps = steps(&text, served.client.port());
    let answer = steps.iter().position(|step| *step == Step::WritesToClient).unwrap_or_else(|| panic!("{text}"));
    let before = &steps[..answer];
    let written = before.iter().position(|step| *step == Step::WritesDatabase);
    let synced = before.iter().rposition(|step| *step == Step::Synced);
    assert!(
        written.is_some() && synced > written,
        "the job was written, then synced, then answered: {steps:?}\n{text}"
    );
}
