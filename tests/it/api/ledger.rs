//! The check of the ledgers: what it may be asked, and what it answers.

use std::sync::Arc;

use bunraku::api::types::ledger::{Finding, LedgerReport, Unasked, Verdict};
use bunraku::api::{LedgerRefusal, VerifyLedgers};
use bunraku_actors::model::JobId;
use serde_json::json;

use super::world::World;

const VERIFY: &str = "POST /bunraku/v1/ledger/verify";
const PATH: &str = "/bunraku/v1/ledger/verify";

/// Job 1 has a finding, job 2 is too large, there is no other.
pub(crate) fn fixed() -> VerifyLedgers {
    Arc::new(|scope| {
        Box::pin(async move {
            match scope.job {
                Some(JobId(2)) => return Err(LedgerRefusal::TooMuch { most: 2_000_000 }),
                Some(JobId(3)) => return Err(LedgerRefusal::Busy),
                Some(other) if other != JobId(1) => return Err(LedgerRefusal::UnknownJob(other)),
                _ => {}
            }
            let mut report =
                LedgerReport { jobs: 1, runs: 3, nodes: 3, ledgers: 2, agree: 2, ..LedgerReport::default() };
            let node = "web1.example.com".to_owned();
            let transaction_id = "5f2bd3c0-0d2b-5a0e-9c56-0a4a0a4b9f11".to_owned();
            report.find(Finding { job: Some("1".to_owned()), node, verdict: Verdict::Twice, transaction_id, times: 2 });
            report.unasked(&Unasked::NotConnected);
            Ok(report)
        })
    })
}

#[actix_web::test]
async fn a_check_answers_with_all_counts_and_its_findings() {
    let world = World::empty().await;
    let operator = world.operator();
    operator.post(PATH, json!({})).await.record(VERIFY, "all");
    operator.post(PATH, json!({ "job": "1" })).await.record(VERIFY, "one-job");
    operator.post(PATH, json!({ "since": "2026-03-01T12:00:00Z" })).await.record(VERIFY, "since");
    for (body, case) in [
        (json!({ "job": "9" }), "unknown-job"),
        (json!({ "job": "x" }), "no-number"),
        (json!({ "job": 1 }), "wrong-type"),
        (json!({ "job": "2" }), "too-much"),
        (json!({ "job": "3" }), "busy"),
        (json!({ "since": "yesterday" }), "no-time"),
        (json!({ "jobs": "1" }), "unknown-key"),
    ] {
        operator.post(PATH, body).await.record(VERIFY, case);
    }
    world.viewer().post(PATH, json!({})).await.record(VERIFY, "viewer");
}
