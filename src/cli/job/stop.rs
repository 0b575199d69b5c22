//! `bunraku job stop`: no further node starts; with `--force` the running ones are ended too.

use serde_json::{Value, json};

use super::job_number;
use crate::cli::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  bunraku job stop 42            running nodes finish, no other one starts
  bunraku job stop 42 --force    running nodes are ended as well";

/// Stop a job; running nodes finish first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StopArgs {
    /// The job's number
    #[arg(value_name = "JOB", value_parser = job_number)]
    job: String,
    /// End running nodes too
    #[arg(long)]
    force: bool,
}

/// Carries out `bunraku job stop`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &StopArgs, ctx: &Context) -> Result<Exit, CliError> {
    let client = ctx.client().await?;
    let mut body = json!({ "job": args.job });
    if args.force {
        body["force"] = Value::Bool(true);
    }
    let answer = client.post("/orchestrator/v1/command/stop", &body).await?;
    if ctx.out.is_json() {
        ctx.out.json(&answer);
        return Ok(Exit::Done);
    }
    ctx.out.line(format!("job {}: stop accepted: {}", args.job, counts(&answer)));
    ctx.out.note(format!("see how it ends: bunraku job watch {}", args.job));
    Ok(Exit::Done)
}

fn counts(answer: &Value) -> String {
    let nodes = answer.pointer("/job/nodes").and_then(Value::as_object);
    let shown = nodes.into_iter().flatten().filter(|(_, count)| count.as_u64() != Some(0));
    shown.map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", ")
}
