//! `bunraku job list`: the newest jobs.

use crate::cli::answers::{self, Job};
use crate::cli::client::items_of;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::{Context, elapsed};

const EXAMPLES: &str = "\
Examples:
  bunraku job list
  bunraku job list --type task --limit 100 --format json";

/// List jobs, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ListArgs {
    /// How many
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Only jobs of this type
    #[arg(long = "type", value_name = "TYPE", value_parser = ["deploy", "task", "plan_task"])]
    kind: Option<String>,
}

/// Carries out `bunraku job list`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &ListArgs, ctx: &Context) -> Result<Exit, CliError> {
    let client = ctx.client().await?;
    let newest_first = [("order_by", "name"), ("order", "desc")].map(|(key, value)| (key, value.to_owned()));
    let mut query = vec![("limit", args.limit.to_string())];
    query.extend(newest_first);
    query.extend(args.kind.clone().map(|kind| ("type", kind)));
    let items = items_of(client.get("/orchestrator/v1/jobs", &query).await?)?;
    if ctx.out.is_json() {
        items.iter().for_each(|job| ctx.out.json(job));
        return Ok(Exit::Done);
    }
    let jobs = items.iter().map(answers::read).collect::<Result<Vec<Job>, _>>()?;
    if jobs.is_empty() {
        ctx.out.note("no jobs yet; `bunraku job run --help` shows how to start one");
        return Ok(Exit::Done);
    }
    let header = ["JOB", "STATE", "WHAT", "ENVIRONMENT", "NODES", "OWNER", "STARTED", "TOOK", "DESCRIPTION"];
    ctx.out.table(header, jobs.into_iter().map(row));
    Ok(Exit::Done)
}

fn row(job: Job) -> [String; 9] {
    let (what, states) = (job.what().to_owned(), job.states());
    [
        job.name,
        job.state,
        what,
        job.environment.name,
        states,
        job.owner.login,
        job.started_timestamp.unwrap_or_default(),
        job.duration.map(elapsed).unwrap_or_default(),
        job.description,
    ]
}
