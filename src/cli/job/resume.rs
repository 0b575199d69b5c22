//! `bunraku job resume`: lets a job that was restored from a backup go on.

use serde_json::json;

use super::job_number;
use crate::cli::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;

const EXAMPLES: &str = "\
Example:
  bunraku job resume 42";

/// Let a job that was restored from a backup start nodes again
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ResumeArgs {
    /// The job's number
    #[arg(value_name = "JOB", value_parser = job_number)]
    job: String,
}

/// Carries out `bunraku job resume`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &ResumeArgs, ctx: &Context) -> Result<Exit, CliError> {
    let client = ctx.client().await?;
    let answer = client.post(&format!("/bunraku/v1/jobs/{}/resume", args.job), &json!({})).await?;
    if ctx.out.is_json() {
        ctx.out.json(&answer);
    } else {
        ctx.out.line(format!("job {} goes on; watch it: bunraku job watch {}", args.job, args.job));
    }
    Ok(Exit::Done)
}
