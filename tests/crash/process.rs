//! Real processes of the real binary: started, killed at once, told to end, frozen.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

/// How often is looked whether a process has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A running process; killed when it is dropped.
pub(crate) struct Process(Child);

impl Process {
    /// Starts the binary; what it prints is appended to a file. It ends with its standard input, so that it outlives the
    /// test in no case.
    pub(crate) fn start(arguments: &[&str], config: &Path, variables: &[(String, String)], log: &Path) -> Self {
        let output: File = OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut command = binary();
        command.args(arguments).arg("--end-with-stdin").arg("--config").arg(config);
        command.envs(variables.iter().map(|(name, value)| (name, value))).env("NO_COLOR", "1");
        command.stdin(Stdio::piped()).stdout(output.try_clone().unwrap()).stderr(output);
        Self(command.spawn().unwrap())
    }

    /// SIGKILL: the next instruction of the process never happens.
    pub(crate) fn kill(mut self) {
        // An error says that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // As above.
        let _ = kill_process(Pid::from_child(&self.0), signal);
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }

    /// SIGTERM, and then the patience for it to end; `None` when it did not.
    pub(crate) async fn terminate(&mut self, patience: Duration) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            sleep(LOOK_AGAIN).await;
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The binary, without what the caller's environment says about other services.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bunraku"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BUNRAKU_") {
            command.env_remove(name);
        }
    }
    command.env("XDG_CONFIG_HOME", "/nonexistent");
    command
}

/// Kills every process whose command line names this directory.
pub(crate) fn kill_all_below(directory: &Path) {
    let marked = format!("{}/", directory.display());
    let own = std::process::id();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if pid.unsigned_abs() != own && String::from_utf8_lossy(&line).contains(&marked) {
            // It may have ended meanwhile.
            let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
        }
    }
}
