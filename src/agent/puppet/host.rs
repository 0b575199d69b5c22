//! Puppet on this node: its program, its paths, and whose turn it is.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use super::command::{self, Paths};
use super::results::{Fault, FaultKind};
use crate::agent::config::{PuppetConfig, PuppetMode};

/// Where the packages of the Puppet vendors put it.
const PACKAGED: &str = "/opt/puppetlabs/bin/puppet";
/// Starting Ruby takes seconds; a minute means that something is broken.
const PRINT_TIMEOUT: Duration = Duration::from_secs(60);

/// Puppet on this node.
#[derive(Debug)]
pub(in crate::agent) struct PuppetHost {
    config: PuppetConfig,
    /// Our runs wait for each other here, in the order of their coming; Puppet's own lock appears too late for that.
    turn: Mutex<()>,
    /// Asked once: it costs a second or more.
    printed: OnceCell<Paths>,
}

impl PuppetHost {
    /// Nothing is asked of Puppet until the first run.
    pub(in crate::agent) fn new(config: PuppetConfig) -> Self {
        Self { config, turn: Mutex::new(()), printed: OnceCell::new() }
    }

    /// Waits until no other run of ours goes on.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The program that runs Puppet.
    pub(super) fn program(&self) -> Result<PathBuf, Fault> {
        let missing = |path: &Path| {
            Fault::new(FaultKind::NoPuppetBin, format!("Puppet executable '{}' does not exist", path.display()))
        };
        if let Some(command) = &self.config.command {
            return if is_executable(command) { Ok(command.clone()) } else { Err(missing(command)) };
        }
        let path = command::search_path();
        let mut candidates = vec![PathBuf::from(PACKAGED)];
        candidates
            .extend(path.split(':').filter(|part| part.starts_with('/')).map(|part| Path::new(part).join("puppet")));
        candidates.into_iter().find(|path| is_executable(path)).ok_or_else(|| missing(Path::new(PACKAGED)))
    }

    /// Puppet's files, for a run whose directory is `directory`.
    pub(super) async fn paths(&self, program: &Path, directory: &Path) -> Result<Paths, Fault> {
        match (self.config.mode, &self.config.vardir) {
            (PuppetMode::Apply, Some(vardir)) => Ok(Paths::of_apply(vardir, directory)),
            (PuppetMode::Apply | PuppetMode::Agent, _) => {
                self.printed.get_or_try_init(|| self.ask(program)).await.cloned()
            }
        }
    }

    async fn ask(&self, program: &Path) -> Result<Paths, Fault> {
        let no_paths = |reason: String| {
            let error = format!("could not find the location of the last run report: {reason}");
            Fault::new(FaultKind::NoLastRunReport, error)
        };
        let mut print = Command::new(program);
        print
            .args(["config", "print", "--section", "agent"])
            .args(command::directories(&self.config))
            .args(Paths::NAMES);
        command::clean_environment(&mut print);
        print.stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(PRINT_TIMEOUT, print.output())
            .await
            .map_err(|_| no_paths(format!("'puppet config print' took more than {PRINT_TIMEOUT:?}")))?
            .map_err(|error| no_paths(error.to_string()))?;
        Paths::parse(&String::from_utf8_lossy(&output.stdout))
            .ok_or_else(|| no_paths("'puppet config print' did not tell it".to_owned()))
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
