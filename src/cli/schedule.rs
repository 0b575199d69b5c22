//! `bunraku schedule`: jobs that run by themselves at their time.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::answers::text;
use super::client::Client;
use super::error::CliError;
use super::exit::Exit;
use super::{Context, job, seconds, task};

const PUPPET_EXAMPLES: &str = "\
Examples:
  bunraku schedule puppet --at 2026-03-01T02:00:00Z -n web1.example.com --noop
  bunraku schedule puppet --cron '30 2 * * *' --timezone Europe/Berlin --all";

const TASK_EXAMPLES: &str = "\
Examples:
  bunraku schedule task --at 2026-03-01T02:00:00Z --every 1d package action=status name=openssl --all
  bunraku schedule task --cron '0 6 * * 1' facts -n db1.example.com";

const LIST_EXAMPLES: &str = "\
Example:
  bunraku schedule list";

const SHOW_EXAMPLES: &str = "\
Example:
  bunraku schedule show 3";

const ENABLE_EXAMPLES: &str = "\
Example:
  bunraku schedule enable 3";

const DISABLE_EXAMPLES: &str = "\
Example:
  bunraku schedule disable 3";

pub(super) const PATH: &str = "/orchestrator/v1/scheduled_jobs/environment_jobs";
/// A schedule that begins at once begins so much later: the server's clock may be ahead of ours.
const SOON: TimeDelta = TimeDelta::seconds(60);

/// Schedule jobs, and show what is scheduled
#[derive(Debug, clap::Args)]
pub(crate) struct ScheduleArgs {
    #[command(subcommand)]
    command: ScheduleCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ScheduleCommand {
    /// Schedule Puppet runs
    #[command(after_help = PUPPET_EXAMPLES, override_usage = "bunraku schedule puppet [OPTIONS] <TARGET>")]
    Puppet(Box<PuppetArgs>),
    /// Schedule runs of a task
    #[command(after_help = TASK_EXAMPLES, override_usage = "bunraku schedule task [OPTIONS] <TASK> [PARAM=VALUE]... <TARGET>")]
    Task(Box<TaskArgs>),
    /// List scheduled jobs, the next first
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Show a scheduled job
    #[command(after_help = SHOW_EXAMPLES)]
    Show(ScheduleArg),
    /// Enable a scheduled job that was imported; one that was disabled stays so
    #[command(after_help = ENABLE_EXAMPLES)]
    Enable(ScheduleArg),
    /// Disable a scheduled job for good
    #[command(after_help = DISABLE_EXAMPLES)]
    Disable(ScheduleArg),
}

#[derive(Debug, clap::Args)]
struct ScheduleArg {
    /// The scheduled job's number
    #[arg(value_name = "SCHEDULE")]
    id: u64,
}

#[derive(Debug, clap::Args)]
struct PuppetArgs {
    #[command(flatten)]
    when: WhenArgs,
    #[command(flatten)]
    run: job::RunArgs,
}

#[derive(Debug, clap::Args)]
struct TaskArgs {
    #[command(flatten)]
    when: WhenArgs,
    #[command(flatten)]
    run: task::RunArgs,
}

/// When the turns are.
#[derive(Debug, clap::Args)]
struct WhenArgs {
    /// The first time, for example 2026-03-01T02:00:00Z [default with --every and --cron: in a minute]
    #[arg(long, value_name = "TIME", value_parser = time, required_unless_present_any = ["every", "cron"], help_heading = "When")]
    at: Option<DateTime<Utc>>,
    /// Again so often, for example 1d
    #[arg(long, value_name = "TIME", value_parser = seconds, conflicts_with = "cron", help_heading = "When")]
    every: Option<u64>,
    /// At the times of a cron expression of five fields
    #[arg(long, value_name = "CRON", help_heading = "When")]
    cron: Option<String>,
    /// The time zone of the cron expression [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "cron", help_heading = "When")]
    timezone: Option<String>,
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let time = DateTime::parse_from_rfc3339(text);
    time.map(|time| time.with_timezone(&Utc)).map_err(|_| format!("'{text}' is no time such as 2026-03-01T02:00:00Z"))
}

impl WhenArgs {
    fn schedule(&self, now: DateTime<Utc>) -> Value {
        let start = self.at.unwrap_or(now + SOON);
        let mut schedule = Map::new();
        schedule.insert("start_time".to_owned(), json!(start.to_rfc3339_opts(SecondsFormat::Secs, true)));
        let interval = self.every.map_or(Value::Null, |every| json!({ "units": "seconds", "value": every }));
        schedule.insert("interval".to_owned(), interval);
        let optional = [("cron", &self.cron), ("timezone", &self.timezone)];
        schedule.extend(optional.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value.as_ref()?)))));
        Value::Object(schedule)
    }
}

