//! `bunraku audit`: who did what, and who was refused.

use serde_json::Value;

use super::Context;
use super::answers::text;
use super::client::items_of;
use super::error::CliError;
use super::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  bunraku audit --limit 50
  bunraku audit --login alice --outcome refused
  bunraku audit --since 2026-03-01T00:00:00Z --format json";

/// Show the audit log, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AuditArgs {
    /// How many entries
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
    /// Only of this login
    #[arg(long, value_name = "LOGIN")]
    login: Option<String>,
    /// Only with this outcome
    #[arg(long, value_name = "OUTCOME", value_parser = ["accepted", "refused", "failed"])]
    outcome: Option<String>,
    /// Only where the action holds this text
    #[arg(long, value_name = "TEXT")]
    action: Option<String>,
    /// Only from this time on
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only up to this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// Carries out `bunraku audit`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &AuditArgs, ctx: &Context) -> Result<Exit, CliError> {
    let mut query = vec![("limit", args.limit.to_string())];
    let optional = [
        ("login", &args.login),
        ("outcome", &args.outcome),
        ("action", &args.action),
        ("since", &args.since),
        ("until", &args.until),
    ];
    query.extend(optional.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))));
    let items = items_of(ctx.client().await?.get("/bunraku/v1/audit", &query).await?)?;
    if ctx.out.is_json() {
        items.iter().for_each(|entry| ctx.out.json(entry));
        return Ok(Exit::Done);
    }
    let about = |entry: &Value| {
        let of = |key: &str| entry.get("about").and_then(|about| about.get(key));
        match (of("msg").and_then(Value::as_str), of("job")) {
            (Some(msg), _) => msg.to_owned(),
            (None, Some(job)) => {
                let nodes = of("nodes").and_then(Value::as_u64).unwrap_or_default();
                format!("job {job}, {}", super::output::counted(nodes, "node", "nodes"))
            }
            (None, None) => {
                let names = ["login", "scheduled_job", "plan_job", "task_target", "path"];
                let named = names.into_iter().find_map(|key| Some((key, of(key)?.as_str()?)));
                named.map(|(key, name)| format!("{} {name}", key.replace('_', " "))).unwrap_or_default()
            }
        }
    };
    let row = |entry: &Value| {
        let of = |place| text(entry, place).to_owned();
        [of("/timestamp"), of("/login"), of("/address"), of("/outcome"), of("/action"), about(entry)]
    };
    ctx.out.table(["TIME", "LOGIN", "FROM", "OUTCOME", "ACTION", "ABOUT"], items.iter().map(row));
    Ok(Exit::Done)
}
