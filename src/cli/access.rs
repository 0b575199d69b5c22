//! `bunraku access can`: whether somebody may do something, and why.

use serde_json::Value;

use super::Context;
use super::answers::{joined, text};
use super::error::CliError;
use super::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  bunraku access can alice puppet_agent:run web1.example.com --environment production
  bunraku access can ci tasks:run --instance service::restart

Exit codes: 0 yes, 1 no.";

/// Explain who may do what
#[derive(Debug, clap::Args)]
pub(crate) struct AccessArgs {
    #[command(subcommand)]
    command: AccessCommand,
}

#[derive(Debug, clap::Subcommand)]
enum AccessCommand {
    /// Say whether somebody may do something, and why
    #[command(after_help = EXAMPLES)]
    Can(CanArgs),
}

#[derive(Debug, clap::Args)]
struct CanArgs {
    /// The login
    #[arg(value_name = "USER")]
    user: String,
    /// The permission, for example puppet_agent:run
    #[arg(value_name = "ACTION")]
    action: String,
    /// On which node [default: on any]
    #[arg(value_name = "NODE")]
    node: Option<String>,
    /// In which environment
    #[arg(short, long, value_name = "NAME")]
    environment: Option<String>,
    /// With which task, plan or group
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
}

/// Carries out `bunraku access …`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &AccessArgs, ctx: &Context) -> Result<Exit, CliError> {
    let AccessCommand::Can(args) = &args.command;
    let mut query = vec![("user", args.user.clone()), ("action", args.action.clone())];
    let optional = [("node", &args.node), ("environment", &args.environment), ("instance", &args.instance)];
    query.extend(optional.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))));
    let answer = ctx.client().await?.get("/bunraku/v1/access", &query).await?;
    let allowed = answer.get("allowed") == Some(&Value::Bool(true));
    if ctx.out.is_json() {
        ctx.out.json(&answer);
    } else {
        ctx.out.line(format!("{}: {}", if allowed { "yes" } else { "no" }, text(&answer, "/reason")));
        let roles = joined(&answer, "/roles", ", ");
        if !roles.is_empty() {
            ctx.out.line(format!("roles: {roles}"));
        }
        for grant in answer.get("grants").and_then(Value::as_array).into_iter().flatten() {
            ctx.out.line(format!("grant: {}", limits(grant)));
        }
    }
    Ok(if allowed { Exit::Done } else { Exit::Failed })
}

/// A grant with its limits: `puppet_agent:run, environments production, nodes web*`.
fn limits(grant: &Value) -> String {
    let mut shown = text(grant, "/permission").to_owned();
    for key in ["instances", "environments", "nodes"] {
        if grant.get(key).is_some_and(Value::is_array) {
            shown.push_str(&format!(", {key} {}", joined(grant, &format!("/{key}"), " ")));
        }
    }
    shown
}
