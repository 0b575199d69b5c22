//! Starting a wrapper, waiting for its run, also after a restart of the agent, and reading what the run wrote.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::sleep;

use super::exec_run::read_exit_code;
use super::proc_table::ProcessId;
use super::{CHILD, STDERR, STDOUT, kill, uncounted};
use crate::agent::files::{self, off_thread};
use crate::agent::spool::{PID, VOID};
use crate::wire::cut::Cut;

/// How often a run is looked at whose end nothing announces.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// How the process of a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::agent) enum Ended {
    /// With this exit code, of its own accord or canceled.
    Exit(i64),
    /// It never started, and never will.
    NotStarted,
    /// Wrapper and work are gone without an exit code.
    Lost,
}

/// A run's process, started by this agent or by an earlier one.
#[derive(Debug)]
pub(in crate::agent) struct Process {
    directory: PathBuf,
    /// Our own child; a wrapper of an earlier agent has another parent by now.
    wrapper: Option<Child>,
}

impl Process {
    /// Starts the wrapper for a directory that holds an order.
    pub(in crate::agent) fn start(command: &[String], directory: &Path) -> io::Result<Self> {
        let mut start = match command.split_first() {
            Some((program, args)) => {
                let mut start = Command::new(program);
                start.args(args);
                start
            }
            None => {
                // Not the path of our file: an upgrade replaces that under a running agent.
                let mut start = Command::new("/proc/self/exe");
                start.arg0("bunraku").args(["agent", "exec-run"]);
                start
            }
        };
        start.arg(directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(false);
        Ok(Self { directory: directory.to_owned(), wrapper: Some(start.spawn()?) })
    }

    /// Takes over the run of an earlier agent, and makes sure that one which has not begun never will.
    pub(in crate::agent) fn adopt(directory: &Path) -> io::Result<Self> {
        files::claim(&directory.join(PID), VOID)?;
        Ok(Self { directory: directory.to_owned(), wrapper: None })
    }

    /// Waits for the end. As soon as `canceled` turns true, ends the run; `on_look` is called now and then meanwhile.
    pub(in crate::agent) async fn wait(
        mut self,
        mut canceled: watch::Receiver<bool>,
        mut on_look: impl FnMut() + Send,
    ) -> Ended {
        let mut terminated = false;
        loop {
            // Looked at before the files are: whoever was gone by now has written all that it ever will.
            let gone = self.is_gone();
            if let Some(ended) = self.ended(gone) {
                return ended;
            }
            on_look();
            if !terminated && *canceled.borrow_and_update() {
                terminated = self.cancel().await;
                continue;
            }
            let wrapper = async {
                match &mut self.wrapper {
                    // An error means that it was collected already.
                    Some(child) => drop(child.wait().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wrapper => self.wrapper = None,
                () = sleep(LOOK_INTERVAL) => {}
                Ok(()) = canceled.changed(), if !terminated => {}
            }
        }
    }

    /// Ends the work; `false` when the wrapper has not told yet what that is.
    async fn cancel(&self) -> bool {
        match files::claim(&self.directory.join(PID), VOID) {
            // Ours now: the wrapper will find it taken and leave.
            Ok(true) => return true,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "cannot claim a canceled run"),
        }
        if !self.directory.join(CHILD).exists() && !self.is_gone() {
            sleep(LOOK_INTERVAL).await;
            return false;
        }
        kill::terminate(&self.directory).await;
        true
    }

    fn is_gone(&self) -> bool {
        let alive = |name| ProcessId::read(&self.directory.join(name)).is_some_and(ProcessId::is_alive);
        self.wrapper.is_none() && !alive(PID) && !alive(CHILD)
    }

    fn ended(&self, gone: bool) -> Option<Ended> {
        if let Some(code) = read_exit_code(&self.directory) {
            return Some(Ended::Exit(code));
        }
        if !gone {
            return None;
        }
        if !self.directory.exists() {
            // Somebody removed it: what it would have said of the run is lost.
            return Some(Ended::Lost);
        }
        // A wrapper that is gone and left no claim ended before it could start anything.
        let claim = std::fs::read_to_string(self.directory.join(PID)).unwrap_or_else(|_| VOID.to_owned());
        Some(if claim == VOID { Ended::NotStarted } else { Ended::Lost })
    }
}

/// Both outputs of a run as text, each cut at `limit` bytes; cuts and replaced bytes are marked.
pub(in crate::agent) async fn collect_output(directory: &Path, limit: usize) -> io::Result<(String, String)> {
    let directory = directory.to_owned();
    off_thread(move || Ok((read_output(&directory, STDOUT, limit)?, read_output(&directory, STDERR, limit)?))).await
}

fn read_output(directory: &Path, name: &str, limit: usize) -> io::Result<String> {
    let file = match File::open(directory.join(name)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error),
    };
    let written = file.metadata()?.len();
    let mut beginning = Vec::new();
    file.take(limit as u64).read_to_end(&mut beginning)?;
    Ok(Cut::of_bytes(&beginning, written, directory.join(uncounted(name)).exists()).into_text())
}
