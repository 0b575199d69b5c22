//! `bunraku job retry`: runs nodes of a job again, as a new job, followed to its end.

use serde_json::json;

use super::job_number;
use super::watch::{Interrupt, watch_to_end};
use crate::cli::Context;
use crate::cli::allow::JudgeArgs;
use crate::cli::answers::job_name;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  bunraku job retry 42              nodes that failed or did not run
  bunraku job retry 42 --failed     nodes that ran and failed
  bunraku job retry 42 --unknown    nodes of which nobody knows whether they ran

Exit codes are those of `bunraku job run`.";

/// Run nodes of a job again, with the same options
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RetryArgs {
    /// The job's number
    #[arg(value_name = "JOB", value_parser = job_number)]
    job: String,
    /// Only nodes whose run took place and failed
    #[arg(long, group = "which")]
    failed: bool,
    /// Only nodes whose run did not take place
    #[arg(long, group = "which")]
    not_run: bool,
    /// Only nodes whose run may have been done
    #[arg(long, group = "which")]
    unknown: bool,
    /// All nodes of the job
    #[arg(long, group = "which")]
    all: bool,
    #[command(flatten)]
    judge: JudgeArgs,
}

/// Carries out `bunraku job retry`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &RetryArgs, ctx: &Context) -> Result<Exit, CliError> {
    let words = [("failed", args.failed), ("not_run", args.not_run), ("unknown", args.unknown), ("all", args.all)];
    let body = words.iter().find(|(_, on)| *on).map_or_else(|| json!({}), |(word, _)| json!({ "which": word }));
    let client = ctx.client().await?;
    let name = job_name(&client.post(&format!("/bunraku/v1/jobs/{}/retry", args.job), &body).await?)?;
    watch_to_end(&client, &name, ctx.out, Interrupt::Asks, &args.judge).await
}
