//! `bunraku job show`: one job and its nodes.

use serde_json::json;

use super::job_number;
use crate::cli::answers::{self, Job, Node};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::{Context, elapsed};

const EXAMPLES: &str = "\
Examples:
  bunraku job show 42
  bunraku job show 42 --state failed";

/// Show a job and what became of its nodes
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ShowArgs {
    /// The job's number
    #[arg(value_name = "JOB", value_parser = job_number)]
    job: String,
    /// Only nodes in this state
    #[arg(long, value_name = "STATE", value_parser = ["new", "ready", "running", "finished", "failed", "errored", "skipped"])]
    state: Option<String>,
}

/// Carries out `bunraku job show`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &ShowArgs, ctx: &Context) -> Result<Exit, CliError> {
    let client = ctx.client().await?;
    let path = format!("/orchestrator/v1/jobs/{}", args.job);
    let job = client.get(&path, &[]).await?;
    let query: Vec<_> = args.state.iter().map(|state| ("state", state.clone())).collect();
    let nodes = client.all(&format!("{path}/nodes"), &query).await?;
    if ctx.out.is_json() {
        ctx.out.json(&json!({ "job": job, "nodes": nodes }));
        return Ok(Exit::Done);
    }
    for line in head(&answers::read(&job)?) {
        ctx.out.line(line);
    }
    let nodes = nodes.iter().map(answers::read).collect::<Result<Vec<Node>, _>>()?;
    ctx.out.line("");
    ctx.out.table(["NODE", "STATE", "TOOK", "CAUSE", "MESSAGE"], nodes.iter().map(row));
    Ok(Exit::Done)
}

fn head(job: &Job) -> Vec<String> {
    let (what, states) = (job.what(), job.states());
    let pairs = [
        ("job", job.name.as_str()),
        ("state", job.state.as_str()),
        ("runs", what),
        ("environment", job.environment.name.as_str()),
        ("owner", job.owner.login.as_str()),
        ("description", job.description.as_str()),
        ("started", job.started_timestamp.as_deref().unwrap_or_default()),
        ("finished", job.finished_timestamp.as_deref().unwrap_or_default()),
        ("nodes", states.as_str()),
    ];
    let shown = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    shown.map(|(key, value)| format!("{key:<12} {value}")).collect()
}

fn row(node: &Node) -> [String; 5] {
    [
        node.name.clone(),
        node.state.clone(),
        node.duration.map(elapsed).unwrap_or_default(),
        node.cause.clone().unwrap_or_default(),
        node.message().to_owned(),
    ]
}
