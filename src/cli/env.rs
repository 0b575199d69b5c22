//! `bunraku env`: which environments there are.

use serde_json::{Value, json};

use super::Context;
use super::answers::{joined, text};
use super::client::{items_of, segment};
use super::error::CliError;
use super::exit::Exit;

const EXAMPLES: &str = "\
Example:
  bunraku env list";
const FLUSH_EXAMPLES: &str = "\
Example:
  bunraku env flush production     after r10k has deployed it";

/// Show environments
#[derive(Debug, clap::Args)]
pub(crate) struct EnvArgs {
    #[command(subcommand)]
    command: EnvCommand,
}

#[derive(Debug, clap::Subcommand)]
enum EnvCommand {
    /// List environments with their module paths
    #[command(after_help = EXAMPLES)]
    List,
    /// Let puppetserver read the code of an environment again
    #[command(after_help = FLUSH_EXAMPLES)]
    Flush {
        /// The environment
        environment: String,
    },
}

/// Carries out `bunraku env …`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &EnvArgs, ctx: &Context) -> Result<Exit, CliError> {
    match &args.command {
        EnvCommand::List => list(ctx).await,
        EnvCommand::Flush { environment } => flush(environment, ctx).await,
    }
}

async fn flush(environment: &str, ctx: &Context) -> Result<Exit, CliError> {
    let path = format!("/bunraku/v1/environments/{}/flush", segment(environment));
    let answer = ctx.client().await?.post(&path, &json!({})).await?;
    if ctx.out.is_json() {
        ctx.out.json(&answer);
    } else if answer.get("flushed") == Some(&Value::Bool(true)) {
        ctx.out.line(format!("puppetserver reads the code of {environment} again"));
    } else {
        ctx.out.line("nothing to do: no puppetserver is configured, and files are read at each use");
    }
    Ok(Exit::Done)
}

async fn list(ctx: &Context) -> Result<Exit, CliError> {
    let items = items_of(ctx.client().await?.get("/orchestrator/v1/environments", &[]).await?)?;
    if ctx.out.is_json() {
        items.iter().for_each(|environment| ctx.out.json(environment));
        return Ok(Exit::Done);
    }
    let row = |one: &Value| [text(one, "/name").to_owned(), joined(one, "/settings/modulepath", ":")];
    ctx.out.table(["ENVIRONMENT", "MODULE PATH"], items.iter().map(row));
    Ok(Exit::Done)
}
