//! The two records of a transaction: its metadata, and its outcome. Neither ever holds a parameter.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::wire::pcp::Uri;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::agent) enum RunStatus {
    Running,
    Success,
    Failure,
    /// It is over, and nobody knows how.
    Undetermined,
}

/// Who asked for what, and how far it is. The keys are pxp-agent's, and some of ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::agent) struct Metadata {
    /// Who gets the final answer; `None` in a tombstone.
    pub(in crate::agent) requester: Option<Uri>,
    pub(in crate::agent) module: String,
    pub(in crate::agent) action: String,
    /// Always `{}`: parameters may be secret.
    request_params: String,
    pub(in crate::agent) transaction_id: Uuid,
    pub(in crate::agent) request_id: Uuid,
    pub(in crate::agent) notify_outcome: bool,
    /// Whether the request was a blocking one.
    pub(in crate::agent) blocking: bool,
    pub(in crate::agent) start: DateTime<Utc>,
    pub(in crate::agent) status: RunStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::agent) end: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    execution_error: Option<String>,
    /// Whether the final answer was sent.
    #[serde(default)]
    pub(in crate::agent) notified: bool,
}

impl Metadata {
    /// The metadata of a run that is about to start.
    pub(in crate::agent) fn new(
        transaction: Uuid,
        module: &str,
        action: &str,
        requester: Option<Uri>,
        request: Uuid,
    ) -> Self {
        Self {
            requester,
            module: module.to_owned(),
            action: action.to_owned(),
            request_params: "{}".to_owned(),
            transaction_id: transaction,
            request_id: request,
            notify_outcome: true,
            blocking: false,
            start: Utc::now(),
            status: RunStatus::Running,
            end: None,
            execution_error: None,
            notified: false,
        }
    }

    /// Turns to the status that the outcome stands for.
    pub(super) fn end(&mut self, outcome: &Outcome) {
        self.status = outcome.status();
        self.end = Some(Utc::now());
        self.execution_error = match outcome {
            Outcome::Results { .. } => None,
            Outcome::Error { message } | Outcome::Undetermined { message } => Some(message.clone()),
        };
    }

    /// Whether a final answer is still owed to somebody.
    pub(in crate::agent) fn owes_answer(&self) -> bool {
        self.status != RunStatus::Running && self.notify_outcome && !self.notified && self.requester.is_some()
    }

    /// `blocking` or `non blocking`, as error texts say it.
    pub(in crate::agent) fn kind(&self) -> &'static str {
        if self.blocking { "blocking" } else { "non blocking" }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("metadata serialize to JSON")
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::agent) enum Outcome {
    /// The action gave results.
    Results {
        /// What a response carries.
        results: Value,
        /// What a status query answers; 0 is a success.
        exitcode: i64,
    },
    /// The agent could not do it.
    Error { message: String },
    /// The work was started and is gone, without a trace of how it ended.
    Undetermined { message: String },
}

impl Outcome {
    /// What the metadata say.
    pub(in crate::agent) fn status(&self) -> RunStatus {
        match self {
            Self::Results { exitcode: 0, .. } => RunStatus::Success,
            Self::Results { .. } | Self::Error { .. } => RunStatus::Failure,
            Self::Undetermined { .. } => RunStatus::Undetermined,
        }
    }

    /// An error.
    pub(in crate::agent) fn error(message: impl Into<String>) -> Self {
        Self::Error { message: message.into() }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("outcomes serialize to JSON")
    }
}
