//! `bunraku env`: which environments there are.

use serde_json::Value;

use super::Context;
use super::answers::{joined, text};
use super::client::items_of;
use super::error::CliError;
use super::exit::Exit;

const EXAMPLES: &str = "\
Example:
  bunraku env list";

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
}

/// Carries out `bunraku env …`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &EnvArgs, ctx: &Context) -> Result<Exit, CliError> {
    let EnvCommand::List = args.command;
    let items = items_of(ctx.client().await?.get("/orchestrator/v1/environments", &[]).await?)?;
    if ctx.out.is_json() {
        items.iter().for_each(|environment| ctx.out.json(environment));
        return Ok(Exit::Done);
    }
    let row = |one: &Value| [text(one, "/name").to_owned(), joined(one, "/settings/modulepath", ":")];
    ctx.out.table(["ENVIRONMENT", "MODULE PATH"], items.iter().map(row));
    Ok(Exit::Done)
}
