//! `bunraku group`: node groups, and who is in them.

use serde_json::Value;

use super::Context;
use super::answers::text;
use super::client::items_of;
use super::error::CliError;
use super::exit::Exit;

const LIST_EXAMPLES: &str = "\
Examples:
  bunraku group list
  bunraku group list --format json";
const NODES_EXAMPLES: &str = "\
Examples:
  bunraku group nodes 'Web servers'
  bunraku group nodes 8f3c6b0e-0b1a-4c5e-9a53-5d1f0f7a2c11 | bunraku task run facts --nodes -";

/// Show node groups
#[derive(Debug, clap::Args)]
pub(crate) struct GroupArgs {
    #[command(subcommand)]
    command: GroupCommand,
}

#[derive(Debug, clap::Subcommand)]
enum GroupCommand {
    /// List node groups with their rules
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// List the nodes of a group, one per line
    #[command(after_help = NODES_EXAMPLES)]
    Nodes {
        /// The group's id or name
        group: String,
    },
}

/// Carries out `bunraku group …`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &GroupArgs, ctx: &Context) -> Result<Exit, CliError> {
    match &args.command {
        GroupCommand::List => list(ctx).await,
        GroupCommand::Nodes { group } => nodes(ctx, group).await,
    }
}

async fn list(ctx: &Context) -> Result<Exit, CliError> {
    let items = items_of(ctx.client().await?.get("/bunraku/v1/groups", &[]).await?)?;
    if ctx.out.is_json() {
        items.iter().for_each(|group| ctx.out.json(group));
        return Ok(Exit::Done);
    }
    if items.is_empty() {
        ctx.out.note("there are no node groups; docs/groups.md says how to make them");
        return Ok(Exit::Done);
    }
    let row = |group: &Value| {
        let rule = group.get("rule").filter(|rule| !rule.is_null()).map_or_else(|| "none".to_owned(), Value::to_string);
        [text(group, "/name").to_owned(), text(group, "/id").to_owned(), rule]
    };
    ctx.out.table(["GROUP", "ID", "RULE"], items.iter().map(row));
    Ok(Exit::Done)
}

async fn nodes(ctx: &Context, group: &str) -> Result<Exit, CliError> {
    let path = format!("/bunraku/v1/groups/{}/nodes", super::client::segment(group));
    let answer = ctx.client().await?.get(&path, &[]).await?;
    if ctx.out.is_json() {
        ctx.out.json(&answer);
        return Ok(Exit::Done);
    }
    let nodes = answer.get("nodes").and_then(Value::as_array).cloned().unwrap_or_default();
    for node in nodes.iter().filter_map(Value::as_str) {
        ctx.out.line(node);
    }
    Ok(Exit::Done)
}
