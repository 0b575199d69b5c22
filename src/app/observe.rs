//! Metrics that no single part of the service can count or publish by itself: ended jobs and node runs, when certificates
//! end, and everything that is read at the moment when somebody asks.

use std::sync::Arc;
use std::time::Duration;

use bunraku_actors::handle::{ADMISSION, Orchestrator};
use bunraku_actors::model::{EventKind, EventRecord, JobState};
use bunraku_actors::ports::Feed;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;

use crate::broker::{Receiving, Sessions};
use crate::store::Store;
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

/// How often samples are folded into their histograms.
const UPKEEP: Duration = Duration::from_secs(5);

/// Folds samples into their histograms for good: while nobody reads the metrics, they would pile up.
pub(super) async fn keep_up(metrics: PrometheusHandle) {
    regularly(|| metrics.run_upkeep()).await;
}

async fn regularly(mut work: impl FnMut()) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        work();
    }
}

/// Whoever knows what is read anew for each look at the metrics. None of it costs anything per node.
pub(super) struct Gauges {
    pub(super) orchestrator: Orchestrator,
    pub(super) sessions: Arc<Sessions>,
    pub(super) store: Store,
    pub(super) receiving: Box<dyn Fn() -> Receiving + Send + Sync>,
}

impl Gauges {
    /// Publishes what is true now.
    pub(super) fn publish(&self) {
        let engine = self.orchestrator.glance();
        for state in JobState::ALL.into_iter().filter(|state| !state.is_terminal()) {
            let jobs = engine.jobs.get(&state).copied().unwrap_or_default();
            metrics::gauge!("bunraku_live_jobs", "state" => state.name()).set(jobs);
        }
        for (state, nodes) in engine.nodes.iter() {
            metrics::gauge!("bunraku_live_nodes", "state" => state.name()).set(nodes);
        }
        for slots in &engine.slots {
            metrics::gauge!("bunraku_slots_used", "limit" => slots.limit).set(slots.used);
            metrics::gauge!("bunraku_slots_limit", "limit" => slots.limit).set(slots.of);
        }
        metrics::gauge!("bunraku_holds").set(engine.holds);
        metrics::gauge!("bunraku_commands_in_progress").set(as_gauge(engine.commands));
        metrics::gauge!("bunraku_commands_limit").set(as_gauge(ADMISSION));
        metrics::gauge!("bunraku_sessions").set(as_gauge(self.sessions.count()));
        let queued = self.sessions.queued();
        metrics::gauge!("bunraku_session_queue_frames").set(as_gauge(queued.total));
        metrics::gauge!("bunraku_session_queue_frames_max").set(as_gauge(queued.most));
        let receiving = (self.receiving)();
        #[expect(clippy::cast_precision_loss, reason = "metrics are floating point, bytes of memory stay exact")]
        metrics::gauge!("bunraku_inflight_bytes").set(receiving.bytes as f64);
        metrics::gauge!("bunraku_inflight_waiting").set(as_gauge(receiving.waiting));
        for health in self.orchestrator.directory().health() {
            let troubled = u32::from(health.trouble.is_some());
            metrics::gauge!("bunraku_source_trouble", "source" => health.source).set(troubled);
        }
        metrics::gauge!("bunraku_store_queue_depth").set(as_gauge(self.store.queue_depth()));
        metrics::gauge!("bunraku_store_trouble").set(u32::from(self.orchestrator.store().trouble().is_some()));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn samples_are_folded_while_nobody_reads_them() {
        let mut folded = 0;
        let minute = tokio::time::timeout(Duration::from_secs(60), regularly(|| folded += 1));
        assert!(minute.await.is_err(), "it never ends by itself");
        assert!(folded >= 12, "{folded}");
    }
}
