//! `bunraku task show`: what a task does and which parameters it takes.

use bunraku_actors::model::TaskName;
use serde_json::Value;

use super::task_name;
use crate::cli::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Output;

const EXAMPLES: &str = "\
Example:
  bunraku task show package";

/// Show a task's description and parameters
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ShowArgs {
    /// The task: module or module::task
    #[arg(value_name = "TASK", value_parser = task_name)]
    task: TaskName,
    /// The environment
    #[arg(short, long, default_value = "production", value_name = "NAME")]
    environment: String,
}

/// Carries out `bunraku task show`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &ShowArgs, ctx: &Context) -> Result<Exit, CliError> {
    let client = ctx.client().await?;
    let (module, task) = args.task.parts();
    let query = [("environment", args.environment.clone())];
    let detail = client.get(&format!("/orchestrator/v1/tasks/{module}/{task}"), &query).await?;
    if ctx.out.is_json() {
        ctx.out.json(&detail);
    } else {
        show(&detail, ctx.out);
    }
    Ok(Exit::Done)
}

fn show(detail: &Value, out: Output) {
    let text = |pointer: &str| detail.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let noop = detail.pointer("/metadata/supports_noop").and_then(Value::as_bool) == Some(true);
    out.line(format!("{:<12} {}", "task", text("/name")));
    out.line(format!("{:<12} {}", "description", text("/metadata/description")));
    out.line(format!("{:<12} {}", "noop", if noop { "supported" } else { "not supported" }));
    let parameters = detail.pointer("/metadata/parameters").and_then(Value::as_object);
    let Some(parameters) = parameters.filter(|parameters| !parameters.is_empty()) else { return };
    out.line("");
    let rows = parameters.iter().map(|(name, about)| {
        let text = |key: &str| about.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let default = about.get("default").map(Value::to_string).unwrap_or_default();
        [name.clone(), text("type"), default, text("description")]
    });
    out.table(["PARAMETER", "TYPE", "DEFAULT", "DESCRIPTION"], rows);
}
