//! The node agent: PXP from the other side.
//!
//! One connection ([`session`]) at a time feeds one queue of frames; [`dispatch`] takes them in order; a run lives in
//! [`start`], its record in [`spool`], its processes in [`process`]. It opens no port, and does nothing that the node's
//! own configuration does not allow.

mod answer;
mod backoff;
mod cancel;
mod client;
pub mod config;
mod dispatch;
mod facts;
mod files;
mod housekeeping;
mod identity;
mod outbox;
mod process;
mod puppet;
mod session;
mod spool;
mod start;
mod state;
mod status;
mod task;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use self::backoff::Backoff;
pub use self::config::AgentConfig;
use self::spool::{Ledger, Spool};
use self::state::Agent;
use crate::memory;

const PUPPET_MODULE: &str = "pxp-module-puppet";
const TASK_MODULE: &str = "task";

/// Frames that were read and wait to be processed. When it is full, reading from the connection pauses.
const FRAMES_CAPACITY: usize = 256;

/// How long the runs may take to end when their agent is to leave nothing behind: longer than one may resist.
const END_PATIENCE: Duration = Duration::from_secs(15);
/// How often is looked whether they have.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Runs the agent until SIGTERM or SIGINT. Runs that go on then do so without it; the next agent takes them over. When
/// `end` returns, the runs are ended too: nothing is left of the agent.
///
/// # Errors
/// When the certificate or the spool cannot be used. A broker that cannot be reached is no error: it is tried again.
pub async fn run(config: AgentConfig, end: impl Future<Output = ()>) -> anyhow::Result<()> {
    memory::keep_private();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        result = serve_until(config, end) => result,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// Runs the agent until it is dropped.
///
/// # Errors
/// As [`run`].
pub async fn serve(config: AgentConfig) -> anyhow::Result<()> {
    serve_until(config, std::future::pending()).await
}

async fn serve_until(config: AgentConfig, end: impl Future<Output = ()>) -> anyhow::Result<()> {
    crate::tls::install_provider();
    let uri = identity::own_uri(&config.ssl)?;
    let (spool, lock) = Spool::open(&config.spool_dir)?;
    let ledger = Ledger::open(spool.root()).context("cannot open the ledger")?;
    tracing::info!(uri = %uri, spool = %spool.id(), "agent starts");
    let agent = Arc::new(Agent::new(config, uri, spool, ledger));
    // Dropped in reverse order: the runs are let go before the spool is free for the next agent.
    let _lock = lock;
    let _runs = LetGo(Arc::clone(&agent));
    start::adopt_all(&agent).await.context("cannot read the spool")?;
    let (frames, queue) = mpsc::channel(FRAMES_CAPACITY);
    tokio::select! {
        () = dispatch::process(Arc::clone(&agent), queue) => {}
        () = stay_connected(&agent, &frames) => {}
        () = housekeeping::keep(&agent) => {}
        () = end => end_runs(&agent).await,
        () = agent.until_spool_is_lost() => bail!(
            "spool_dir {} was removed or replaced while the agent was running: what became of its runs cannot be told any \
             more. The next start begins with what is there now",
            agent.spool.root().display()
        ),
    }
    Ok(())
}

/// Ends all runs, and waits until they are gone.
async fn end_runs(agent: &Agent) {
    agent.cancel_all();
    let gone = async {
        while agent.has_active() {
            sleep(LOOK_INTERVAL).await;
        }
    };
    if timeout(END_PATIENCE, gone).await.is_err() {
        tracing::warn!("some runs did not end");
    }
}

/// The wrapper of a run: `bunraku agent exec-run DIR`. Started by the agent only.
#[must_use]
pub fn exec_run(directory: &Path) -> ExitCode {
    process::exec_run(directory)
}

/// Lets go of the runs when the agent ends, however it ends.
struct LetGo(Arc<Agent>);

impl Drop for LetGo {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

/// Connects, serves, and connects again, for ever.
async fn stay_connected(agent: &Agent, frames: &mpsc::Sender<String>) {
    let mut backoff = Backoff::new(agent.config.reconnect_max);
    for uri in agent.config.broker_uris.iter().cycle() {
        if !agent.has_its_spool() {
            // It would name a spool that is not there.
            return std::future::pending().await;
        }
        let pause = match client::connect(&agent.config, uri, agent.spool.id()).await {
            Ok(socket) => {
                tracing::info!(uri, "connected");
                let since = Instant::now();
                let end = session::serve(agent, socket, frames).await;
                let pause = backoff.ended(since.elapsed());
                tracing::warn!(uri, reason = %end, ?pause, "connection ended");
                pause
            }
            Err(error) => {
                let pause = backoff.failed();
                tracing::warn!(uri, %error, ?pause, "no connection");
                pause
            }
        };
        if backoff.looks_superseded() {
            tracing::error!(uri, name = %agent.uri, "connections keep ending at once: is there another agent of this name?");
        }
        sleep(pause).await;
    }
}
