//! `bunraku task run`: a task on many nodes, followed to its end, with what it printed.

use std::num::NonZeroU32;

use bunraku_actors::model::TaskName;
use serde_json::{Map, Value, json};

use super::{printed, task_name};
use crate::cli::allow::JudgeArgs;
use crate::cli::client::Client;
use crate::cli::confirm::ConfirmArgs;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::follow;
use crate::cli::job::{Interrupt, watch_to_end};
use crate::cli::once::OnceArg;
use crate::cli::output::Output;
use crate::cli::params::ParamArgs;
use crate::cli::target::TargetArgs;
use crate::cli::{Context, seconds};

const EXAMPLES: &str = "\
Examples:
  bunraku task run package -n web1.example.com action=status name=openssl
  bunraku task run shop::restart --application Shop --params @restart.json
  bunraku task run facts --all --timeout 2m --format json

Exit codes are those of `bunraku job run`.";

/// Run a task on nodes, watch it, and show what it printed
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "bunraku task run [OPTIONS] <TASK> [PARAM=VALUE]... <TARGET>")]
pub(crate) struct StartArgs {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    judge: JudgeArgs,
    #[command(flatten)]
    once: OnceArg,
}

/// A task: which one, on what, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The task: module or module::task
    #[arg(value_name = "TASK", value_parser = task_name)]
    task: TaskName,
    #[command(flatten)]
    params: ParamArgs,
    #[command(flatten)]
    target: TargetArgs,
    /// The environment that the task is taken from
    #[arg(short, long, default_value = "production", value_name = "NAME")]
    environment: String,
    /// Only simulate; the task must support it
    #[arg(long)]
    noop: bool,
    /// The most nodes of this job that run at once
    #[arg(long, value_name = "N")]
    concurrency: Option<NonZeroU32>,
    /// What this run is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The longest that one node may take, for example 30m
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    timeout: Option<u64>,
}

impl RunArgs {
    /// The body of the task command.
    ///
    /// # Errors
    /// When parameters or target cannot be read.
    pub(crate) async fn whole_body(&self, client: &Client) -> Result<Value, CliError> {
        let params = self.params.resolve()?;
        let scope = self.target.task_scope(client, &self.environment).await?;
        Ok(self.body(params, scope))
    }

    fn body(&self, params: Map<String, Value>, scope: Value) -> Value {
        let mut body = Map::new();
        body.insert("environment".to_owned(), json!(self.environment));
        body.insert("task".to_owned(), json!(self.task.as_str()));
        body.insert("params".to_owned(), Value::Object(params));
        body.insert("scope".to_owned(), scope);
        let values = [
            ("noop", self.noop.then(|| json!(true))),
            ("concurrency", self.concurrency.map(|n| json!(n))),
            ("description", self.description.as_ref().map(|text| json!(text))),
            ("timeout", self.timeout.map(|seconds| json!(seconds))),
        ];
        body.extend(values.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        Value::Object(body)
    }
}

/// Carries out `bunraku task run`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &StartArgs, ctx: &Context) -> Result<Exit, CliError> {
    // Parameters are read before anything is sent.
    args.run.params.resolve()?;
    let client = ctx.client().await?;
    let body = args.run.whole_body(&client).await?;
    let what = format!("run the task {}", args.run.task.as_str());
    if !args.confirm.confirmed(&client, ctx.out, &what, &body).await? {
        return Ok(Exit::Failed);
    }
    let name = args.once.start(&client, "/orchestrator/v1/command/task", &body).await?;
    let exit = watch_to_end(&client, &name, ctx.out, Interrupt::Asks, &args.judge).await?;
    if !ctx.out.is_json() && exit != Exit::Interrupted {
        show_output(&client, &name, ctx.out).await?;
    }
    Ok(exit)
}

/// Prints what a task said on every node, and why it failed where it did.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn show_output(client: &Client, job: &str, out: Output) -> Result<(), CliError> {
    for state in ["finished", "failed"] {
        for node in follow::nodes(client, job, Some(state)).await? {
            let shown = if state == "finished" { printed(&node.result) } else { reason(&node.result) };
            for line in shown.lines() {
                out.line(format!("{}: {line}", node.name));
            }
        }
    }
    Ok(())
}

/// What a failed task printed, and the message of its error.
fn reason(result: &Value) -> String {
    let text = |path: &str| result.pointer(path).and_then(Value::as_str).map(str::trim_end);
    [text("/_output"), text("/_error/msg")].into_iter().flatten().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        run: RunArgs,
    }

    #[test]
    fn the_body_holds_what_was_asked_for() {
        let arguments = ["run", "shop::init", "a=1", "b=x y", "-n", "web1", "--noop", "--timeout", "90"];
        let args = Command::try_parse_from(arguments).unwrap().run;
        let body = args.body(args.params.resolve().unwrap(), json!({"nodes": ["web1"]}));
        let expected = json!({
            "environment": "production", "task": "shop", "params": {"a": 1, "b": "x y"}, "scope": {"nodes": ["web1"]},
            "noop": true, "timeout": 90
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn what_is_no_task_is_refused() {
        for arguments in [["run", "Shop", "-n", "a"], ["run", "a::b::c", "-n", "a"], ["run", "shop", "a=1", "b=1"]] {
            assert!(Command::try_parse_from(arguments).is_err(), "{arguments:?}");
        }
    }
}
