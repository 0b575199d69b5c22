//! `bunraku job watch`, and the watching that every command does which starts a job.

use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::job_number;
use crate::cli::allow::JudgeArgs;
use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::follow::{self, Ended, Failures, Notes, View};
use crate::cli::output::{Output, counted};
use crate::cli::{Context, elapsed, terminal};

/// So many kinds of failures are told at the end; `job show` has the others.
const KINDS: usize = 10;

const EXAMPLES: &str = "\
Examples:
  bunraku job watch 42
  bunraku job watch 42 --allow-unreached 2%

Ends with the job, with the exit code of `bunraku job run`. Ctrl-C asks whether to stop the job or to leave it running.";

/// Watch a job until it is over
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WatchArgs {
    /// The job's number
    #[arg(value_name = "JOB", value_parser = job_number)]
    job: String,
    #[command(flatten)]
    judge: JudgeArgs,
}

/// What Ctrl-C means while a job is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// On a terminal it asks whether to stop the job or to leave it running, and a second one leaves; elsewhere it leaves
    /// at once. The job is never stopped unasked.
    Asks,
    /// Nothing here: the caller takes the signals.
    Elsewhere,
}

/// Carries out `bunraku job watch`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &WatchArgs, ctx: &Context) -> Result<Exit, CliError> {
    let client = ctx.client().await?;
    watch_to_end(&client, &args.job, ctx.out, Interrupt::Asks, &args.judge).await
}

/// Shows a job until it is over and says how it ended.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn watch_to_end(
    client: &Client,
    name: &str,
    out: Output,
    interrupt: Interrupt,
    judge: &JudgeArgs,
) -> Result<Exit, CliError> {
    let job = follow::job(client, name).await?;
    if !out.is_json() {
        let environment = if job.environment.name.is_empty() { "the nodes' own" } else { &job.environment.name };
        let nodes = counted(job.node_count, "node", "nodes");
        out.note(format!("job {name}: {} on {nodes}, environment {environment}", job.what()));
    }
    let mut view = View::new(out, &job);
    let notes = view.notes();
    let followed = tokio::select! {
        ended = follow::follow(client, name, &mut view, judge.allow_unreached.as_ref()) => Some(ended),
        () = interrupted(client, &notes, name, interrupt) => None,
    };
    // A job that ends while its user is being asked needs no answer any more.
    notes.unhide();
    view.close();
    match followed {
        Some(ended) => {
            let ended = ended?;
            if !out.is_json() {
                conclude(&ended, out);
            }
            Ok(ended.exit)
        }
        None => Ok(Exit::Interrupted),
    }
}

/// Returns when the user wants to leave.
async fn interrupted(client: &Client, notes: &Notes, name: &str, interrupt: Interrupt) {
    let signals = if interrupt == Interrupt::Asks { signal(SignalKind::interrupt()).ok() } else { None };
    // Without a handler the signal ends the process by itself, so there is nothing to wait for here.
    let Some(mut signals) = signals else { return std::future::pending().await };
    let goes_on = format!("job {name} goes on; watch it: bunraku job watch {name}; stop it: bunraku job stop {name}");
    loop {
        signals.recv().await;
        if !notes.is_drawn() || !terminal::can_ask() {
            return notes.note(goes_on);
        }
        notes.hide();
        match ask(&mut signals, name).await {
            // The question may still stand on the line.
            Answer::Leave => return notes.note(format!("\n{goes_on}")),
            Answer::Stop => notes.note(stop(client, name).await),
            Answer::GoOn => {}
        }
        notes.unhide();
    }
}

enum Answer {
    Stop,
    Leave,
    GoOn,
}

async fn ask(signals: &mut Signal, name: &str) -> Answer {
    let question = format!("job {name}: [s]top it, [l]eave it running, or watch on (Enter)?");
    tokio::select! {
        answer = terminal::ask(&question) => match answer.to_lowercase().as_str() {
            "s" | "stop" => Answer::Stop,
            "l" | "leave" => Answer::Leave,
            _ => Answer::GoOn,
        },
        _ = signals.recv() => Answer::Leave,
    }
}

async fn stop(client: &Client, name: &str) -> String {
    match client.post("/orchestrator/v1/command/stop", &json!({ "job": name })).await {
        Ok(_) => format!("job {name}: stop accepted; running nodes finish, no other one starts"),
        Err(error) => match error.hint() {
            Some(hint) => format!("job {name} was not stopped: {error}; {hint}"),
            None => format!("job {name} was not stopped: {error}"),
        },
    }
}

fn conclude(ended: &Ended, out: Output) {
    let job = &ended.job;
    let width = out.width().unwrap_or(usize::MAX);
    Failures::of(&ended.failures).lines(&job.name, KINDS, width).iter().for_each(|line| out.line(line));
    let duration = job.duration.map(|seconds| format!(" in {}", elapsed(seconds))).unwrap_or_default();
    out.line(format!("job {} {}{duration}: {}", job.name, job.state, job.states()));
    if let Some(verdict) = &ended.verdict {
        out.line(verdict);
    }
}
