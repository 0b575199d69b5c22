//! One node: its ledger beside what the store says. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use bunraku_actors::model::{CertName, JobId, NodeState, TransactionId};
use bunraku_actors::ports::StoredNode;

use crate::api::types::ledger::{Finding, LedgerReport, Verdict};
use crate::wire::pxp::LedgerLine;

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

/// Whether a node's state can only come from an agent that ran it.
pub(super) fn is_agents_word(node: &StoredNode) -> bool {
    matches!(node.state, NodeState::Finished | NodeState::Failed) || (node.state == NodeState::Running && node.accepted)
}

/// A node's ledger, as far as it matters: how often each run of the store was started. It takes no more room for an agent
/// that writes down more.
#[derive(Debug)]
pub(super) struct Ledger {
    spool: String,
    starts: BTreeMap<TransactionId, u64>,
}

impl Ledger {
    pub(super) fn new(spool: String, known: &[Known]) -> Self {
        Self { spool, starts: known.iter().map(|run| (run.transaction, 0)).collect() }
    }

    pub(super) fn add(&mut self, lines: &[LedgerLine]) {
        for line in lines {
            if let Some(times) = self.starts.get_mut(&TransactionId(line.transaction_id)) {
                *times += 1;
            }
        }
    }
}

/// Adds what this node's ledger says to the report.
pub(super) fn compare(node: &CertName, known: &[Known], ledger: &Ledger, report: &mut LedgerReport) {
    report.ledgers += 1;
    for run in known {
        let times = ledger.starts.get(&run.transaction).copied().unwrap_or_default();
        let same_spool = run.spool.as_deref() == Some(ledger.spool.as_str());
        let verdict = match (run.started, times) {
            (_, 2..) => Some(Verdict::Twice),
            (false, 1) => Some(Verdict::Unknown),
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
            report.find(Finding { job: run.job.to_string(), node: node.to_string(), verdict, transaction_id, times });
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn known(started: bool, told: bool, spool: &str) -> Known {
        let transaction = TransactionId(Uuid::from_u128(7));
        Known { transaction, job: JobId(3), started, told, spool: Some(spool.into()) }
    }

    fn ledger(known: &[Known], times: usize) -> Ledger {
        let line =
            LedgerLine { time: String::new(), transaction_id: Uuid::from_u128(7), module: "task".into(), job: None };
        let mut ledger = Ledger::new("one".into(), known);
        ledger.add(&vec![line; times]);
        ledger
    }

    /// Verdict, then agreements, exchanged spools, runs that never began.
    fn judged(known: Known, times: usize) -> (Option<Verdict>, [u64; 3]) {
        let mut report = LedgerReport::default();
        let known = [known];
        compare(&CertName::parse("a").unwrap(), &known, &ledger(&known, times), &mut report);
        let verdict = report.findings.first().map(|finding| finding.verdict);
        (verdict, [report.agree, report.spool_replaced, report.never_begun])
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
