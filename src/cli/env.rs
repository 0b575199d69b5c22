//! `bunraku env`: which environments there are.

use serde_json::Value;

use super::Context;
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
    let path = |environment: &Value| {
        let path = environment.pointer("/settings/modulepath").and_then(Value::as_array).into_iter().flatten();
        path.filter_map(Value::as_str).collect::<Vec<_>>().join(":")
    };
    let name = |environment: &Value| environment.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    ctx.out.table(["ENVIRONMENT", "MODULE PATH"], items.iter().map(|one| [name(one), path(one)]));
    Ok(Exit::Done)
}
