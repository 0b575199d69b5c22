//! `bunraku import pe-schedules`: reads the scheduled jobs of Puppet Enterprise and makes them here, not enabled.

use std::collections::BTreeSet;
use std::path::Path;

use chrono::Utc;
use serde_json::{Value, json};

use super::source::{PeArgs, is_address};
use super::translate::{MARK, called, is_enabled, origin, translated};
use crate::cli::Context;
use crate::cli::answers::text;
use crate::cli::client::{Client, PAGE, items_of, segment};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::schedule::PATH;
use crate::cli::terminal::escaped;

/// More than anybody has; who gives more does not end.
const MOST: usize = 50_000;

#[derive(Debug, clap::Args)]
pub(super) struct SchedulesArgs {
    /// The address of Puppet Enterprise's orchestrator, or a file with its answer to GET …/environment_jobs
    #[arg(value_name = "URL|FILE")]
    from: String,
    #[command(flatten)]
    pe: PeArgs,
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
    let (originals, whole) = originals(args, ctx).await?;
    let client = ctx.client().await?;
    let here = client.all(PATH, &[]).await?;
    let mut seen = BTreeSet::new();
    let mut exit = if whole { Exit::Done } else { Exit::Failed };
    for (at, original) in originals.iter().enumerate() {
        let origin = origin(original);
        let fate = if origin.is_empty() {
            // Nothing could be told of it later: neither that it was taken, nor which one it was.
            Fate::Refused("it has neither an id nor a name".to_owned())
        } else if seen.insert(origin) {
            fate(original, &here, &client, args.dry_run).await?
        } else {
            continue;
        };
        if matches!(fate, Fate::Refused(_)) {
            exit = Exit::Failed;
        }
        tell(at, original, &fate, ctx);
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

fn tell(at: usize, original: &Value, fate: &Fate, ctx: &Context) {
    let called = escaped(&called(at, original));
    if ctx.out.is_json() {
        let (what, more) = match fate {
            Fate::Taken(number) => ("taken", json!({ "scheduled_job": number })),
            Fate::Known(number) => ("taken before", json!({ "scheduled_job": number })),
            Fate::Disabled => ("not taken", json!({ "reason": "it is disabled there" })),
            Fate::Refused(why) => ("not taken", json!({ "reason": why })),
        };
        let origin = Some(origin(original)).filter(|origin| !origin.is_empty());
        let mut line = json!({ "original": origin, "entry": at + 1, "outcome": what });
        if let (Value::Object(line), Value::Object(more)) = (&mut line, more) {
            line.extend(more);
        }
        return ctx.out.json(&line);
    }
    match fate {
        Fate::Taken(Some(number)) => {
            let number = escaped(number);
            ctx.out.line(format!("{called}: scheduled job {number}; bunraku schedule enable {number}"));
        }
        Fate::Taken(None) => ctx.out.line(format!("{called}: would be taken")),
        Fate::Known(number) => ctx.out.note(format!("taken before: {called}: scheduled job {}", escaped(number))),
        Fate::Disabled => ctx.out.note(format!("not taken: {called}: it is disabled there")),
        Fate::Refused(why) => ctx.out.note(format!("not taken: {called}: {}", escaped(why))),
    }
}

/// What is scheduled there, and whether that is all that could be asked for.
async fn originals(args: &SchedulesArgs, ctx: &Context) -> Result<(Vec<Value>, bool), CliError> {
    if is_address(&args.from) {
        let (items, total) = all_of(&args.pe.client(&args.from)?).await?;
        let whole = items.len() >= total;
        if !whole {
            ctx.out.note(format!("not taken: Puppet Enterprise gave {} of {total} and then nothing new", items.len()));
        }
        return Ok((items, whole));
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
    Ok((items, true))
}

fn total(answer: &Value) -> Option<usize> {
    answer.pointer("/pagination/total").and_then(Value::as_u64).and_then(|total| usize::try_from(total).ok())
}

/// Page by page: a server may give less at once than it is asked for. With the number that there should be; one that
/// says nothing new is not asked again.
async fn all_of(pe: &Client) -> Result<(Vec<Value>, usize), CliError> {
    let mut items = Vec::new();
    let mut seen = BTreeSet::new();
    loop {
        let query = [("limit", PAGE.to_string()), ("offset", items.len().to_string())];
        let page = pe.get(PATH, &query).await?;
        let total = total(&page).unwrap_or_default();
        let page = items_of(page)?;
        let known = seen.len();
        seen.extend(page.iter().map(|item| match origin(item) {
            "" => item.to_string(),
            origin => origin.to_owned(),
        }));
        if seen.len() == known {
            return Ok((items, total));
        }
        items.extend(page);
        if items.len() > MOST {
            return Err(CliError::Server(format!("{} has more than {MOST} scheduled jobs", pe.url())));
        }
        if items.len() >= total {
            return Ok((items, total));
        }
    }
}
