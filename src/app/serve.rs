//! `bunraku serve`: starts the service, obeys signals, stops it in order.

use std::path::Path;

use anyhow::Context as _;
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::service::Service;
use crate::config::Config;
use crate::telemetry::{self, LogControl};

/// Runs the service until SIGTERM or Ctrl-C. `end_with_stdin`: also until standard input ends, so that a parent's death
/// ends it too.
///
/// # Errors
/// When the configuration is unusable or a part cannot start.
pub fn serve(config: &Path, end_with_stdin: bool) -> anyhow::Result<()> {
    let path = config.to_owned();
    let config = Config::load(config)?;
    let logs = telemetry::start_logging(&config.log)?;
    let metrics = telemetry::start_metrics()?;
    actix::System::new().block_on(async move {
        // Before anything starts: a signal that comes early must not kill us half-way.
        let mut signals = Signals::new().context("cannot take signals")?;
        let mut service = Service::start(&config, Some(metrics)).await?;
        tracing::info!(api = %service.api_address(), broker = %service.broker_address(), "ready");
        loop {
            match signals.next(end_with_stdin).await {
                Wish::Reload => reload(&path, &logs, &mut service).await,
                Wish::Stop(why) => {
                    tracing::info!(why, "stopping");
                    break;
                }
            }
        }
        service.stop().await;
        tracing::info!("stopped");
        Ok(())
    })
}

async fn reload(path: &Path, logs: &LogControl, service: &mut Service) {
    match Config::load(path) {
        Ok(config) => {
            if let Err(error) = logs.set_level(&config.log.level) {
                tracing::error!(%error, "the log level stays as it was");
            }
        }
        Err(error) => tracing::error!(%error, "the configuration stays as it was"),
    }
    service.reload_tls().await;
}

enum Wish {
    Reload,
    Stop(&'static str),
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self, end_with_stdin: bool) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Wish::Stop("SIGINT"),
            _ = self.hangup.recv() => Wish::Reload,
            () = stdin_ended(), if end_with_stdin => Wish::Stop("standard input ended"),
        }
    }
}

/// Waits for the end of standard input; what is read is dropped.
async fn stdin_ended() {
    let mut input = tokio::io::stdin();
    let mut dropped = [0; 256];
    while matches!(input.read(&mut dropped).await, Ok(1..)) {}
}