/// Carries out `bunraku schedule …`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &ScheduleArgs, ctx: &Context) -> Result<Exit, CliError> {
    match &args.command {
        ScheduleCommand::Puppet(args) => {
            let body = scheduled("deploy", args.run.body()?, args.when.schedule(Utc::now()));
            add(&ctx.client().await?, body, ctx).await
        }
        ScheduleCommand::Task(args) => {
            let client = ctx.client().await?;
            let body = args.run.whole_body(&client).await?;
            add(&client, scheduled("task", body, args.when.schedule(Utc::now())), ctx).await
        }
        ScheduleCommand::List => list(ctx).await,
        ScheduleCommand::Show(args) => show(args.id, ctx).await,
        ScheduleCommand::Enable(args) => enable(args.id, ctx).await,
        ScheduleCommand::Disable(args) => disable(args.id, ctx).await,
    }
}

/// A scheduled job that gives this command.
fn scheduled(kind: &str, command: Value, schedule: Value) -> Value {
    let Value::Object(mut input) = command else { return Value::Null };
    let mut take = |key: &str, default: &str| input.shift_remove(key).unwrap_or_else(|| json!(default));
    let (environment, description) = (take("environment", "production"), take("description", ""));
    if let Some(task) = input.shift_remove("task") {
        input.insert("name".to_owned(), task);
    }
    if let Some(Value::Object(params)) = input.shift_remove("params") {
        let wrapped: Map<_, _> = params.into_iter().map(|(name, value)| (name, json!({ "value": value }))).collect();
        input.insert("parameters".to_owned(), Value::Object(wrapped));
    }
    json!({
        "type": kind, "environment": environment, "description": description, "userdata": {},
        "input": input, "schedule": schedule,
    })
}

async fn add(client: &Client, body: Value, ctx: &Context) -> Result<Exit, CliError> {
    let answer = client.post(PATH, &body).await?;
    if ctx.out.is_json() {
        ctx.out.json(&answer);
        return Ok(Exit::Done);
    }
    let name = text(&answer, "/scheduled_job/name");
    let made = client.get(&format!("{PATH}/{name}"), &[]).await?;
    ctx.out.line(format!("scheduled job {name} runs next at {}", text(&made, "/next_run/time")));
    Ok(Exit::Done)
}

/// How it comes again, in a few words.
fn again(schedule: &Value) -> String {
    match (schedule.pointer("/schedule/cron"), schedule.pointer("/schedule/interval/value")) {
        (Some(Value::String(cron)), _) => format!("{cron} ({})", text(schedule, "/schedule/timezone")),
        (_, Some(seconds)) => {
            let span = std::time::Duration::from_secs(seconds.as_u64().unwrap_or_default());
            format!("every {}", humantime::format_duration(span))
        }
        _ => "once".to_owned(),
    }
}

/// What the last turn came to.
fn last(schedule: &Value) -> String {
    match schedule.get("last_run") {
        None | Some(Value::Null) => String::new(),
        Some(last) => match text(last, "/job/name") {
            "" => format!("refused: {}", text(last, "/job/submission_error/msg")),
            job => format!("job {job}"),
        },
    }
}

