//! `bunraku job show`: one job and its nodes, those that failed in groups, or one node in full.

use bunraku_actors::model::{Cause, CertName};
use serde_json::{Value, json};

use super::{job_number, node};
use crate::cli::answers::{self, Job, Node};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::follow::Failures;
use crate::cli::why::certname;
use crate::cli::{Context, elapsed};

const EXAMPLES: &str = "\
Examples:
  bunraku job show 42
  bunraku job show 42 --failed                    what went wrong, in groups
  bunraku job show 42 --cause not_connected
  bunraku job show 42 --node web1.example.com     everything about one node";

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
    /// Only nodes that did not finish, in groups of those that have the same trouble
    #[arg(long, conflicts_with = "state")]
    failed: bool,
    /// Only nodes that did not finish for this cause, such as not_connected
    #[arg(long, value_name = "CAUSE", value_parser = Cause::ALL.map(Cause::name), hide_possible_values = true)]
    cause: Option<String>,
    /// Everything about one node: message, times, result, events
    #[arg(long, value_name = "CERTNAME", value_parser = certname, conflicts_with_all = ["state", "failed", "cause"])]
    node: Option<CertName>,
}

/// The states of nodes that did not finish.
const DID_NOT_FINISH: [&str; 3] = ["failed", "errored", "skipped"];

/// Carries out `bunraku job show`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &ShowArgs, ctx: &Context) -> Result<Exit, CliError> {
    let client = ctx.client().await?;
    if let Some(name) = &args.node {
        return node::show(&client, &args.job, name, ctx.out).await;
    }
    let path = format!("/orchestrator/v1/jobs/{}", args.job);
    let job = client.get(&path, &[]).await?;
    let states: Vec<Option<&str>> = match &args.state {
        None if args.failed || args.cause.is_some() => DID_NOT_FINISH.map(Some).to_vec(),
        state => vec![state.as_deref()],
    };
    let mut nodes = Vec::new();
    for state in states {
        let query: Vec<_> = state.iter().map(|state| ("state", (*state).to_owned())).collect();
        nodes.extend(client.all(&format!("{path}/nodes"), &query).await?);
    }
    if let Some(cause) = &args.cause {
        nodes.retain(|node| node.get("cause").and_then(Value::as_str) == Some(cause));
    }
    if ctx.out.is_json() {
        ctx.out.json(&json!({ "job": job, "nodes": nodes }));
        return Ok(Exit::Done);
    }
    for line in head(&answers::read(&job)?) {
        ctx.out.line(line);
    }
    let nodes = nodes.iter().map(answers::read).collect::<Result<Vec<Node>, _>>()?;
    ctx.out.line("");
    if args.failed {
        let failures = Failures::of(&nodes);
        if failures.groups().is_empty() {
            ctx.out.note("there is no such node");
        }
        let width = ctx.out.width().unwrap_or(usize::MAX);
        failures.lines(&args.job, usize::MAX, width).iter().for_each(|line| ctx.out.line(line));
        return Ok(Exit::Done);
    }
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
