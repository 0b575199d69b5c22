//! `bunraku task`: runs tasks, and shows which there are.

mod list;
mod run;
mod show;

use serde_json::Value;

use super::Context;
use super::error::CliError;
use super::exit::Exit;
pub(crate) use run::{RunArgs, show_output};

/// Run, list and show tasks
#[derive(Debug, clap::Args)]
pub(crate) struct TaskArgs {
    #[command(subcommand)]
    command: TaskCommand,
}

#[derive(Debug, clap::Subcommand)]
enum TaskCommand {
    Run(Box<run::StartArgs>),
    List(list::ListArgs),
    Show(show::ShowArgs),
}

/// Carries out `bunraku task …`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &TaskArgs, ctx: &Context) -> Result<Exit, CliError> {
    match &args.command {
        TaskCommand::Run(args) => run::run(args, ctx).await,
        TaskCommand::List(args) => list::run(args, ctx).await,
        TaskCommand::Show(args) => show::run(args, ctx).await,
    }
}

/// A task's name from the command line.
///
/// # Errors
/// When it cannot be one.
fn task_name(text: &str) -> Result<bunraku_actors::model::TaskName, String> {
    bunraku_actors::model::TaskName::parse(text).map_err(|error| error.to_string())
}

/// What a task printed on a node, for people: its text, or its JSON in one line.
fn printed(result: &Value) -> String {
    let Value::Object(keys) = result else { return String::new() };
    match keys.get("_output").and_then(Value::as_str) {
        Some(text) if keys.len() == 1 => text.trim_end().to_owned(),
        _ => result.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn results_are_shown_as_text_where_they_are_text() {
        assert_eq!(printed(&json!({"_output": "up 3 days\n"})), "up 3 days");
        assert_eq!(printed(&json!({"days": 3})), r#"{"days":3}"#);
        assert_eq!(
            printed(&json!({"_output": "x", "_error": {"msg": "m"}})),
            r#"{"_output":"x","_error":{"msg":"m"}}"#
        );
        assert_eq!(printed(&Value::Null), "");
    }
}