async fn list(ctx: &Context) -> Result<Exit, CliError> {
    let items = ctx.client().await?.all(PATH, &[]).await?;
    if ctx.out.is_json() {
        items.iter().for_each(|schedule| ctx.out.json(schedule));
        return Ok(Exit::Done);
    }
    let row = |schedule: &Value| {
        let what = match text(schedule, "/input/name") {
            "" => "puppet".to_owned(),
            task => task.to_owned(),
        };
        let next = match schedule.get("enabled") {
            Some(Value::Bool(false)) if text(schedule, "/next_run/time").is_empty() => "disabled".to_owned(),
            Some(Value::Bool(false)) => "not enabled yet".to_owned(),
            _ => text(schedule, "/next_run/time").to_owned(),
        };
        [
            text(schedule, "/name").to_owned(),
            what,
            next,
            again(schedule),
            last(schedule),
            text(schedule, "/owner/login").to_owned(),
        ]
    };
    ctx.out.table(["SCHEDULE", "WHAT", "NEXT", "AGAIN", "LAST", "OWNER"], items.iter().map(row));
    Ok(Exit::Done)
}

async fn show(id: u64, ctx: &Context) -> Result<Exit, CliError> {
    let schedule = ctx.client().await?.get(&format!("{PATH}/{id}"), &[]).await?;
    if ctx.out.is_json() {
        ctx.out.json(&schedule);
        return Ok(Exit::Done);
    }
    let kind = text(&schedule, "/type");
    ctx.out.line(format!(
        "scheduled job {id}: {kind} in {}, by {}",
        text(&schedule, "/environment"),
        text(&schedule, "/owner/login")
    ));
    let enabled = schedule.get("enabled") != Some(&Value::Bool(false));
    let next = match (enabled, text(&schedule, "/next_run/time")) {
        (true, next) => next,
        (false, "") => "never: it is disabled",
        (false, _) => "never until it is enabled",
    };
    ctx.out.line(format!("next: {}", if next.is_empty() { "never" } else { next }));
    ctx.out.line(format!("again: {}", again(&schedule)));
    if !last(&schedule).is_empty() {
        ctx.out.line(format!("last: {} at {}", last(&schedule), text(&schedule, "/last_run/time")));
    }
    ctx.out.line(format!("input: {}", schedule.get("input").cloned().unwrap_or_default()));
    Ok(Exit::Done)
}

async fn enable(id: u64, ctx: &Context) -> Result<Exit, CliError> {
    let client = ctx.client().await?;
    let answer = client.put(&format!("{PATH}/{id}"), &json!({ "enabled": true })).await?;
    if ctx.out.is_json() {
        ctx.out.json(&answer);
        return Ok(Exit::Done);
    }
    let enabled = client.get(&format!("{PATH}/{id}"), &[]).await?;
    ctx.out.line(format!("scheduled job {id} runs next at {}", text(&enabled, "/next_run/time")));
    Ok(Exit::Done)
}

async fn disable(id: u64, ctx: &Context) -> Result<Exit, CliError> {
    let answer = ctx.client().await?.put(&format!("{PATH}/{id}"), &json!({ "enabled": false })).await?;
    if ctx.out.is_json() {
        ctx.out.json(&answer);
    } else {
        ctx.out.line(format!("scheduled job {id} is disabled"));
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_becomes_the_input_of_a_schedule() {
        let command = json!({
            "environment": "staging", "task": "shop", "params": {"a": 1}, "scope": {"nodes": ["x"]}, "description": "d",
        });
        let expected = json!({
            "type": "task", "environment": "staging", "description": "d", "userdata": {}, "schedule": null,
            "input": {"scope": {"nodes": ["x"]}, "name": "shop", "parameters": {"a": {"value": 1}}},
        });
        assert_eq!(scheduled("task", command, Value::Null), expected);
    }

    #[test]
    fn when_is_sent_as_the_server_wants_it() {
        let now = DateTime::from_timestamp(1_772_366_400, 0).unwrap();
        let when = WhenArgs { at: None, every: None, cron: Some("0 6 * * *".into()), timezone: Some("UTC".into()) };
        let expected = json!({
            "start_time": "2026-03-01T12:01:00Z", "interval": null, "cron": "0 6 * * *", "timezone": "UTC",
        });
        assert_eq!(when.schedule(now), expected);
        let when = WhenArgs { at: Some(now), every: Some(60), cron: None, timezone: None };
        assert_eq!(when.schedule(now)["interval"]["value"], 60);
    }
}
