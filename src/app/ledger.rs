//! The check of the ledgers: what the store says of runs beside what the agents' own ledgers say.
//!
//! The store is read first, job by job; then each node is asked for its ledger, page by page. What is compared, and what a
//! difference means, is in [`compare`]. Starts for which the store had none are looked up once more before they are called
//! unknown: their jobs may have begun meanwhile, or before the time that was asked for.

mod compare;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bunraku_actors::model::{Attempt, CertName, JobId, NodeIndex, TransactionId};
use bunraku_actors::ports::{JobOrder, JobQuery, JobRecord, JobStore, StoreError, Transport as _, UnfinishedJob};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt as _, stream};
use tokio::sync::Semaphore;

use self::compare::{Known, Ledger, Others, Stranger};
use crate::api::types::ledger::{Finding, LedgerReport, LedgerScope, Unasked, Verdict};
use crate::api::{LedgerRefusal, VerifyLedgers};
use crate::transport::{LedgerError, PxpTransport};

/// Nodes that are asked at once.
const AT_ONCE: usize = 256;
/// How long a page of a ledger may take.
const PATIENCE: Duration = Duration::from_secs(12);
/// The longest ledger that is read, in bytes: some seven million runs.
const LONGEST: u64 = 1 << 30;
/// Jobs of one read.
const JOBS: u64 = 200;
/// The most nodes of jobs that are compared at once; each takes some 60 bytes.
const MOST: u64 = 2_000_000;

/// What is known of each node.
type ByNode = BTreeMap<CertName, Vec<Known>>;

/// How far the clocks of nodes may be off, where the age of a start decides.
const CLOCKS: TimeDelta = TimeDelta::hours(1);

/// The check, for the API: one at a time. `kept`: for how long jobs stay in the store; `None` is for ever.
pub(super) fn verifier(
    store: Arc<dyn JobStore>,
    transport: Arc<PxpTransport>,
    kept: Option<Duration>,
) -> VerifyLedgers {
    let free = Arc::new(Semaphore::new(1));
    Arc::new(move |scope| {
        let (store, transport, free) = (Arc::clone(&store), Arc::clone(&transport), Arc::clone(&free));
        Box::pin(async move {
            let _turn = free.try_acquire().map_err(|_| LedgerRefusal::Busy)?;
            verify(store, transport, scope, kept).await
        })
    })
}

/// Compares the runs of these jobs with the ledgers of their nodes; unless one job is asked for, also with those of other
/// nodes that are connected.
///
/// # Errors
/// When the scope names a job that is not there, or more than can be compared at once; and the store's.
async fn verify(
    store: Arc<dyn JobStore>,
    transport: Arc<PxpTransport>,
    scope: LedgerScope,
    kept: Option<Duration>,
) -> Result<LedgerReport, LedgerRefusal> {
    let begin = Utc::now();
    let mut report = LedgerReport::default();
    let mut by_node = read(&store, &scope, &mut report).await?;
    let others = others(&scope, kept);
    if others != Others::Ignored {
        for connection in transport.connections().iter().filter(|connection| connection.spool.is_some()) {
            by_node.entry(connection.node.clone()).or_default();
        }
    }
    report.nodes = by_node.len() as u64;
    let mut asked = stream::iter(by_node)
        .map(|(node, known)| {
            let transport = Arc::clone(&transport);
            async move {
                let ledger = ask(&transport, &node, &known, others).await;
                (node, known, ledger)
            }
        })
        .buffer_unordered(AT_ONCE);
    let mut strangers = Vec::new();
    while let Some((node, known, ledger)) = asked.next().await {
        match ledger {
            Ok(ledger) => strangers.extend(compare::compare(&node, &known, ledger, &mut report)),
            Err(reason) => report.unasked(&reason),
        }
    }
    look_up(&store, scope.since.unwrap_or(begin) - CLOCKS, strangers, &mut report).await?;
    report.findings.sort();
    Ok(report)
}

/// Which starts are looked at beyond the runs of the store: none that a removed job may have been the reason for.
fn others(scope: &LedgerScope, kept: Option<Duration>) -> Others {
    if scope.job.is_some() {
        return Others::Ignored;
    }
    let kept = kept.and_then(|kept| TimeDelta::from_std(kept).ok());
    let removed = kept.and_then(|kept| (Utc::now() + CLOCKS).checked_sub_signed(kept));
    // `None` is less than any time.
    scope.since.max(removed).map_or(Others::All, Others::After)
}

