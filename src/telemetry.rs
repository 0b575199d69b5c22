//! Logs to standard error, human or JSON, and the registry of metrics. Installed once per process.

use std::io::IsTerminal as _;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};

use crate::config::{Log, LogFormat};

/// Why logs or metrics could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("log.level '{level}' is not a level or filter: {reason}")]
    Level { level: String, reason: String },
    #[error("metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

/// Changes the log filter while the process runs.
#[derive(Clone)]
pub struct LogControl(reload::Handle<EnvFilter, Registry>);

impl LogControl {
    /// Applies another `log.level`.
    ///
    /// # Errors
    /// When it is no level or filter; the old one stays.
    pub fn set_level(&self, level: &str) -> Result<(), TelemetryError> {
        let filter = parse_filter(level)?;
        // The only error is a dropped subscriber, which lives as long as the process.
        let _ = self.0.reload(filter);
        Ok(())
    }
}

/// Checks a `log.level` without applying it.
///
/// # Errors
/// When it is no level or filter.
pub fn check_level(level: &str) -> Result<(), TelemetryError> {
    parse_filter(level).map(drop)
}

fn parse_filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    let wrong = |reason: String| TelemetryError::Level { level: level.to_owned(), reason };
    // The filter would take an unknown word for the name of a module, and log nothing at all.
    let bare = level.split(',').map(str::trim).find(|part| !part.contains('=') && part.parse::<LevelFilter>().is_err());
    if let Some(word) = bare {
        return Err(wrong(format!("'{word}' is none of error, warn, info, debug, trace, off")));
    }
    EnvFilter::try_new(level).map_err(|error| wrong(error.to_string()))
}

/// Starts logging. A second call in the same process (tests) changes nothing.
///
/// # Errors
/// When `log.level` is no level or filter.
pub fn start_logging(log: &Log) -> Result<LogControl, TelemetryError> {
    let (filter, handle) = reload::Layer::new(parse_filter(&log.level)?);
    let colors = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(colors);
    let lines = match log.format {
        LogFormat::Human => lines.with_target(true).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).boxed(),
    };
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Ok(LogControl(handle))
}

/// Installs the recorder of metrics and returns what renders them.
///
/// # Errors
/// When another recorder is installed already.
pub fn start_metrics() -> Result<PrometheusHandle, TelemetryError> {
    const SECONDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
    const ROWS: [f64; 8] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 2_000.0];
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_rows".to_owned()), &ROWS)?
        .install_recorder()?;
    Ok(handle)
}
