//! Metrics that no single part of the service can count: ended jobs and node runs, and when certificates end.

use bunraku_actors::handle::Glance;
use bunraku_actors::model::{EventKind, EventRecord, JobState};
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

/// Publishes the state of the engine and the queues of the sessions (all frames, most of one) as they are now.
pub(super) fn publish_gauges(glance: &Glance, (frames, most): (usize, usize)) {
    for state in JobState::ALL.into_iter().filter(|state| !state.is_terminal()) {
        let jobs = glance.jobs.get(&state).copied().unwrap_or_default();
        metrics::gauge!("bunraku_live_jobs", "state" => state.name()).set(jobs);
    }
    for (state, nodes) in glance.nodes.iter() {
        metrics::gauge!("bunraku_live_nodes", "state" => state.name()).set(nodes);
    }
    for slots in &glance.slots {
        metrics::gauge!("bunraku_slots_used", "limit" => slots.limit).set(slots.used);
        metrics::gauge!("bunraku_slots_limit", "limit" => slots.limit).set(slots.of);
    }
    metrics::gauge!("bunraku_holds").set(glance.holds);
    metrics::gauge!("bunraku_commands_in_progress").set(as_gauge(glance.commands));
    metrics::gauge!("bunraku_session_queue_frames").set(as_gauge(frames));
    metrics::gauge!("bunraku_session_queue_frames_max").set(as_gauge(most));
}

fn as_gauge(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
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