/// Looks for the runs of strangers in the store once more, and reports those that it does not have.
async fn look_up(
    store: &Arc<dyn JobStore>,
    since: DateTime<Utc>,
    strangers: Vec<Stranger>,
    report: &mut LedgerReport,
) -> Result<(), LedgerRefusal> {
    let mut named: BTreeSet<JobId> = strangers.iter().filter_map(|stranger| stranger.job).collect();
    if strangers.iter().any(|stranger| stranger.job.is_none()) {
        // Those that may have started something since, whenever they were made: few, also where many are stored.
        named.extend(jobs(store, |job| job.finished_at.is_none_or(|at| at >= since)).await?);
    }
    let mut strangers: BTreeMap<(TransactionId, CertName), Option<JobId>> =
        strangers.into_iter().map(|stranger| ((stranger.transaction, stranger.node), stranger.job)).collect();
    for job in named {
        let stored = match store.stored(job).await {
            Err(StoreError::Unreadable(_)) => continue,
            stored => stored?,
        };
        let Some(stored) = stored else { continue };
        for run in started(&stored) {
            if strangers.remove(&run).is_some() {
                report.agree += 1;
                report.runs += 1;
            }
        }
    }
    for ((transaction, node), job) in strangers {
        report.find(Finding {
            job: job.map(|job| job.to_string()),
            node: node.to_string(),
            verdict: Verdict::Unknown,
            transaction_id: transaction.to_string(),
            times: 1,
        });
    }
    Ok(())
}

/// The runs of a job that have a start.
fn started(job: &UnfinishedJob) -> impl Iterator<Item = (TransactionId, CertName)> {
    let nodes = (0..).map(NodeIndex).zip(&job.nodes);
    nodes.filter_map(|(at, node)| {
        node.attempt.map(|attempt| (job.spec.transaction(at, attempt), job.spec.node(at).clone()))
    })
}

/// What the store says, by node.
async fn read(
    store: &Arc<dyn JobStore>,
    scope: &LedgerScope,
    report: &mut LedgerReport,
) -> Result<ByNode, LedgerRefusal> {
    let mut by_node = ByNode::new();
    let mut nodes = 0;
    for job in in_scope(store, scope).await? {
        let stored = match store.stored(job).await {
            // One damaged job must not keep the others from being compared.
            Err(StoreError::Unreadable(_)) if scope.job.is_none() => {
                report.unreadable_jobs += 1;
                continue;
            }
            stored => stored?,
        };
        let Some(stored) = stored else { continue };
        nodes += stored.nodes.len() as u64;
        if nodes > MOST {
            return Err(LedgerRefusal::TooMuch { most: MOST });
        }
        report.jobs += 1;
        for (at, node) in (0..).map(NodeIndex).zip(&stored.nodes) {
            let attempt = node.attempt.unwrap_or(Attempt::FIRST);
            let known = Known {
                transaction: stored.spec.transaction(at, attempt),
                job,
                started: node.attempt.is_some(),
                told: compare::is_agents_word(node),
                spool: node.spool.as_deref().map(Arc::from),
            };
            report.runs += u64::from(known.started);
            by_node.entry(stored.spec.node(at).clone()).or_default().push(known);
        }
    }
    Ok(by_node)
}

/// The jobs of the scope.
async fn in_scope(store: &Arc<dyn JobStore>, scope: &LedgerScope) -> Result<Vec<JobId>, LedgerRefusal> {
    match scope.job {
        Some(job) if store.job(job).await?.is_none() => Err(LedgerRefusal::UnknownJob(job)),
        Some(job) => Ok(vec![job]),
        None => jobs(store, |job| scope.since.is_none_or(|since| job.header.created_at >= since)).await,
    }
}

/// The stored jobs of which this is true.
async fn jobs(store: &Arc<dyn JobStore>, wanted: impl Fn(&JobRecord) -> bool) -> Result<Vec<JobId>, LedgerRefusal> {
    let mut found = Vec::new();
    let mut offset = 0;
    loop {
        let query = JobQuery { offset, limit: Some(JOBS), ..JobQuery::all(JobOrder::Name, false) };
        let page = store.jobs(query).await?;
        if page.items.is_empty() {
            return Ok(found);
        }
        offset += page.items.len() as u64;
        found.extend(page.items.iter().filter(|job| wanted(job)).map(|job| job.id));
    }
}

/// A node's whole ledger.
async fn ask(transport: &PxpTransport, node: &CertName, known: &[Known], others: Others) -> Result<Ledger, Unasked> {
    let connection = transport.connection(node).ok_or(Unasked::NotConnected)?;
    let spool = connection.spool.ok_or(Unasked::NoLedger)?;
    let mut ledger = Ledger::new(spool, known, others);
    let mut from = 0;
    loop {
        let page = match tokio::time::timeout(PATIENCE, transport.ledger(node, from)).await {
            Ok(Ok(page)) => page,
            Ok(Err(LedgerError::NotConnected)) => return Err(Unasked::NotConnected),
            Ok(Err(LedgerError::Refused)) => return Err(Unasked::NoLedger),
            Ok(Err(LedgerError::Unreadable)) | Err(_) => return Err(Unasked::NoAnswer),
        };
        ledger.add(&page);
        match page.next {
            // An agent that does not come to an end is given up.
            Some(next) if next > from && next < LONGEST => from = next,
            Some(_) => return Err(Unasked::NoAnswer),
            None => return Ok(ledger),
        }
    }
}

impl From<StoreError> for LedgerRefusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
