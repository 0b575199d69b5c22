//! One node: its ledger beside what the store says. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use bunraku_actors::model::{Cause, CertName, JobId, NodeState, TransactionId};
use bunraku_actors::ports::StoredNode;
use chrono::{DateTime, Utc};

use crate::api::types::ledger::{Finding, LedgerReport, Verdict};
use crate::wire::pxp::{LedgerLine, LedgerResults};

/// What the store says of a node in a job.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) transaction: TransactionId,
    pub(super) job: JobId,
    /// A start is committed.
    pub(super) started: bool,
    /// The agent said that it ran.
    pub(super) told: bool,
    /// The spool that the agent named at the start.
    pub(super) spool: Option<Arc<str>>,
}

/// Whether what is known of a node can only come from an agent that began the run. One that was told to end it may have
/// said that it has the request, and begun nothing.
pub(super) fn is_agents_word(node: &StoredNode) -> bool {
    let ended_by_us = matches!(node.cause, Some(Cause::StoppedByForce | Cause::TimedOut | Cause::Abandoned));
    matches!(node.state, NodeState::Finished | NodeState::Failed) || (node.accepted && !ended_by_us)
}

/// Starts of runs that the store was not known to have, of one node; more are counted only.
const STRANGERS: usize = 10_000;

/// Which starts matter that are not among the runs of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// None: one job is looked at.
    Ignored,
    /// Those after this time; jobs of before may have been removed since.
    After(DateTime<Utc>),
    All,
}

/// A start in a ledger for which the store has none, as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stranger {
    pub(super) node: CertName,
    pub(super) transaction: TransactionId,
    /// As the request named it.
    pub(super) job: Option<JobId>,
}

/// A node's ledger, as far as it matters: how often each run of the store was started, and what else was. It takes no more
/// than so much room for an agent that writes down more.
#[derive(Debug)]
pub(super) struct Ledger {
    spool: String,
    others: Others,
    starts: BTreeMap<TransactionId, u64>,
    strangers: BTreeMap<TransactionId, Option<JobId>>,
    more_strangers: u64,
    older: u64,
    unreadable: u64,
}

impl Ledger {
    pub(super) fn new(spool: String, known: &[Known], others: Others) -> Self {
        Self {
            spool,
            others,
            starts: known.iter().map(|run| (run.transaction, 0)).collect(),
            strangers: BTreeMap::new(),
            more_strangers: 0,
            older: 0,
            unreadable: 0,
        }
    }

    /// Takes a part of it.
    pub(super) fn add(&mut self, page: &LedgerResults) {
        self.unreadable = self.unreadable.saturating_add(page.unreadable);
        for line in &page.lines {
            match self.starts.get_mut(&TransactionId(line.transaction_id)) {
                Some(times) => *times += 1,
                None => self.add_stranger(line),
            }
        }
    }

    fn add_stranger(&mut self, line: &LedgerLine) {
        let is_older = |than| DateTime::parse_from_rfc3339(&line.time).is_ok_and(|time| time < than);
        match self.others {
            Others::Ignored => return,
            Others::After(than) if is_older(than) => {
                self.older += 1;
                return;
            }
            Others::After(_) | Others::All => {}
        }
        if self.strangers.len() < STRANGERS {
            let job = line.job.as_deref().and_then(|job| job.parse().ok()).map(JobId);
            self.strangers.insert(TransactionId(line.transaction_id), job);
        } else {
            self.more_strangers += 1;
        }
    }
}

