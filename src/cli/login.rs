//! `bunraku login`, `logout` and `whoami`: a session of a user, kept in the user's own file.

use std::io::{IsTerminal as _, Read as _};

use serde_json::{Map, Value, json};

use super::answers::{joined, text};
use super::client::Client;
use super::error::CliError;
use super::exit::Exit;
use super::sessions::Sessions;
use super::settings::Settings;
use super::{Context, seconds};

const LOGIN_EXAMPLES: &str = "\
Examples:
  bunraku login alice
  bunraku login alice --lifetime 8h --url https://orch.example.com:8143
  bunraku login ci --password-stdin < password.txt

The token is kept in sessions.json in ~/.config/bunraku and shown to that server alone.";

const LOGOUT_EXAMPLES: &str = "\
Example:
  bunraku logout";

const WHOAMI_EXAMPLES: &str = "\
Example:
  bunraku whoami";

/// Log in with a password; later commands use the session
#[derive(Debug, clap::Args)]
#[command(after_help = LOGIN_EXAMPLES)]
pub(crate) struct LoginArgs {
    /// The login
    #[arg(value_name = "LOGIN")]
    login: String,
    /// How long the session lasts, for example 8h [default: an hour]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    lifetime: Option<u64>,
    /// Read the password from standard input instead of asking for it
    #[arg(long)]
    password_stdin: bool,
}

/// End the session
#[derive(Debug, clap::Args)]
#[command(after_help = LOGOUT_EXAMPLES)]
pub(crate) struct LogoutArgs {}

/// Show who the server takes you for, and what you may do
#[derive(Debug, clap::Args)]
#[command(after_help = WHOAMI_EXAMPLES)]
pub(crate) struct WhoamiArgs {}

/// Carries out `bunraku login`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn login(args: &LoginArgs, ctx: &Context) -> Result<Exit, CliError> {
    let sessions = sessions()?;
    // Whatever token there is: it is not shown to log in.
    let settings = Settings { token: None, token_from: None, ..Settings::resolve(&ctx.server)? };
    let client = Client::new(&settings)?;
    let password = password("Password: ", args.password_stdin)?;
    let mut body = Map::new();
    body.insert("login".to_owned(), json!(args.login));
    body.insert("password".to_owned(), json!(password));
    body.insert("label".to_owned(), json!("bunraku login"));
    if let Some(lifetime) = args.lifetime {
        body.insert("lifetime".to_owned(), json!(lifetime.to_string()));
    }
    let answer = client.post("/rbac-api/v1/auth/token", &Value::Object(body)).await?;
    let token = answer.get("token").and_then(Value::as_str);
    let token = token.ok_or_else(|| CliError::Server("the server's answer has no token".to_owned()))?;
    sessions.keep(client.url(), token.to_owned())?;
    if ctx.out.is_json() {
        ctx.out.json(&json!({ "url": client.url(), "login": args.login }));
    } else {
        ctx.out.line(format!("logged in to {} as {}", client.url(), args.login));
    }
    Ok(Exit::Done)
}

/// Carries out `bunraku logout`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn logout(_: &LogoutArgs, ctx: &Context) -> Result<Exit, CliError> {
    let sessions = sessions()?;
    let settings = Settings::resolve(&ctx.server)?;
    let client = Client::new(&settings)?;
    let Some(token) = sessions.token(client.url())? else {
        return Err(CliError::Usage(format!("there is no session with {}", client.url())));
    };
    let own = Client::new(&Settings { token: Some(token.into()), ..settings })?;
    let ended = own.delete("/bunraku/v1/session").await;
    sessions.forget(client.url())?;
    match ended {
        // One that is over already needs no end.
        Ok(_) | Err(CliError::NotPermitted { status: 401, .. }) => {}
        Err(error) => return Err(error),
    }
    if ctx.out.is_json() {
        ctx.out.json(&json!({ "url": client.url() }));
    } else {
        ctx.out.line(format!("logged out of {}", client.url()));
    }
    Ok(Exit::Done)
}

/// Carries out `bunraku whoami`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn whoami(_: &WhoamiArgs, ctx: &Context) -> Result<Exit, CliError> {
    let client = Client::new(&Settings::resolve(&ctx.server)?)?;
    let answer = client.get("/bunraku/v1/whoami", &[]).await?;
    if ctx.out.is_json() {
        ctx.out.json(&answer);
        return Ok(Exit::Done);
    }
    let of = |place: &str| text(&answer, place);
    ctx.out.line(format!("{} at {}", of("/login"), client.url()));
    ctx.out.line(format!("roles: {}", if of("/role").is_empty() { "none" } else { of("/role") }));
    let permissions = joined(&answer, "/permissions", ", ");
    ctx.out.line(format!("may: {}", if permissions.is_empty() { "nothing" } else { &permissions }));
    if !of("/expires_at").is_empty() {
        ctx.out.line(format!("until: {}", of("/expires_at")));
    }
    Ok(Exit::Done)
}

fn sessions() -> Result<Sessions, CliError> {
    Sessions::of_user().ok_or_else(|| CliError::Usage("neither XDG_CONFIG_HOME nor HOME is set".to_owned()))
}

/// A password: asked for on the terminal without showing it, or the first line of standard input.
///
/// # Errors
/// When there is neither, or it is empty.
pub(super) fn password(prompt: &str, stdin: bool) -> Result<String, CliError> {
    let text = if stdin {
        let mut text = String::new();
        std::io::stdin().lock().take(4_096).read_to_string(&mut text).map_err(|error| CliError::Other(error.into()))?;
        text.lines().next().unwrap_or_default().to_owned()
    } else if std::io::stdin().is_terminal() {
        rpassword::prompt_password(prompt).map_err(|error| CliError::Other(error.into()))?
    } else {
        return Err(CliError::Usage("there is no terminal to ask for the password: use --password-stdin".to_owned()));
    };
    if text.is_empty() { Err(CliError::Usage("the password is empty".to_owned())) } else { Ok(text) }
}
