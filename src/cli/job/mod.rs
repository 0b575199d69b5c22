//! `bunraku job`: runs Puppet on nodes, and everything about jobs of either kind.

mod list;
mod node;
mod preview;
mod resume;
mod retry;
mod run;
mod show;
mod stop;
mod watch;

use super::Context;
use super::error::CliError;
use super::exit::Exit;
pub(crate) use run::RunArgs;
pub(crate) use watch::{Interrupt, watch_to_end};

/// Run, list, show, watch, stop and retry jobs
#[derive(Debug, clap::Args)]
pub(crate) struct JobArgs {
    #[command(subcommand)]
    command: JobCommand,
}

#[derive(Debug, clap::Subcommand)]
enum JobCommand {
    Run(Box<run::StartArgs>),
    List(list::ListArgs),
    Show(show::ShowArgs),
    Watch(watch::WatchArgs),
    Stop(stop::StopArgs),
    Resume(resume::ResumeArgs),
    Retry(retry::RetryArgs),
}

/// Carries out `bunraku job …`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &JobArgs, ctx: &Context) -> Result<Exit, CliError> {
    match &args.command {
        JobCommand::Run(args) => run::run(args, ctx).await,
        JobCommand::List(args) => list::run(args, ctx).await,
        JobCommand::Show(args) => show::run(args, ctx).await,
        JobCommand::Watch(args) => watch::run(args, ctx).await,
        JobCommand::Retry(args) => retry::run(args, ctx).await,
        JobCommand::Resume(args) => resume::run(args, ctx).await,
        JobCommand::Stop(args) => stop::run(args, ctx).await,
    }
}

/// A job's number from the command line.
///
/// # Errors
/// When it is no number.
fn job_number(text: &str) -> Result<String, String> {
    match text.parse::<u64>() {
        Ok(number) => Ok(number.to_string()),
        Err(_) => Err(format!("'{text}' is no job number")),
    }
}