/// Adds what this node's ledger says to the report; returns the starts for which the store was not known to have one.
pub(super) fn compare(node: &CertName, known: &[Known], ledger: Ledger, report: &mut LedgerReport) -> Vec<Stranger> {
    report.ledgers += 1;
    report.older += ledger.older;
    report.unreadable += ledger.unreadable;
    report.unknown += ledger.more_strangers;
    let stranger = |(transaction, job)| Stranger { node: node.clone(), transaction, job };
    let mut strangers: Vec<Stranger> = ledger.strangers.into_iter().map(stranger).collect();
    for run in known {
        let times = ledger.starts.get(&run.transaction).copied().unwrap_or_default();
        let same_spool = run.spool.as_deref() == Some(ledger.spool.as_str());
        let verdict = match (run.started, times) {
            (_, 2..) => Some(Verdict::Twice),
            (false, 1) => {
                strangers.push(stranger((run.transaction, Some(run.job))));
                None
            }
            (true, 1) => {
                report.agree += 1;
                None
            }
            (true, 0) if run.told && same_spool => Some(Verdict::Lost),
            (true, 0) if !same_spool => {
                // What an exchanged spool knew is gone with it.
                report.spool_replaced += 1;
                None
            }
            // A request that never came, or that the agent refused.
            (true, 0) => {
                report.never_begun += 1;
                None
            }
            (false, 0) => None,
        };
        if let Some(verdict) = verdict {
            let transaction_id = run.transaction.to_string();
            let job = Some(run.job.to_string());
            report.find(Finding { job, node: node.to_string(), verdict, transaction_id, times });
        }
    }
    strangers
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn known(started: bool, told: bool, spool: &str) -> Known {
        let transaction = TransactionId(Uuid::from_u128(7));
        Known { transaction, job: JobId(3), started, told, spool: Some(spool.into()) }
    }

    fn line(id: u128, time: &str, job: Option<&str>) -> LedgerLine {
        let (time, job) = (time.to_owned(), job.map(str::to_owned));
        LedgerLine { time, transaction_id: Uuid::from_u128(id), module: "task".into(), job }
    }

    fn ledger(known: &[Known], lines: Vec<LedgerLine>, others: Others) -> Ledger {
        let mut ledger = Ledger::new("one".into(), known, others);
        ledger.add(&LedgerResults { lines, unreadable: 1, next: None });
        ledger
    }

    fn node() -> CertName {
        CertName::parse("a").unwrap()
    }

    /// Verdict, then agreements, exchanged spools, runs that never began.
    fn judged(known: Known, times: usize) -> (Option<Verdict>, [u64; 3]) {
        let mut report = LedgerReport::default();
        let known = [known];
        let lines = vec![line(7, "", None); times];
        let strangers = compare(&node(), &known, ledger(&known, lines, Others::Ignored), &mut report);
        let unknown = strangers.first().map(|_| Verdict::Unknown);
        let verdict = report.findings.first().map(|finding| finding.verdict).or(unknown);
        (verdict, [report.agree, report.spool_replaced, report.never_begun])
    }

    /// Numbers of the jobs of strangers, and how many starts were too old to tell.
    fn strangers(others: Others) -> (Vec<Option<u64>>, u64) {
        let lines = vec![
            line(7, "2031-05-04T08:00:00Z", Some("3")),
            line(8, "2031-05-04T08:00:00Z", Some("4")),
            line(9, "2031-05-04T09:00:00Z", None),
            line(9, "2031-05-04T09:00:01Z", None),
        ];
        let (known, mut report) = ([known(true, true, "one")], LedgerReport::default());
        let found = compare(&node(), &known, ledger(&known, lines, others), &mut report);
        assert_eq!((report.agree, report.unreadable), (1, 1));
        (found.iter().map(|stranger| stranger.job.map(|job| job.0)).collect(), report.older)
    }

    #[test]
    fn starts_that_the_store_does_not_have_are_strangers_unless_they_are_too_old_to_tell() {
        let nine = DateTime::parse_from_rfc3339("2031-05-04T09:00:00Z").unwrap().with_timezone(&Utc);
        assert_eq!(strangers(Others::All), (vec![Some(4), None], 0));
        assert_eq!(strangers(Others::After(nine)), (vec![None], 1));
        assert_eq!(strangers(Others::Ignored), (vec![], 0));
    }

    #[test]
    fn every_pair_of_words_has_its_verdict() {
        assert_eq!(judged(known(true, true, "one"), 1), (None, [1, 0, 0]));
        assert_eq!(judged(known(true, false, "one"), 1), (None, [1, 0, 0]));
        assert_eq!(judged(known(true, true, "one"), 2), (Some(Verdict::Twice), [0, 0, 0]));
        assert_eq!(judged(known(false, false, "one"), 1), (Some(Verdict::Unknown), [0, 0, 0]));
        assert_eq!(judged(known(true, true, "one"), 0), (Some(Verdict::Lost), [0, 0, 0]));
        assert_eq!(judged(known(true, true, "two"), 0), (None, [0, 1, 0]));
        assert_eq!(judged(known(true, false, "one"), 0), (None, [0, 0, 1]), "it never came");
        assert_eq!(judged(known(false, false, "one"), 0), (None, [0, 0, 0]), "and never was to come");
    }
}
