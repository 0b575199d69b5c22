//! `POST /bunraku/v1/ledger/verify`: the store beside the agents' own ledgers.

use actix_web::web;
use bunraku_actors::model::JobId;
use bunraku_actors::ports::StoreError;
use chrono::{DateTime, Utc};

use super::auth::Verifier;
use super::request::{Body, job_id, read_body};
use super::state::State;
use super::types::ledger::LedgerScope;
use super::{Answer, ApiError, ok};

/// Why the ledgers were not compared.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerRefusal {
    #[error("Unknown job {0}")]
    UnknownJob(JobId),
    #[error("more than {most} runs cannot be compared at once: name a job, or a later time in since")]
    TooMuch { most: u64 },
    #[error(transparent)]
    Store(StoreError),
    /// Another check is being made.
    #[error("the ledgers are being compared already")]
    Busy,
}

impl From<LedgerRefusal> for ApiError {
    fn from(refusal: LedgerRefusal) -> Self {
        match refusal {
            LedgerRefusal::UnknownJob(job) => Self::unknown_job(&job.to_string()),
            LedgerRefusal::TooMuch { .. } => Self::invalid("since", refusal.to_string()),
            LedgerRefusal::Store(error) => error.into(),
            LedgerRefusal::Busy => Self::unavailable(refusal.to_string()),
        }
    }
}

/// Compares, and answers with the report.
pub(super) async fn verify(state: web::Data<State>, Verifier(caller): Verifier, body: Body) -> Answer {
    let body = read_body(body, &state.options).await?;
    body.only(&["job", "since"])?;
    let job = body.text("job")?.map(job_id).transpose()?;
    let since = body.text("since")?.map(time).transpose()?;
    tracing::info!(by = caller.token.login, "ledgers are compared");
    let report = (state.verify_ledgers)(LedgerScope { job, since }).await?;
    ok(&report)
}

fn time(text: &str) -> Result<DateTime<Utc>, ApiError> {
    super::request::time::parse(text).ok_or_else(|| {
        let text: String = text.chars().take(80).collect();
        ApiError::invalid("since", format!("since must be a time such as 2026-11-26T08:00:00Z, not '{text}'"))
    })
}
