//! `bunraku import pe-schedules`: reads the scheduled jobs of Puppet Enterprise and makes them here, not enabled.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chrono::Utc;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::translate::{MARK, called, is_enabled, origin, translated};
use crate::cli::Context;
use crate::cli::answers::text;
use crate::cli::client::{Client, PAGE, items_of, segment};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::schedule::PATH;
use crate::cli::settings::{Settings, read_token};

#[derive(Debug, clap::Args)]
pub(super) struct SchedulesArgs {
    /// The address of Puppet Enterprise's orchestrator, or a file with its answer to GET …/environment_jobs
    #[arg(value_name = "URL|FILE")]
    from: String,
    /// A file that holds the token for Puppet Enterprise
    #[arg(long, value_name = "FILE")]
    pe_token_file: Option<PathBuf>,
    /// That token itself; better kept in a file
    #[arg(long, env = "BUNRAKU_PE_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pe_token: Option<String>,
    /// CA certificates that Puppet Enterprise's certificate is checked with [default: those of the system]
    #[arg(long, env = "BUNRAKU_PE_CA", hide_env_values = true, value_name = "FILE")]
    pe_ca: Option<PathBuf>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// What became of one of them.
enum Fate {
    /// Made here, under that number; none in a dry run.
    Taken(Option<String>),
    /// It is here from an earlier import.
    Known(String),
    /// It does not run there either.
    Disabled,
    Refused(String),
}

/// Carries out `bunraku import pe-schedules`.
///
/// # Errors
/// See [`CliError`]; that one of them cannot be taken is none.
pub(super) async fn run(args: &SchedulesArgs, ctx: &Context) -> Result<Exit, CliError> {
    let originals = originals(args, ctx).await?;
    let client = ctx.client().await?;
    let here = client.all(PATH, &[]).await?;
    let mut seen = BTreeSet::new();
    let mut exit = Exit::Done;
    for original in originals.iter().filter(|original| seen.insert(origin(original))) {
        let fate = fate(original, &here, &client, args.dry_run).await?;
        if matches!(fate, Fate::Refused(_)) {
            exit = Exit::Failed;
        }
        tell(original, &fate, ctx);
    }
    Ok(exit)
}

async fn fate(original: &Value, here: &[Value], client: &Client, dry_run: bool) -> Result<Fate, CliError> {
    let mark = format!("/userdata/{MARK}");
    if let Some(known) = here.iter().find(|known| text(known, &mark) == origin(original)) {
        return Ok(Fate::Known(text(known, "/name").to_owned()));
    }
    if !is_enabled(original) {
        return Ok(Fate::Disabled);
    }
    let body = match translated(original, Utc::now()) {
        Ok(body) => body,
        Err(why) => return Ok(Fate::Refused(why)),
    };
    let made = if dry_run { would_be_taken(&body, client).await } else { client.post(PATH, &body).await };
    match made {
        Ok(answer) => {
            let number = text(&answer, "/scheduled_job/name").to_owned();
            Ok(Fate::Taken(Some(number).filter(|number| !number.is_empty())))
        }
        // Of this one only: another may be fine. What is wrong with the service or the token is wrong with all.
        Err(CliError::Refused { msg, .. } | CliError::NotPermitted { status: 403, msg, .. }) => Ok(Fate::Refused(msg)),
        Err(error) => Err(error),
    }
}

/// As far as the service can tell without making anything: all of a deploy, and whether there is the task.
async fn would_be_taken(body: &Value, client: &Client) -> Result<Value, CliError> {
    if text(body, "/type") == "deploy" {
        let mut deploy = body["input"].clone();
        for key in ["environment", "description", "userdata"] {
            deploy[key] = body[key].clone();
        }
        return client.post("/bunraku/v1/preview", &deploy).await.map(|_| Value::Null);
    }
    let name = text(body, "/input/name");
    let (module, task) = name.split_once("::").unwrap_or((name, "init"));
    let path = ["/orchestrator/v1/tasks", &segment(module), &segment(task)].join("/");
    client.get(&path, &[("environment", text(body, "/environment").to_owned())]).await.map(|_| Value::Null)
}

fn tell(original: &Value, fate: &Fate, ctx: &Context) {
    let called = called(original);
    if ctx.out.is_json() {
        let (what, more) = match fate {
            Fate::Taken(number) => ("taken", json!({ "scheduled_job": number })),
            Fate::Known(number) => ("taken before", json!({ "scheduled_job": number })),
            Fate::Disabled => ("not taken", json!({ "reason": "it is disabled there" })),
            Fate::Refused(why) => ("not taken", json!({ "reason": why })),
        };
        let mut line = json!({ "original": origin(original), "outcome": what });
        if let (Value::Object(line), Value::Object(more)) = (&mut line, more) {
            line.extend(more);
        }
        return ctx.out.json(&line);
    }
    match fate {
        Fate::Taken(Some(number)) => {
            ctx.out.line(format!("{called}: scheduled job {number}; bunraku schedule enable {number}"));
        }
        Fate::Taken(None) => ctx.out.line(format!("{called}: would be taken")),
        Fate::Known(number) => ctx.out.note(format!("taken before: {called}: scheduled job {number}")),
        Fate::Disabled => ctx.out.note(format!("not taken: {called}: it is disabled there")),
        Fate::Refused(why) => ctx.out.note(format!("not taken: {called}: {why}")),
    }
}

/// What is scheduled there.
async fn originals(args: &SchedulesArgs, ctx: &Context) -> Result<Vec<Value>, CliError> {
    if args.from.contains("://") {
        return all_of(&Client::new(&settings(args)?)?).await;
    }
    let unusable = |reason: String| CliError::Usage(format!("{} cannot be used: {reason}", args.from));
    let bytes = std::fs::read(Path::new(&args.from)).map_err(|error| unusable(error.to_string()))?;
    let answer: Value = serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string()))?;
    let total = total(&answer);
    let items = items_of(answer).map_err(|_| {
        unusable("that is no answer of GET /scheduled_jobs/environment_jobs: it has no items".to_owned())
    })?;
    if let Some(total) = total.filter(|total| *total > items.len()) {
        ctx.out.note(format!("the file has {} of {total}; ask for more with ?limit={total}", items.len()));
    }
    Ok(items)
}

