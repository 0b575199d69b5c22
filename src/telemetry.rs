//! Logs to standard error, human or JSON, and the registry of metrics. Installed once per process.

pub mod catalog;

use std::io::IsTerminal as _;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};

pub use self::catalog::start_metrics;
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

/// Directives that no level changes: these would show whole messages, with what is secret in them.
const DISCREET: &str = "tungstenite=info,tokio_tungstenite=info";
/// The HTTP layer calls every malformed request an error: whoever can connect could fill the log. A filter that names it
/// comes later, and counts.
const QUIET: &str = "actix_http=off";

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
    EnvFilter::try_new(format!("{QUIET},{level},{DISCREET}")).map_err(|error| wrong(error.to_string()))
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
