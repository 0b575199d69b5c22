//! `bunraku agent`: the node agent, and the hidden wrapper that its runs start through.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use tokio::io::AsyncReadExt;

use super::error::CliError;
use super::exit::Exit;
use crate::agent::config::LogFormat;
use crate::agent::{self, AgentConfig};
use crate::{config, telemetry};

/// The agent waits most of the time; a second thread keeps its connection alive while the first one is busy.
const THREADS: usize = 2;

const EXAMPLES: &str = "\
Example:
  bunraku agent --config /etc/bunraku/agent.yaml

Stopping the agent does not stop a run: the next start of the agent takes it over.";

/// Run the agent of a node: for nodes without pxp-agent
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct AgentArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/bunraku/agent.yaml")]
    config: PathBuf,
    /// Stop when standard input ends, with all runs, so that nothing outlives the program that started it
    #[arg(long, hide = true)]
    end_with_stdin: bool,
    #[command(subcommand)]
    command: Option<AgentCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum AgentCommand {
    /// Wrap one run; started by the agent only
    #[command(hide = true)]
    ExecRun { dir: PathBuf },
}

impl AgentArgs {
    /// The directory of the run to wrap, when that is asked for.
    pub(crate) fn wrapped_run(&self) -> Option<&Path> {
        self.command.as_ref().map(|AgentCommand::ExecRun { dir }| dir.as_path())
    }
}

/// Wraps one run.
pub(crate) fn exec_run(dir: &Path) -> ExitCode {
    agent::exec_run(dir)
}

/// Carries out `bunraku agent`.
///
/// # Errors
/// When the configuration is unusable, or the agent cannot start.
pub(crate) fn run(args: &AgentArgs) -> Result<Exit, CliError> {
    let config = AgentConfig::load(&args.config).map_err(|error| CliError::Usage(error.to_string()))?;
    let format = match config.log.format {
        LogFormat::Text => config::LogFormat::Human,
        LogFormat::Json => config::LogFormat::Json,
    };
    let log = config::Log { level: config.log.level.clone(), format };
    telemetry::start_logging(&log).map_err(|error| CliError::Usage(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let runtime = runtime.context("cannot start threads")?;
    let end_with_stdin = args.end_with_stdin;
    runtime.block_on(agent::run(config, async move {
        if end_with_stdin {
            stdin_ended().await;
        } else {
            std::future::pending().await
        }
    }))?;
    // Without waiting: a read of standard input cannot be called off.
    runtime.shutdown_background();
    Ok(Exit::Done)
}

/// Waits for the end of standard input; what is read is dropped.
async fn stdin_ended() {
    let mut input = tokio::io::stdin();
    let mut dropped = [0; 256];
    while matches!(input.read(&mut dropped).await, Ok(1..)) {}
}