fn settings(args: &SchedulesArgs) -> Result<Settings, CliError> {
    if !args.from.starts_with("https://") {
        return Err(CliError::Usage(format!("the address '{}' does not begin with https://", args.from)));
    }
    let (token, token_from) = match (&args.pe_token_file, &args.pe_token) {
        (Some(path), _) => (read_token(path)?, path.display().to_string()),
        (None, Some(token)) => (token.trim().to_owned(), "BUNRAKU_PE_TOKEN".to_owned()),
        (None, None) => {
            let msg = "a token for Puppet Enterprise is missing: give --pe-token-file or BUNRAKU_PE_TOKEN";
            return Err(CliError::Usage(msg.to_owned()));
        }
    };
    let url = args.from.trim_end_matches('/').to_owned();
    Ok(Settings {
        url,
        token: Some(SecretString::from(token)),
        ca: args.pe_ca.clone(),
        url_from: "the address to import from".to_owned(),
        token_from: Some(token_from),
    })
}

fn total(answer: &Value) -> Option<usize> {
    answer.pointer("/pagination/total").and_then(Value::as_u64).and_then(|total| usize::try_from(total).ok())
}

/// Page by page: a server may give less at once than it is asked for.
async fn all_of(pe: &Client) -> Result<Vec<Value>, CliError> {
    let mut items = Vec::new();
    loop {
        let query = [("limit", PAGE.to_string()), ("offset", items.len().to_string())];
        let page = pe.get(PATH, &query).await?;
        let total = total(&page).unwrap_or_default();
        let page = items_of(page)?;
        let last = page.is_empty();
        items.extend(page);
        if last || items.len() >= total {
            return Ok(items);
        }
    }
}
