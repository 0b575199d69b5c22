//! `bunraku job watch`, and the watching that every command does which starts a job.

use super::job_number;
use crate::cli::answers::Node;
use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::follow::{self, Ended, Notes, View};
use crate::cli::output::{Output, counted};
use crate::cli::{Context, elapsed};

/// So many failed nodes are explained at the end; `job show` has the others.
const EXPLAINED: usize = 20;

const EXAMPLES: &str = "\
Example:
  bunraku job watch 42

Ends with the job, with the exit code of `bunraku job run`.";

/// Watch a job until it is over
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WatchArgs {
    /// The job's number
    #[arg(value_name = "JOB", value_parser = job_number)]
    job: String,
}

/// What Ctrl-C means while a job is watched. It never stops the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// The first one explains that the job goes on, the second one leaves: this command started the job.
    LeavesJob,
    /// Leaves at once.
    Leaves,
    /// Nothing here: the caller takes the signals.
    Elsewhere,
}

/// Carries out `bunraku job watch`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &WatchArgs, ctx: &Context) -> Result<Exit, CliError> {
    let client = ctx.client().await?;
    watch_to_end(&client, &args.job, ctx.out, Interrupt::Leaves).await
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
        ended = follow::follow(client, name, &mut view) => Some(ended),
        () = interrupted(&notes, name, interrupt) => None,
    };
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
async fn interrupted(notes: &Notes, name: &str, interrupt: Interrupt) {
    let goes_on = format!("job {name} goes on; watch it: bunraku job watch {name}; stop it: bunraku job stop {name}");
    match interrupt {
        Interrupt::LeavesJob => {
            ctrl_c().await;
            notes.note(format!("{goes_on}; leave: Ctrl-C again"));
            ctrl_c().await;
        }
        Interrupt::Leaves => {
            ctrl_c().await;
            notes.note(goes_on);
        }
        Interrupt::Elsewhere => std::future::pending().await,
    }
}

async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler the signal ends the process by itself, so there is nothing to wait for here.
        std::future::pending::<()>().await;
    }
}

fn conclude(ended: &Ended, out: Output) {
    let job = &ended.job;
    if ended.failures.len() > 1 || (ended.failures.len() == 1 && job.node_count > 1) {
        out.table(["NODE", "STATE", "CAUSE", "MESSAGE"], ended.failures.iter().take(EXPLAINED).map(row));
        if ended.failures.len() > EXPLAINED {
            out.line(format!("… and {} more: bunraku job show {}", ended.failures.len() - EXPLAINED, job.name));
        }
    }
    let duration = job.duration.map(|seconds| format!(" in {}", elapsed(seconds))).unwrap_or_default();
    out.line(format!("job {} {}{duration}: {}", job.name, job.state, job.states()));
}

fn row(node: &Node) -> [String; 4] {
    [node.name.clone(), node.state.clone(), node.cause.clone().unwrap_or_default(), node.message().to_owned()]
}
