//! Metrics that no single part of the service can count: ended jobs and node runs, and when certificates end.

use bunraku_actors::model::{EventKind, EventRecord};
use bunraku_actors::ports::Feed;
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;

use crate::tls::{self, TlsPaths};

/// Counts ended node runs and jobs from the committed events, until the store is closed.
pub(super) async fn count_events(mut feed: Feed) {
    loop {
        match feed.recv().await {
            Ok(batch) => batch.iter().for_each(count),
            Err(RecvError::Lagged(missed)) => {
                metrics::counter!("bunraku_feed_missed_batches_total").increment(missed);
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn count(event: &EventRecord) {
    match event.kind {
        EventKind::NodeRunning => metrics::counter!("bunraku_node_starts_total").increment(1),
        EventKind::NodeFinished | EventKind::NodeFailed | EventKind::NodeErrored | EventKind::NodeSkipped => {
            let state = event.kind.name().trim_start_matches("node_");
            metrics::counter!("bunraku_node_runs_total", "state" => state).increment(1);
        }
        EventKind::JobFinished => {
            let state = event.detail.get("state").and_then(Value::as_str).unwrap_or("unknown").to_owned();
            metrics::counter!("bunraku_jobs_total", "state" => state).increment(1);
        }
        EventKind::JobAborted => metrics::counter!("bunraku_jobs_total", "state" => "aborted").increment(1),
        EventKind::JobStopping => {}
    }
}

/// Publishes when certificate, CA and revocation list end, as Unix times.
pub(super) fn publish_expiries(paths: &TlsPaths) {
    match tls::expiries(paths) {
        Ok(ends) => {
            for (file, end) in ends {
                #[expect(clippy::cast_precision_loss, reason = "metrics are floating point, seconds stay exact")]
                metrics::gauge!("bunraku_certificate_expiry_timestamp_seconds", "file" => file).set(end as f64);
            }
        }
        Err(error) => tracing::warn!(%error, "cannot tell when certificates end"),
    }
}
