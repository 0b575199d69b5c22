//! The check of the ledgers: what the store says of runs beside what the agents' own ledgers say.
//!
//! The store is read first, job by job; then each node is asked for its ledger, page by page. What is compared, and what a
//! difference means, is in [`compare`].

mod compare;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bunraku_actors::model::{Attempt, CertName, JobId, NodeIndex};
use bunraku_actors::ports::{JobOrder, JobQuery, JobStore, StoreError, Transport as _};
use futures_util::{StreamExt as _, stream};
use tokio::sync::Semaphore;

use self::compare::{Known, Ledger};
use crate::api::types::ledger::{LedgerReport, LedgerScope, Unasked, Verdict};
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

/// The check, for the API: one at a time.
pub(super) fn verifier(store: Arc<dyn JobStore>, transport: Arc<PxpTransport>) -> VerifyLedgers {
    let free = Arc::new(Semaphore::new(1));
    Arc::new(move |scope| {
        let (store, transport, free) = (Arc::clone(&store), Arc::clone(&transport), Arc::clone(&free));
        Box::pin(async move {
            let _turn = free.try_acquire().map_err(|_| LedgerRefusal::Busy)?;
            verify(store, transport, scope).await
        })
    })
}

/// Compares the runs of these jobs with the ledgers of their nodes.
///
/// # Errors
/// When the scope names a job that is not there, or more than can be compared at once; and the store's.
async fn verify(
    store: Arc<dyn JobStore>,
    transport: Arc<PxpTransport>,
    scope: LedgerScope,
) -> Result<LedgerReport, LedgerRefusal> {
    let mut report = LedgerReport::default();
    let by_node = read(&store, &scope, &mut report).await?;
    let mut asked = stream::iter(by_node)
        .map(|(node, known)| {
            let transport = Arc::clone(&transport);
            async move {
                let ledger = ask(&transport, &node, &known).await;
                (node, known, ledger)
            }
        })
        .buffer_unordered(AT_ONCE);
    while let Some((node, known, ledger)) = asked.next().await {
        match ledger {
            Ok(ledger) => compare::compare(&node, &known, &ledger, &mut report),
            Err(reason) => report.unasked(&reason),
        }
    }
    look_again(&store, &mut report).await?;
    report.findings.sort();
    Ok(report)
}

/// What was started after the store was read is in the ledgers and is no finding: the store is read once more for what
/// looks so.
async fn look_again(store: &Arc<dyn JobStore>, report: &mut LedgerReport) -> Result<(), LedgerRefusal> {
    let unknown = report.findings.iter().filter(|finding| finding.verdict == Verdict::Unknown);
    let jobs: BTreeSet<JobId> = unknown.filter_map(|finding| finding.job.parse().ok().map(JobId)).collect();
    let mut started = BTreeSet::new();
    for job in jobs {
        let Some(stored) = store.stored(job).await? else { continue };
        let nodes = (0..).map(NodeIndex).zip(&stored.nodes).filter(|(_, node)| node.attempt.is_some());
        started.extend(nodes.map(|(at, _)| (job.to_string(), stored.spec.node(at).to_string())));
    }
    let before = report.findings.len();
    report.findings.retain(|finding| {
        finding.verdict != Verdict::Unknown || !started.contains(&(finding.job.clone(), finding.node.clone()))
    });
    let since = (before - report.findings.len()) as u64;
    report.unknown -= since;
    report.agree += since;
    report.runs += since;
    Ok(())
}

/// What the store says, by node.
async fn read(
    store: &Arc<dyn JobStore>,
    scope: &LedgerScope,
    report: &mut LedgerReport,
) -> Result<ByNode, LedgerRefusal> {
    let mut by_node = ByNode::new();
    let mut nodes = 0;
    for job in jobs(store, scope).await? {
        let Some(stored) = store.stored(job).await? else { continue };
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
    report.nodes = by_node.len() as u64;
    Ok(by_node)
}

/// The jobs of the scope.
async fn jobs(store: &Arc<dyn JobStore>, scope: &LedgerScope) -> Result<Vec<JobId>, LedgerRefusal> {
    if let Some(job) = scope.job {
        return match store.job(job).await? {
            Some(_) => Ok(vec![job]),
            None => Err(LedgerRefusal::UnknownJob(job)),
        };
    }
    let mut found = Vec::new();
    let mut offset = 0;
    loop {
        let query = JobQuery {
            order: JobOrder::Name,
            descending: false,
            offset,
            limit: Some(JOBS),
            kind: None,
            task: None,
            min_finished: None,
            max_finished: None,
        };
        let page = store.jobs(query).await?;
        if page.items.is_empty() {
            return Ok(found);
        }
        offset += page.items.len() as u64;
        let young = page.items.iter().filter(|job| scope.since.is_none_or(|since| job.header.created_at >= since));
        found.extend(young.map(|job| job.id));
    }
}

/// A node's whole ledger.
async fn ask(transport: &PxpTransport, node: &CertName, known: &[Known]) -> Result<Ledger, Unasked> {
    let connection = transport.connection(node).ok_or(Unasked::NotConnected)?;
    let spool = connection.spool.ok_or(Unasked::NoLedger)?;
    let mut ledger = Ledger::new(spool, known);
    let mut from = 0;
    loop {
        let page = match tokio::time::timeout(PATIENCE, transport.ledger(node, from)).await {
            Ok(Ok(page)) => page,
            Ok(Err(LedgerError::NotConnected)) => return Err(Unasked::NotConnected),
            Ok(Err(LedgerError::Refused)) => return Err(Unasked::NoLedger),
            Ok(Err(LedgerError::Unreadable)) | Err(_) => return Err(Unasked::NoAnswer),
        };
        ledger.add(&page.lines);
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
