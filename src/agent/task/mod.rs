//! `task run`: choose the implementation, fetch its files, run it, tell what it printed.
//!
//! Parameters reach the task on standard input or in its environment, never on a command line, never in a log.

mod cache;
mod download;
mod input;
mod layout;
mod params;
mod select;

use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

pub(super) use self::download::Downloader;
pub(super) use self::params::TaskParams;

use super::files::off_thread;
use super::process::{Ended, Process, RunFile, collect_output};
use super::spool::Outcome;
use super::start::{canceled_outcome, until_canceled, without_exit_code};
use super::state::Agent;
use crate::wire::pxp::CANCELED_KEY;
use crate::wire::pxp::ProcessResults;

/// Runs a task for an accepted request.
pub(super) async fn run(
    agent: &Agent,
    transaction: Uuid,
    params: TaskParams,
    canceled: watch::Receiver<bool>,
) -> Outcome {
    let started = tokio::select! {
        started = prepare(agent, transaction, params) => started,
        () = until_canceled(canceled.clone()) => return canceled_outcome(),
    };
    match started {
        Ok(process) => wait(agent, transaction, process, canceled).await,
        Err(message) => Outcome::Error { message },
    }
}

/// Waits for the task of an earlier agent.
pub(super) async fn resume(
    agent: &Agent,
    transaction: Uuid,
    process: Process,
    canceled: watch::Receiver<bool>,
) -> Outcome {
    wait(agent, transaction, process, canceled).await
}

/// Everything up to the start; the error is what pxp-agent would say.
async fn prepare(agent: &Agent, transaction: Uuid, params: TaskParams) -> Result<Process, String> {
    let chosen = select::choose(&params)?;
    let files = agent.downloads.fetch(chosen.needed(&params)).await?;
    let directory = agent.spool.directory(transaction);
    let limit = agent.config.output_limit as u64;
    let command = agent.config.exec_run_command.clone();
    let ready = off_thread(move || {
        let placed = layout::place(&directory, &params.task, &chosen, &files)?;
        let given = input::give(&params, chosen.input_method, placed.install_directory.as_deref())?;
        let order = RunFile {
            program: placed.executable,
            args: Vec::new(),
            env: given.environment,
            // A parameter of the agent's own environment would look like one of the task.
            env_remove: vec!["PT_*".to_owned(), "BUNRAKU_*".to_owned()],
            output_limit: limit,
            ends_children: false,
        };
        order.write(&directory, given.stdin.as_deref().map(Vec::as_slice))?;
        Ok(directory)
    });
    let started = ready.await.and_then(|directory| Process::start(&command, &directory));
    started.map_err(|error| format!("cannot start the task: {error}"))
}

async fn wait(agent: &Agent, transaction: Uuid, process: Process, canceled: watch::Receiver<bool>) -> Outcome {
    let ended = process.wait(canceled, || {}).await;
    let canceled = agent.spool.is_canceled(transaction);
    let exit_code = match ended {
        Ended::Exit(code) => code,
        Ended::NotStarted if canceled => return canceled_outcome(),
        Ended::Lost if canceled => -1,
        Ended::NotStarted | Ended::Lost => return without_exit_code(ended),
    };
    let directory = agent.spool.directory(transaction);
    match collect_output(&directory, agent.config.output_limit).await {
        Ok((stdout, stderr)) => results(exit_code, stdout, stderr, canceled),
        Err(error) => Outcome::error(format!("cannot read the output of the task: {error}")),
    }
}

fn results(exit_code: i64, stdout: String, stderr: String, canceled: bool) -> Outcome {
    let told = |text: String| (!text.is_empty()).then_some(text);
    let results = ProcessResults { exitcode: exit_code, stdout: told(stdout), stderr: told(stderr) };
    let mut results = serde_json::to_value(results).unwrap_or_else(|_| json!({"exitcode": exit_code}));
    if let (true, Value::Object(results)) = (canceled, &mut results) {
        results.insert(CANCELED_KEY.to_owned(), true.into());
    }
    // A canceled task is no success, even if it ended with 0.
    Outcome::Results { results, exitcode: if canceled && exit_code == 0 { -1 } else { exit_code } }
}

#[cfg(test)]
mod tests;
