//! `bunraku node`: which nodes are connected.

use serde_json::Value;

use super::Context;
use super::answers::text;
use super::client::items_of;
use super::error::CliError;
use super::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  bunraku node list
  bunraku node list --format json";

/// Show the nodes that are connected
#[derive(Debug, clap::Args)]
pub(crate) struct NodeArgs {
    #[command(subcommand)]
    command: NodeCommand,
}

#[derive(Debug, clap::Subcommand)]
enum NodeCommand {
    /// List connected nodes
    #[command(after_help = EXAMPLES)]
    List,
}

/// Carries out `bunraku node …`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &NodeArgs, ctx: &Context) -> Result<Exit, CliError> {
    let NodeCommand::List = args.command;
    let client = ctx.client().await?;
    let items = items_of(client.get("/orchestrator/v1/inventory", &[]).await?)?;
    if ctx.out.is_json() {
        items.iter().for_each(|node| ctx.out.json(node));
        return Ok(Exit::Done);
    }
    if items.is_empty() {
        ctx.out.note("no node is connected; `bunraku agent --help` shows how to connect one");
        return Ok(Exit::Done);
    }
    let row = |node: &Value| ["/name", "/timestamp"].map(|place| text(node, place).to_owned());
    ctx.out.table(["NODE", "CONNECTED SINCE"], items.iter().map(row));
    Ok(Exit::Done)
}
