//! The life of a run: accepted once and for ever, worked on, ended with a record and a final answer.
//!
//! Order is everything: metadata and ledger are on the disk before anything starts; the outcome is on the disk before
//! the final answer is queued.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use uuid::Uuid;

use super::answer;
use super::files::off_thread;
use super::process::{self, Ended, Process, RunFile};
use super::puppet::{self, PuppetParams};
use super::spool::{Metadata, Outcome, RunStatus, Spool};
use super::state::Agent;
use super::task::{self, TaskParams};
use super::{PUPPET_MODULE, TASK_MODULE};
use crate::wire::pcp::Uri;
use crate::wire::pxp::{CANCELED_KEY, LOST_PROCESS};

/// Who asks for a run.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) transaction: Uuid,
    pub(super) from: Uri,
    pub(super) id: Uuid,
    pub(super) module: String,
    pub(super) action: String,
    pub(super) blocking: bool,
    pub(super) notify_outcome: bool,
}

/// What the run does.
#[derive(Debug)]
pub(super) enum Work {
    Puppet(PuppetParams),
    Task(Box<TaskParams>),
}

impl Work {
    fn job(&self) -> Option<&str> {
        match self {
            Self::Puppet(params) => params.job.as_deref(),
            Self::Task(_) => None,
        }
    }
}

/// Accepts a run: answers provisionally, and starts it unless its transaction is known. The error is the description of a refusal.
pub(super) async fn accept(agent: &Arc<Agent>, request: Request, work: Work) -> Result<(), String> {
    let transaction = request.transaction;
    let recorded = record(agent, &request, work.job().map(str::to_owned)).await;
    let recorded = recorded.map_err(|error| format!("Failed to initialize the metadata file: {error}"))?;
    if !request.blocking {
        // Queued before the work begins, so that it goes before the final answer.
        agent.answer(&answer::provisional(agent, &request.from, &transaction.to_string()));
    }
    match recorded {
        Recorded::Known if request.blocking => {
            return Err(format!("transaction {transaction} is known already; ask for its status"));
        }
        Recorded::Known => tracing::info!(%transaction, "a known transaction: nothing is started"),
        Recorded::Tombstone => {
            tracing::info!(%transaction, "a transaction that was canceled before it came: nothing is started");
            agent.outbox.finally(transaction);
        }
        Recorded::New(metadata) => {
            tracing::info!(%transaction, module = request.module, "a run starts");
            let owner = Arc::clone(agent);
            agent.spawn(transaction, move |canceled| async move {
                let outcome = match work {
                    Work::Puppet(params) => puppet::run(&owner, &request, params, canceled).await,
                    Work::Task(params) => task::run(&owner, transaction, *params, canceled).await,
                };
                finish(&owner, &metadata, outcome).await;
            });
        }
    }
    Ok(())
}

enum Recorded {
    New(Box<Metadata>),
    Known,
    /// Canceled before it came; the requester is owed that answer.
    Tombstone,
}

async fn record(agent: &Arc<Agent>, request: &Request, job: Option<String>) -> std::io::Result<Recorded> {
    let mut metadata =
        Metadata::new(request.transaction, &request.module, &request.action, Some(request.from.clone()), request.id);
    metadata.blocking = request.blocking;
    metadata.notify_outcome = request.notify_outcome;
    let agent = Arc::clone(agent);
    off_thread(move || {
        let transaction = metadata.transaction_id;
        if !agent.has_its_spool() {
            return Err(std::io::Error::other("the spool was removed or replaced"));
        }
        if agent.spool.create(transaction, &metadata)? {
            agent.ledger.record(metadata.start, transaction, &metadata.module, job.as_deref())?;
            return Ok(Recorded::New(Box::new(metadata)));
        }
        let known = agent.spool.metadata(transaction)?;
        if known.requester.is_some() || known.status == RunStatus::Running {
            return Ok(Recorded::Known);
        }
        metadata.status = known.status;
        metadata.end = known.end;
        agent.spool.write_metadata(transaction, &metadata)?;
        Ok(Recorded::Tombstone)
    })
    .await
}

/// How long to wait before another try to record an end: doubled each time, up to the last.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(10);

