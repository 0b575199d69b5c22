//! The demo's child processes: the service and the agents, each of them this same program.
//!
//! A child holds the reading end of a pipe as standard input and ends when the pipe does. So no child outlives the
//! demo, not even when the demo is killed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

/// How long a child may take to end by itself before it is killed. An agent ends its runs first.
const PATIENCE: Duration = Duration::from_secs(20);
/// So many lines of a child's log explain its end.
const EXPLAINING_LINES: usize = 5;

/// A running child.
pub(super) struct Part {
    name: String,
    log: PathBuf,
    child: Child,
    /// The writing end of its standard input. Held here, since waiting for a child closes the one that the child holds.
    lifeline: Option<ChildStdin>,
}

impl Part {
    /// Starts `bunraku` with these arguments; its output goes to a file of its own in `logs`.
    ///
    /// # Errors
    /// When the process or its log cannot be made.
    pub(super) fn start(name: &str, arguments: &[&str], config: &Path, logs: &Path) -> anyhow::Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let errors = output.try_clone().with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
        command.args(arguments).arg("--end-with-stdin").arg("--config").arg(config);
        for (variable, _) in std::env::vars_os() {
            // What the caller's environment says about other services is not meant for this one.
            if variable.to_string_lossy().starts_with("BUNRAKU_") {
                command.env_remove(variable);
            }
        }
        // Its log is a file: no colors there.
        command.env("NO_COLOR", "1");
        // A group of its own: Ctrl-C on the terminal reaches the demo alone, which then ends its parts in order.
        command.process_group(0).stdin(Stdio::piped()).stdout(output).stderr(errors).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let lifeline = child.stdin.take();
        Ok(Self { name: name.to_owned(), log, child, lifeline })
    }

    /// Fails with the end of its log if it has ended, which no part does by itself.
    ///
    /// # Errors
    /// When it has ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait().with_context(|| format!("cannot wait for {}", self.name))? {
            None => Ok(()),
            Some(status) => Err(self.explain(&status.to_string())),
        }
    }

    /// Returns when it has ended, with its exit status.
    pub(super) async fn ended(&mut self) -> String {
        self.child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string())
    }

    /// What it is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its end as an error, with the last lines of its log.
    pub(super) fn explain(&self, status: &str) -> anyhow::Error {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(EXPLAINING_LINES).collect();
        let lines: Vec<_> = lines.into_iter().rev().collect();
        anyhow::anyhow!("{} ended ({status}):\n{}", self.name, lines.join("\n"))
    }

    /// `kill -9`, and waits for the end.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.with_context(|| format!("cannot kill {}", self.name))
    }

    /// Closes its standard input and waits for its end; one that does not end is killed.
    pub(super) async fn end(mut self) {
        drop(self.lifeline.take());
        if timeout(PATIENCE, self.child.wait()).await.is_err() {
            // It may have ended in this very moment, which is as good.
            let _ = self.child.kill().await;
        }
    }
}
