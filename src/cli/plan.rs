//! `bunraku plan`: plans that run elsewhere and tell of themselves here.

use serde_json::{Value, json};

use super::answers::text;
use super::client::items_of;
use super::error::CliError;
use super::exit::Exit;
use super::{Context, elapsed};

const LIST_EXAMPLES: &str = "\
Examples:
  bunraku plan list
  bunraku plan list --limit 100 --format json

Plans are run by Bolt, which tells this service of them and has their tasks run here.";

const SHOW_EXAMPLES: &str = "\
Example:
  bunraku plan show 7";

const STOP_EXAMPLES: &str = "\
Example:
  bunraku plan stop 7     its runner is refused from now on; a task that runs goes on";

/// List, show and stop plan jobs
#[derive(Debug, clap::Args)]
pub(crate) struct PlanArgs {
    #[command(subcommand)]
    command: PlanCommand,
}

#[derive(Debug, clap::Subcommand)]
enum PlanCommand {
    /// List plan jobs, newest first
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// How many
        #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
    },
    /// Show a plan job with its jobs and its result
    #[command(after_help = SHOW_EXAMPLES)]
    Show(PlanArg),
    /// Stop a plan job
    #[command(after_help = STOP_EXAMPLES)]
    Stop(PlanArg),
}

#[derive(Debug, clap::Args)]
struct PlanArg {
    /// The plan job's number
    #[arg(value_name = "PLAN_JOB")]
    plan: u64,
}

/// Carries out `bunraku plan …`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &PlanArgs, ctx: &Context) -> Result<Exit, CliError> {
    match &args.command {
        PlanCommand::List { limit } => list(*limit, ctx).await,
        PlanCommand::Show(args) => show(args.plan, ctx).await,
        PlanCommand::Stop(args) => stop(args.plan, ctx).await,
    }
}

async fn list(limit: u64, ctx: &Context) -> Result<Exit, CliError> {
    let query = [
        ("limit", limit.to_string()),
        ("order_by", "name".into()),
        ("order", "desc".into()),
        ("results", "exclude".into()),
    ];
    let items = items_of(ctx.client().await?.get("/orchestrator/v1/plan_jobs", &query).await?)?;
    if ctx.out.is_json() {
        items.iter().for_each(|plan| ctx.out.json(plan));
        return Ok(Exit::Done);
    }
    let row = |plan: &Value| {
        let duration = plan.get("duration").and_then(Value::as_f64).map(elapsed).unwrap_or_default();
        let of = |path| text(plan, path).to_owned();
        [of("/name"), of("/options/plan_name"), of("/state"), of("/owner/login"), of("/created_timestamp"), duration]
    };
    ctx.out.table(["PLAN JOB", "PLAN", "STATE", "OWNER", "CREATED", "DURATION"], items.iter().map(row));
    Ok(Exit::Done)
}

async fn show(plan: u64, ctx: &Context) -> Result<Exit, CliError> {
    let answer = ctx.client().await?.get(&format!("/orchestrator/v1/plan_jobs/{plan}"), &[]).await?;
    if ctx.out.is_json() {
        ctx.out.json(&answer);
        return Ok(Exit::Done);
    }
    let (name, state) = (text(&answer, "/options/plan_name"), text(&answer, "/state"));
    ctx.out.line(format!("plan job {plan}: {name} is {state}, by {}", text(&answer, "/owner/login")));
    for (job, history) in answer.get("status").and_then(Value::as_object).into_iter().flatten() {
        let last = history.as_array().and_then(|history| history.last()).map(|last| text(last, "/state"));
        ctx.out.line(format!("job {job}: {}", last.unwrap_or_default()));
    }
    match answer.get("result") {
        None | Some(Value::Null) => {}
        Some(result) => ctx.out.line(format!("result: {result}")),
    }
    Ok(Exit::Done)
}

async fn stop(plan: u64, ctx: &Context) -> Result<Exit, CliError> {
    let body = json!({ "plan_job": plan.to_string() });
    let answer = ctx.client().await?.post("/orchestrator/v1/command/stop_plan", &body).await?;
    if ctx.out.is_json() {
        ctx.out.json(&answer);
    } else {
        ctx.out.line(format!("plan job {plan} is stopped; end its runner as well, or it begins anew"));
    }
    Ok(Exit::Done)
}
