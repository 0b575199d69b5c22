//! The real binary from the outside: help, usage errors, exit codes, the files that it makes, and how it follows a job.

#![expect(clippy::unwrap_used, reason = "a helper that cannot do its work fails the test")]

mod account;
mod demo;
mod doctor;
mod follow;
mod help;
mod import;
mod init;
mod server;
mod steer;
mod terminal;
mod usage;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The binary, without anything that the caller's environment says about servers and colors.
fn bunraku() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bunraku"));
    for variable in ["BUNRAKU_URL", "BUNRAKU_TOKEN", "BUNRAKU_CA", "NO_COLOR"] {
        command.env_remove(variable);
    }
    // No client file of whoever runs the tests.
    command.env("XDG_CONFIG_HOME", "/nonexistent").env("COLUMNS", "100").stdin(Stdio::null());
    command
}

/// Runs it to its end.
fn run(arguments: &[&str]) -> Ended {
    Ended::of(bunraku().args(arguments))
}

/// A run that is over.
#[derive(Debug)]
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn of(command: &mut Command) -> Self {
        Self::from(command.output().unwrap())
    }

    /// The one JSON value on standard output.
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().expect("ended by itself");
        Self { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