/// Records the end of a run and queues its final answer. Until the record is written the run counts as running: an
/// outcome that is known must not become unknown because a disk is full for a while.
async fn finish(agent: &Arc<Agent>, begun: &Metadata, outcome: Outcome) {
    let transaction = begun.transaction_id;
    RunFile::discard(&agent.spool.directory(transaction));
    let outcome = Arc::new(outcome);
    let mut pause = FIRST_RETRY;
    loop {
        let (spool, outcome, begun) = (agent.spool.clone(), Arc::clone(&outcome), begun.clone());
        match off_thread(move || record_end(&spool, &begun, &outcome)).await {
            Ok(metadata) => {
                tracing::info!(%transaction, status = ?metadata.status, "a run ended");
                if metadata.owes_answer() {
                    agent.outbox.finally(transaction);
                }
                return;
            }
            Err(error) => {
                if !agent.has_its_spool() {
                    return tracing::error!(%transaction, %error, "the end of a run cannot be recorded: the spool is lost");
                }
                tracing::error!(%transaction, %error, "cannot record the end of a run; trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LAST_RETRY);
            }
        }
    }
}

fn record_end(spool: &Spool, begun: &Metadata, outcome: &Outcome) -> std::io::Result<Metadata> {
    let transaction = begun.transaction_id;
    // Somebody may have removed the run's directory alone: then its end is all that is left to be known of it.
    if spool.is_in_place() && spool.create(transaction, begun)? {
        tracing::warn!(%transaction, "the directory of a run was removed while it went on");
    }
    let recorded = spool.finish(transaction, outcome);
    if recorded.as_ref().is_err_and(|error| error.kind() == ErrorKind::StorageFull) {
        // Its outputs are in the outcome: they are all that may be given up for it.
        process::give_up_outputs(&spool.directory(transaction))?;
        return spool.finish(transaction, outcome);
    }
    recorded
}

/// Takes over what an earlier agent left: runs that go on, ends that were not recorded, answers that were not sent.
pub(super) async fn adopt_all(agent: &Arc<Agent>) -> std::io::Result<()> {
    let spool = agent.spool.clone();
    let transactions = off_thread(move || spool.transactions()).await?;
    for transaction in transactions {
        let spool = agent.spool.clone();
        let read = off_thread(move || Ok((spool.metadata(transaction)?, spool.outcome(transaction)?))).await;
        match read {
            Ok((metadata, _)) if metadata.owes_answer() => agent.outbox.finally(transaction),
            Ok((metadata, _)) if metadata.status != RunStatus::Running => {}
            Ok((metadata, Some(outcome))) => finish(agent, &metadata, outcome).await,
            Ok((metadata, None)) => adopt(agent, metadata),
            Err(error) => tracing::error!(%transaction, %error, "cannot read the record of a run"),
        }
    }
    Ok(())
}

fn adopt(agent: &Arc<Agent>, metadata: Metadata) {
    let transaction = metadata.transaction_id;
    let owner = Arc::clone(agent);
    tracing::info!(%transaction, module = metadata.module, "taking over a run of an earlier agent");
    agent.spawn(transaction, move |canceled| async move {
        let directory = owner.spool.directory(transaction);
        let outcome = match off_thread(move || Process::adopt(&directory)).await {
            Ok(process) if metadata.module == PUPPET_MODULE => {
                puppet::resume(&owner, &metadata, process, canceled).await
            }
            Ok(process) => {
                debug_assert_eq!(metadata.module, TASK_MODULE, "only runs of our own modules are recorded");
                task::resume(&owner, transaction, process, canceled).await
            }
            Err(error) => Outcome::Undetermined { message: format!("cannot take over the run: {error}") },
        };
        finish(&owner, &metadata, outcome).await;
    });
    if agent.spool.is_canceled(transaction) {
        agent.cancel(transaction);
    }
}

/// The outcome of a process that left no exit code.
pub(super) fn without_exit_code(ended: Ended) -> Outcome {
    match ended {
        Ended::NotStarted => Outcome::error("the agent was restarted before the run was started"),
        Ended::Lost | Ended::Exit(_) => Outcome::Undetermined { message: LOST_PROCESS.to_owned() },
    }
}

/// The outcome of a run that was canceled before it did anything.
pub(super) fn canceled_outcome() -> Outcome {
    Outcome::Results { results: json!({CANCELED_KEY: true, "exitcode": -1}), exitcode: -1 }
}

/// Waits until a run is canceled; never returns otherwise.
pub(super) async fn until_canceled(mut canceled: watch::Receiver<bool>) {
    if canceled.wait_for(|canceled| *canceled).await.is_err() {
        // The sender is only dropped when the run is over.
        std::future::pending::<()>().await;
    }
}
