//! `bunraku task list`: the tasks of an environment.

use serde_json::Value;

use crate::cli::Context;
use crate::cli::client::items_of;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;

const EXAMPLES: &str = "\
Example:
  bunraku task list --environment staging";

/// List the tasks of an environment
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ListArgs {
    /// The environment
    #[arg(short, long, default_value = "production", value_name = "NAME")]
    environment: String,
}

/// Carries out `bunraku task list`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &ListArgs, ctx: &Context) -> Result<Exit, CliError> {
    let client = ctx.client().await?;
    let query = [("environment", args.environment.clone())];
    let items = items_of(client.get("/orchestrator/v1/tasks", &query).await?)?;
    if items.is_empty() {
        ctx.out.note(format!("the environment {} has no tasks", args.environment));
    }
    for task in &items {
        if ctx.out.is_json() {
            ctx.out.json(task);
        } else {
            ctx.out.line(task.get("name").and_then(Value::as_str).unwrap_or_default());
        }
    }
    Ok(Exit::Done)
}
