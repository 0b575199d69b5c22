//! `bunraku serve`: starts the service, obeys signals, stops it in order.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bunraku_actors::model::NodeState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::notify::Notifier;
use super::service::Service;
use super::watchdog::Watchdog;
use crate::config::Config;
use crate::memory;
use crate::telemetry::{self, LogControl};

/// Beyond the drain, streams and sessions end, and what is queued is committed.
const CLOSE: Duration = Duration::from_secs(60);

/// Runs the service until SIGTERM or Ctrl-C. `end_with_stdin`: also until standard input ends, so that a parent's death
/// ends it too.
///
/// A stop waits for nodes that run, up to `server.drain_timeout`; a second signal ends the wait, a third ends the process
/// where it stands. Nothing committed is lost by either.
///
/// # Errors
/// When the configuration is unusable or a part cannot start.
pub fn serve(config: &Path, end_with_stdin: bool) -> anyhow::Result<()> {
    let path = config.to_owned();
    let config = Config::load(config)?;
    let logs = telemetry::start_logging(&config.log)?;
    let metrics = telemetry::start_metrics()?;
    memory::keep_private();
    actix::System::new().block_on(async move {
        // Before anything starts: a signal that comes early must not kill us half-way.
        let mut signals = Signals::new(end_with_stdin).context("cannot take signals")?;
        let notifier = Arc::new(Notifier::from_environment());
        let mut service = Service::start(&config, Some(metrics)).await?;
        let watchdog = start_watchdog(&service, &notifier).context("cannot start the watchdog")?;
        let (api, broker) = (service.api_address(), service.broker_address());
        tracing::info!(%api, %broker, "listening");
        let engine = service.orchestrator().clone();
        let mut recovered = std::pin::pin!(engine.recovered());
        let mut ready = false;
        loop {
            let wish = tokio::select! {
                () = &mut recovered, if !ready => {
                    ready = true;
                    tracing::info!(%api, %broker, "ready");
                    notifier.tell("READY=1");
                    continue;
                }
                wish = signals.next() => wish,
            };
            match wish {
                Wish::Reload => {
                    notifier.tell("RELOADING=1");
                    reload(&path, &logs, &mut service).await;
                    notifier.tell("READY=1");
                }
                Wish::Stop(why) => {
                    tracing::info!(why, nodes_running = service.orchestrator().running(), "stopping");
                    break;
                }
            }
        }
        // What the unit allows may be less than what the configuration says.
        let longest = config.server.drain_timeout.saturating_add(CLOSE);
        notifier.tell(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={}", longest.as_micros()));
        tokio::select! {
            () = service.drain() => {}
            () = sleep(config.server.drain_timeout) => {
                let nodes_running = service.orchestrator().running();
                tracing::warn!(nodes_running, "the time to drain is over: what runs goes on at its agent");
            }
            why = signals.stop() => tracing::warn!(why, "stopping without waiting for nodes that run"),
        }
        // From here on actors end, which is no hang.
        drop(watchdog);
        tokio::select! {
            () = service.stop() => tracing::info!("stopped"),
            why = signals.stop() => tracing::warn!(why, "ended at once"),
        }
        Ok(())
    })
}

fn start_watchdog(service: &Service, notifier: &Arc<Notifier>) -> std::io::Result<Watchdog> {
    let (engine, sessions) = (service.orchestrator().clone(), Arc::clone(service.sessions()));
    let hang = engine.clone();
    let patience = engine.limits().hang_timeout;
    let status = move || {
        let glance = engine.glance();
        let jobs: u32 = glance.jobs.values().sum();
        let running = glance.nodes.get(NodeState::Running);
        format!("{} agents connected, {jobs} jobs, {running} nodes run", sessions.count())
    };
    Watchdog::start(Arc::clone(notifier), patience, move || hang.hang(), status)
}

async fn reload(path: &Path, logs: &LogControl, service: &mut Service) {
    match Config::load(path) {
        Ok(config) => {
            service.reload_rules(&config.access_file);
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
    /// Standard input, where its end counts.
    stdin_end: Option<oneshot::Receiver<()>>,
}

impl Signals {
    fn new(end_with_stdin: bool) -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            stdin_end: end_with_stdin.then(stdin_end),
        })
    }

    /// The next wish to stop, whatever is read from standard input.
    async fn stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    async fn next(&mut self) -> Wish {
        let stdin_ended = async {
            match &mut self.stdin_end {
                // Its thread tells the end, or is gone, which says the same.
                Some(end) => drop(end.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Wish::Stop("SIGINT"),
            _ = self.hangup.recv() => Wish::Reload,
            () = stdin_ended => Wish::Stop("standard input ended"),
        }
    }
}

/// Waits for the end of standard input; what is read is dropped. On a thread of its own: a read cannot be called off, and
/// a runtime waits for those that it began.
fn stdin_end() -> oneshot::Receiver<()> {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        // An error is an end as well; nobody listens any more when the service ended first.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = tell.send(());
    });
    told
}
