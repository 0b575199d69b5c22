//! Every metric of the service: name, kind, labels, help. The table of `docs/operations.md` is rendered from here.
//!
//! What is not listed here is not counted anywhere: a test compares the list with the sources.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::TelemetryError;

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A label, with its values where they are known beforehand.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    pub name: &'static str,
    pub values: &'static [&'static str],
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [Label],
    pub help: &'static str,
}

const fn any(name: &'static str) -> Label {
    Label { name, values: &[] }
}

const fn counter(name: &'static str, labels: &'static [Label], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [Label], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [Label], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, labels, help }
}

/// All metrics, in the order of the documentation.
pub const METRICS: &[Metric] = &[
    gauge("bunraku_build_info", &[any("version")], "Always 1; the label tells which release runs"),
    gauge("bunraku_live_jobs", &[any("state")], "Jobs that are not over, by committed state"),
    gauge("bunraku_live_nodes", &[any("state")], "Nodes of the jobs that are not over, by committed state"),
    counter(
        "bunraku_jobs_total",
        &[Label { name: "state", values: &["finished", "failed", "stopped", "aborted"] }],
        "Ended jobs by outcome; aborted ones broke down",
    ),
    counter("bunraku_node_starts_total", &[], "Started node runs"),
    counter(
        "bunraku_node_runs_total",
        &[Label { name: "state", values: &["finished", "failed", "errored", "skipped"] }],
        "Ended nodes of jobs by outcome",
    ),
    gauge(
        "bunraku_slots_used",
        &[any("limit")],
        "Slots of a limit that jobs share which are taken, by runs and by holds",
    ),
    gauge("bunraku_slots_limit", &[any("limit")], "All slots of that limit"),
    gauge("bunraku_holds", &[], "Runs that ended without their agent's word and count until it is known"),
    gauge("bunraku_commands_in_progress", &[], "Commands that are being handled"),
    gauge("bunraku_commands_limit", &[], "How many at most; further ones are refused with 503"),
    gauge("bunraku_sessions", &[], "Connected agents and controllers"),
    counter("bunraku_sessions_refused_total", &[any("reason")], "Connections of agents that were refused"),
    counter("bunraku_supersedes_total", &[], "Sessions that a newer one with the same certname replaced"),
    gauge("bunraku_session_queue_frames", &[], "Messages that wait to be sent, over all sessions"),
    gauge("bunraku_session_queue_frames_max", &[], "Messages that wait for the slowest session, of at most 64"),
    counter("bunraku_session_queue_full_total", &[], "Messages that were refused because a session did not read"),
    gauge("bunraku_inflight_bytes", &[], "Bytes of broker.max_inflight that messages of agents hold"),
    gauge("bunraku_inflight_waiting", &[], "Large messages of agents that wait for theirs"),
    counter("bunraku_stray_answers_total", &[], "Answers of agents that nobody waited for"),
    gauge("bunraku_store_queue_depth", &[], "Writes that are not committed yet"),
    histogram("bunraku_store_batch_rows", &[], "Rows of one transaction"),
    histogram("bunraku_store_commit_seconds", &[], "Time of one transaction, with its sync to disk"),
    gauge("bunraku_store_trouble", &[], "1 while the store takes no writes"),
    gauge(
        "bunraku_source_trouble",
        &[any("source")],
        "1 while a source of environments, tasks, groups, facts or queries is in trouble; `/readyz` says which",
    ),
    counter(
        "bunraku_store_pruned_jobs_total",
        &[],
        "Jobs that were removed because they were older than retention.jobs",
    ),
    gauge(
        "bunraku_backup_last_success_timestamp_seconds",
        &[],
        "When the newest scheduled backup was made, as Unix time; 0 when there is none",
    ),
    counter(
        "bunraku_schedule_turns_total",
        &[Label { name: "outcome", values: &["started", "refused", "skipped"] }],
        "Turns of scheduled jobs, by what became of them",
    ),
    counter(
        "bunraku_audit_refusals_not_noted_total",
        &[],
        "Refusals that are not in the audit log, because their address had too many within a minute",
    ),
    counter("bunraku_backup_failures_total", &[], "Scheduled backups that failed"),
    counter(
        "bunraku_store_unreadable_jobs_total",
        &[],
        "Unfinished jobs that were left out because their rows are damaged",
    ),
    counter(
        "bunraku_feed_missed_batches_total",
        &[],
        "Batches of events that the counters of jobs and node runs have missed",
    ),
    counter(
        "bunraku_http_requests_total",
        &[any("route"), any("method"), any("status")],
        "Answered requests; a route is a pattern such as `/orchestrator/v1/jobs/{id}`",
    ),
    histogram("bunraku_http_request_seconds", &[any("route")], "Time until the head of the answer"),
    gauge("bunraku_http_connections", &[], "Connections of clients of the API, of at most server.max_connections"),
    counter("bunraku_http_connections_refused_total", &[], "Connections of clients for which there was no room"),
    gauge(
        "bunraku_certificate_expiry_timestamp_seconds",
        &[any("file")],
        "When certificate (`cert`), CA (`ca`) and revocation list (`crl`) end, as Unix time",
    ),
];

/// Buckets of everything that is measured in seconds.
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Buckets of everything that is measured in rows.
const ROWS: [f64; 8] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 2_000.0];

/// Installs the recorder of metrics and returns what renders them. Whoever has it must call
/// [`PrometheusHandle::run_upkeep`] now and then, or samples pile up while nobody reads.
///
/// # Errors
/// When another recorder is installed already.
pub fn start_metrics() -> Result<PrometheusHandle, TelemetryError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_rows".to_owned()), &ROWS)?
        .install_recorder()?;
    METRICS.iter().for_each(introduce);
    metrics::gauge!("bunraku_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

/// Describes a metric. Counters whose labels are known begin at zero: the first increase of one that appears from
/// nowhere would not be seen as one.
fn introduce(metric: &Metric) {
    match metric.kind {
        Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
        Kind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        Kind::Counter => {
            metrics::describe_counter!(metric.name, metric.help);
            match metric.labels {
                [] => metrics::counter!(metric.name).increment(0),
                [label] => {
                    for value in label.values {
                        metrics::counter!(metric.name, label.name => *value).increment(0);
                    }
                }
                _ => {}
            }
        }
    }
}

/// The table of the documentation.
#[must_use]
pub fn table() -> String {
    let row = |metric: &Metric| {
        let labels: Vec<_> = metric.labels.iter().map(|label| label.name).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let kind = format!("{:?}", metric.kind).to_lowercase();
        format!("| `{}{labels}` | {kind} | {} |\n", metric.name, metric.help)
    };
    METRICS.iter().map(row).collect()
}
