//! `pxp-module-puppet run`: one Puppet run at a time, and the truth about it.
//!
//! Every end is a normal response; trouble is told by `error_type`. Exit codes alone are never believed: the report of
//! this very run decides ([`judge`]).

mod catalog;
mod command;
mod events;
mod host;
mod judge;
mod lock;
mod params;
mod report;
mod results;

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

pub(super) use self::host::PuppetHost;
pub(super) use self::params::PuppetParams;

use self::command::Paths;
use self::results::{Fault, FaultKind};
use super::answer;
use super::files::{SHARED, off_thread, write_atomic};
use super::process::{Ended, Process, collect_output};
use super::spool::{Metadata, Outcome};
use super::start::{Request, canceled_outcome, until_canceled, without_exit_code};
use super::state::Agent;
use crate::wire::pcp::Uri;

const CONTEXT: &str = "puppet.json";

/// What must be known to judge a run, also by an agent that did not start it. Holds no parameter but names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Context {
    /// The environment that was asked for.
    environment: Option<String>,
    /// What the report's job id must be; `None` where Puppet writes none.
    job_id: Option<String>,
    /// The transaction uuid of the report that was there before.
    previous_uuid: Option<String>,
    started: DateTime<Utc>,
    paths: Paths,
}

/// Runs Puppet for an accepted request.
pub(super) async fn run(
    agent: &Agent,
    request: &Request,
    params: PuppetParams,
    canceled: watch::Receiver<bool>,
) -> Outcome {
    let flags = match params::check_flags(&params) {
        Ok(flags) => flags,
        Err(error) => return Fault::new(FaultKind::InvalidJson, error).outcome(),
    };
    let deadline = tokio::time::Instant::now() + agent.config.puppet.lock_wait;
    let turn = tokio::select! {
        turn = tokio::time::timeout_at(deadline, agent.puppet.turn()) => turn,
        () = until_canceled(canceled.clone()) => return canceled_outcome(),
    };
    let Ok(_turn) = turn else { return Fault::locked().outcome() };
    let prepared = tokio::select! {
        prepared = prepare(agent, request.transaction, &params, flags, deadline) => prepared,
        () = until_canceled(canceled.clone()) => return canceled_outcome(),
    };
    let (context, process) = match prepared {
        Ok(prepared) => prepared,
        Err(fault) => return fault.outcome(),
    };
    wait(agent, request.transaction, Some(&request.from), context, process, canceled).await
}

/// Waits for the run of an earlier agent.
pub(super) async fn resume(
    agent: &Agent,
    metadata: &Metadata,
    process: Process,
    canceled: watch::Receiver<bool>,
) -> Outcome {
    let transaction = metadata.transaction_id;
    let path = agent.spool.directory(transaction).join(CONTEXT);
    let read = off_thread(move || serde_json::from_slice(&std::fs::read(path)?).map_err(std::io::Error::other));
    let Ok(context) = read.await else {
        // It is written before the wrapper starts, so nothing was started.
        return without_exit_code(Ended::NotStarted);
    };
    // Others wait until this one is over; that it runs at all means that it has the turn.
    let _turn = agent.puppet.turn().await;
    wait(agent, transaction, metadata.requester.as_ref(), context, process, canceled).await
}

/// Everything before the start: is Puppet there, enabled, not running; then the order, and the wrapper.
async fn prepare(
    agent: &Agent,
    transaction: Uuid,
    params: &PuppetParams,
    flags: Vec<String>,
    deadline: tokio::time::Instant,
) -> Result<(Context, Process), Fault> {
    let directory = agent.spool.directory(transaction);
    let program = agent.puppet.program()?;
    let paths = agent.puppet.paths(&program, &directory).await?;
    lock::check_disabled(&paths)?;
    lock::wait_for_others(&paths, deadline).await?;
    let job_id = params.job.clone().unwrap_or_else(|| transaction.to_string());
    let order = command::order(&agent.config, &program, &paths, &flags, &job_id);
    let context = Context {
        environment: params::environment(&flags).map(str::to_owned),
        job_id: command::writes_job_id(&agent.config.puppet).then_some(job_id),
        previous_uuid: report::read(&paths.report).ok().map(|report| report.transaction_uuid),
        started: Utc::now(),
        paths,
    };
    let written = context.clone();
    let command = agent.config.exec_run_command.clone();
    let start = off_thread(move || {
        write_atomic(&directory.join(CONTEXT), &serde_json::to_vec(&written)?, SHARED)?;
        order.write(&directory, None)?;
        Ok(directory)
    });
    // The wrapper is started on the runtime: its end is awaited there.
    let process = start.await.and_then(|directory| Process::start(&command, &directory));
    process.map(|process| (context, process)).map_err(Fault::failed_to_start)
}

async fn wait(
    agent: &Agent,
    transaction: Uuid,
    requester: Option<&Uri>,
    context: Context,
    process: Process,
    canceled: watch::Receiver<bool>,
) -> Outcome {
    let directory = agent.spool.directory(transaction);
    let mut catalog = catalog::Watch::new(&directory);
    let ended = process
        .wait(canceled, || {
            if let (true, Some(to)) = (catalog.is_ready(), requester) {
                // Noted first: without a connection the answer is lost, and a status query will tell.
                agent.catalog_ready(transaction);
                agent.answer(&answer::catalog_ready(agent, to, transaction));
            }
        })
        .await;
    let canceled = agent.spool.is_canceled(transaction);
    let exit_code = match ended {
        Ended::Exit(code) => code,
        Ended::NotStarted | Ended::Lost if canceled => -1,
        Ended::NotStarted | Ended::Lost => return without_exit_code(ended),
    };
    let output = last_words(&directory).await;
    match off_thread(move || Ok(judge::judge(&context, exit_code, canceled, &output))).await {
        Ok(outcome) => outcome,
        Err(error) => Outcome::Undetermined { message: format!("cannot read the outcome of the run: {error}") },
    }
}

/// What Puppet printed, as far as messages are looked for in it.
async fn last_words(directory: &Path) -> String {
    const LIMIT: usize = 64 << 10;
    match collect_output(directory, LIMIT).await {
        Ok((stdout, stderr)) => stdout + &stderr,
        Err(error) => {
            tracing::warn!(%error, "cannot read the output of a Puppet run");
            String::new()
        }
    }
}

#[cfg(test)]
mod tests;
