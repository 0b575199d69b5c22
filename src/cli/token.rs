//! `bunraku token`: tokens of service accounts. Needs the permission accounts:manage.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::answers::text;
use super::client::items_of;
use super::error::CliError;
use super::exit::Exit;
use super::{Context, seconds};

const CREATE_EXAMPLES: &str = "\
Examples:
  bunraku token create ci --role operator --lifetime 90d > ci.token
  bunraku token create grafana --role viewer --description 'dashboards'

Roles: a viewer may look, an operator may also run and stop, an admin may do everything; access.yaml may
add others.
The token's text is shown this once and stored nowhere.";

const LIST_EXAMPLES: &str = "\
Example:
  bunraku token list";

const REVOKE_EXAMPLES: &str = "\
Example:
  bunraku token revoke 0b0c8e0e-52b1-4a51-8f69-7f4d0e3a9a77";

/// Create, list and revoke tokens
#[derive(Debug, clap::Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, clap::Subcommand)]
enum TokenCommand {
    /// Create a token and print its text
    #[command(after_help = CREATE_EXAMPLES)]
    Create(CreateArgs),
    /// List all tokens, without their texts
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Revoke a token for good
    #[command(after_help = REVOKE_EXAMPLES)]
    Revoke {
        /// The token's id, as `token list` shows it
        #[arg(value_name = "ID")]
        id: Uuid,
    },
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// Whom the token is for
    #[arg(value_name = "LOGIN")]
    login: String,
    /// What it may do
    #[arg(long, default_value = "operator", value_name = "ROLE")]
    role: String,
    /// How long it is valid, for example 90d [default: the server's]
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    lifetime: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

/// Checked here, so that a slip is a usage error before anything is sent.
fn lifetime(text: &str) -> Result<String, String> {
    if text == "unlimited" { Ok(text.to_owned()) } else { seconds(text).map(|_| text.to_owned()) }
}

/// Carries out `bunraku token …`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &TokenArgs, ctx: &Context) -> Result<Exit, CliError> {
    match &args.command {
        TokenCommand::Create(args) => create(args, ctx).await,
        TokenCommand::List => list(ctx).await,
        TokenCommand::Revoke { id } => revoke(*id, ctx).await,
    }
}

async fn create(args: &CreateArgs, ctx: &Context) -> Result<Exit, CliError> {
    let mut body = Map::new();
    body.insert("login".to_owned(), json!(args.login));
    body.insert("role".to_owned(), json!(args.role));
    let optional = [("lifetime", &args.lifetime), ("description", &args.description)];
    body.extend(optional.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value.as_ref()?)))));
    let answer = ctx.client().await?.post("/bunraku/v1/tokens", &Value::Object(body)).await?;
    if ctx.out.is_json() {
        ctx.out.json(&answer);
        return Ok(Exit::Done);
    }
    let token = answer.get("token").and_then(Value::as_str);
    ctx.out.line(token.ok_or_else(|| CliError::Server("the server's answer has no token".to_owned()))?);
    Ok(Exit::Done)
}

async fn list(ctx: &Context) -> Result<Exit, CliError> {
    let items = items_of(ctx.client().await?.get("/bunraku/v1/tokens", &[]).await?)?;
    if ctx.out.is_json() {
        items.iter().for_each(|token| ctx.out.json(token));
        return Ok(Exit::Done);
    }
    let header = ["ID", "LOGIN", "ROLE", "CREATED", "EXPIRES", "LAST USED", "REVOKED", "DESCRIPTION"];
    let places =
        ["/id", "/login", "/role", "/created_at", "/expires_at", "/last_used_at", "/revoked_at", "/description"];
    let row = |token: &Value| places.map(|place| text(token, place).to_owned());
    ctx.out.table(header, items.iter().map(row));
    Ok(Exit::Done)
}

async fn revoke(id: Uuid, ctx: &Context) -> Result<Exit, CliError> {
    ctx.client().await?.delete(&format!("/bunraku/v1/tokens/{id}")).await?;
    if ctx.out.is_json() {
        ctx.out.json(&json!({ "id": id, "revoked": true }));
    } else {
        ctx.out.line(format!("token {id} is revoked"));
    }
    Ok(Exit::Done)
}
