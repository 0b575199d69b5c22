//! What a check of the agents' ledgers is asked for and answers; an endpoint of ours.

use bunraku_actors::model::JobId;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// Findings beyond so many are counted only.
const SHOWN: usize = 1_000;

/// Which jobs are compared: one, those created since then, or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LedgerScope {
    pub job: Option<JobId>,
    pub since: Option<DateTime<Utc>>,
}

/// Why a node's ledger was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unasked {
    NotConnected,
    /// Its agent keeps none, or does not show it: a pxp-agent, or one of an earlier release.
    NoLedger,
    NoAnswer,
}

/// What is wrong with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The agent started it more than once.
    Twice,
    /// The agent said that it ran, and its ledger has no start.
    Lost,
    /// The agent started it, and the store has no start.
    Unknown,
}

/// One run that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub struct Finding {
    /// As the store knows it, or as the ledger names it; `null` where it names none.
    pub job: Option<String>,
    pub node: String,
    pub verdict: Verdict,
    pub transaction_id: String,
    /// How often the ledger has it.
    pub times: u64,
}

/// How many nodes were not asked, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct NotAsked {
    pub not_connected: u64,
    pub no_ledger: u64,
    pub no_answer: u64,
}

/// The whole check.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct LedgerReport {
    pub jobs: u64,
    /// Committed starts of these jobs.
    pub runs: u64,
    /// Nodes of these jobs, and, where all are compared, what else is connected and keeps a ledger.
    pub nodes: u64,
    /// Nodes whose ledger was read.
    pub ledgers: u64,
    /// Runs that the ledger has exactly once, as it should.
    pub agree: u64,
    /// Runs that the agent did not begin: the request never came, or was refused.
    pub never_begun: u64,
    /// Runs of a spool that was exchanged since: nobody can tell any more.
    pub spool_replaced: u64,
    /// Starts of before the time that is compared: their jobs may have been removed since.
    pub older: u64,
    /// Lines of ledgers that cannot be read: a power cut can leave one half written.
    pub unreadable: u64,
    /// Jobs of which the store cannot tell any more what it has started.
    pub unreadable_jobs: u64,
    pub twice: u64,
    pub lost: u64,
    pub unknown: u64,
    pub not_asked: NotAsked,
    /// At most a thousand.
    pub findings: Vec<Finding>,
}

impl LedgerReport {
    /// Counts a finding, and keeps it while there is room.
    pub fn find(&mut self, finding: Finding) {
        match finding.verdict {
            Verdict::Twice => self.twice += 1,
            Verdict::Lost => self.lost += 1,
            Verdict::Unknown => self.unknown += 1,
        }
        if self.findings.len() < SHOWN {
            self.findings.push(finding);
        }
    }

    /// Counts a node that was not asked.
    pub fn unasked(&mut self, reason: &Unasked) {
        match reason {
            Unasked::NotConnected => self.not_asked.not_connected += 1,
            Unasked::NoLedger => self.not_asked.no_ledger += 1,
            Unasked::NoAnswer => self.not_asked.no_answer += 1,
        }
    }
}
