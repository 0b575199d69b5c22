//! `bunraku drain`: no new jobs, no new starts; what runs goes on.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::client::Client;
use super::error::CliError;
use super::exit::Exit;
use super::output::counted;
use super::{Context, seconds};

const PATH: &str = "/bunraku/v1/drain";
/// How often is asked whether something still runs.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

const EXAMPLES: &str = "\
Examples:
  bunraku drain --wait --timeout 10m && systemctl stop bunraku
  bunraku drain --undo

Exit codes: 0 done; 1 nodes still ran when the time was over.";

/// Take no new jobs and start no more nodes, as before a restart; what runs goes on
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DrainArgs {
    /// Go on as before
    #[arg(long, conflicts_with = "wait")]
    undo: bool,
    /// Return when no node runs any more
    #[arg(long)]
    wait: bool,
    /// How long to wait at most, for example 10m
    #[arg(long, value_name = "TIME", value_parser = seconds, requires = "wait")]
    timeout: Option<u64>,
}

/// Carries out `bunraku drain`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &DrainArgs, ctx: &Context) -> Result<Exit, CliError> {
    let client = ctx.client().await?;
    // A time beyond all calendars is none.
    let until = args.timeout.and_then(|timeout| Instant::now().checked_add(Duration::from_secs(timeout)));
    let mut state = client.post(PATH, &json!({ "drain": !args.undo })).await?;
    if args.wait {
        state = wait(&client, state, until).await?;
    }
    let running = nodes_running(&state);
    if ctx.out.is_json() {
        ctx.out.json(&state);
    } else if state.get("draining") == Some(&Value::Bool(true)) {
        let running = counted(running, "node runs", "nodes run");
        ctx.out.line(format!("the service is drained: it takes no new jobs; {running}"));
    } else {
        ctx.out.line("the service takes new jobs");
    }
    Ok(if args.wait && running > 0 { Exit::Failed } else { Exit::Done })
}

async fn wait(client: &Client, mut state: Value, until: Option<Instant>) -> Result<Value, CliError> {
    while nodes_running(&state) > 0 && until.is_none_or(|until| Instant::now() < until) {
        sleep(LOOK_INTERVAL).await;
        state = client.get(PATH, &[]).await?;
    }
    Ok(state)
}

fn nodes_running(state: &Value) -> u64 {
    state.get("nodes_running").and_then(Value::as_u64).unwrap_or_default()
}
