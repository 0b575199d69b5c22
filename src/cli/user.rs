//! `bunraku user`: who may log in. Needs the permission accounts:manage.

use serde_json::{Map, Value, json};

use super::Context;
use super::answers::{joined, text};
use super::client::items_of;
use super::error::CliError;
use super::exit::Exit;
use super::login::password;

const ADD_EXAMPLES: &str = "\
Examples:
  bunraku user add alice --display-name 'Alice Adams'
  bunraku user add bob --password-stdin < password.txt

What a user may do is said in access.yaml, which binds roles to logins.";

const LIST_EXAMPLES: &str = "\
Example:
  bunraku user list";

const REVOKE_EXAMPLES: &str = "\
Example:
  bunraku user revoke alice      logged out everywhere, and not let in again";

const RESTORE_EXAMPLES: &str = "\
Example:
  bunraku user restore alice";

const PASSWORD_EXAMPLES: &str = "\
Example:
  bunraku user password alice";

/// Add, list and revoke users
#[derive(Debug, clap::Args)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Debug, clap::Subcommand)]
enum UserCommand {
    /// Add a user
    #[command(after_help = ADD_EXAMPLES)]
    Add(AddArgs),
    /// List users
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Revoke a user
    #[command(after_help = REVOKE_EXAMPLES)]
    Revoke(LoginArg),
    /// Let a revoked user in again
    #[command(after_help = RESTORE_EXAMPLES)]
    Restore(LoginArg),
    /// Give a user another password
    #[command(after_help = PASSWORD_EXAMPLES)]
    Password(PasswordArgs),
}

#[derive(Debug, clap::Args)]
struct LoginArg {
    /// The login
    #[arg(value_name = "LOGIN")]
    login: String,
}

#[derive(Debug, clap::Args)]
struct PasswordArgs {
    #[command(flatten)]
    user: LoginArg,
    /// Read the password from standard input instead of asking for it
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Debug, clap::Args)]
struct AddArgs {
    #[command(flatten)]
    secret: PasswordArgs,
    /// The name to show
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// The mail address
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
}

/// Carries out `bunraku user …`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &UserArgs, ctx: &Context) -> Result<Exit, CliError> {
    match &args.command {
        UserCommand::Add(args) => add(args, ctx).await,
        UserCommand::List => list(ctx).await,
        UserCommand::Revoke(user) => change(&user.login, &json!({ "revoked": true }), "is revoked", ctx).await,
        UserCommand::Restore(user) => change(&user.login, &json!({ "revoked": false }), "may log in again", ctx).await,
        UserCommand::Password(args) => {
            let secret = password("New password: ", args.password_stdin)?;
            change(&args.user.login, &json!({ "password": secret }), "has a new password", ctx).await
        }
    }
}

async fn add(args: &AddArgs, ctx: &Context) -> Result<Exit, CliError> {
    let secret = password("Password of the new user: ", args.secret.password_stdin)?;
    let mut body = Map::new();
    body.insert("login".to_owned(), json!(args.secret.user.login));
    body.insert("password".to_owned(), json!(secret));
    let optional = [("display_name", &args.display_name), ("email", &args.email)];
    body.extend(optional.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value.as_ref()?)))));
    let answer = ctx.client().await?.post("/bunraku/v1/users", &Value::Object(body)).await?;
    done(&answer, "may log in", ctx);
    if !ctx.out.is_json() && answer.get("roles").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        ctx.out.note("no role is bound to this login yet: see access.yaml");
    }
    Ok(Exit::Done)
}

async fn change(login: &str, body: &Value, what: &str, ctx: &Context) -> Result<Exit, CliError> {
    let answer = ctx.client().await?.put(&format!("/bunraku/v1/users/{login}"), body).await?;
    done(&answer, what, ctx);
    Ok(Exit::Done)
}

fn done(answer: &Value, what: &str, ctx: &Context) {
    if ctx.out.is_json() {
        ctx.out.json(answer);
    } else {
        ctx.out.line(format!("{} {what}", text(answer, "/login")));
    }
}

async fn list(ctx: &Context) -> Result<Exit, CliError> {
    let items = items_of(ctx.client().await?.get("/bunraku/v1/users", &[]).await?)?;
    if ctx.out.is_json() {
        items.iter().for_each(|user| ctx.out.json(user));
        return Ok(Exit::Done);
    }
    let row = |user: &Value| {
        let of = |place| text(user, place).to_owned();
        [of("/login"), of("/display_name"), joined(user, "/roles", ", "), of("/last_login"), of("/revoked_at")]
    };
    ctx.out.table(["LOGIN", "NAME", "ROLES", "LAST LOGIN", "REVOKED"], items.iter().map(row));
    Ok(Exit::Done)
}
