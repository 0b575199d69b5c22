//! The tour: a job over many nodes, the service killed in the middle of it, started again, and what the agents' ledgers
//! say in the end.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::children::Part;
use super::site::{ENVIRONMENT, Site};
use super::{LOOK_AGAIN, START_PATIENCE, all_connected, answers, give_up_after};
use crate::cli::allow::JudgeArgs;
use crate::cli::answers::job_name;
use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::job::{Interrupt, watch_to_end};
use crate::cli::ledger;
use crate::cli::output::Output;

/// How many nodes, when nobody says.
pub(super) const NODES: u16 = 12;
/// With fewer there is no moment in which one is over, one runs and one waits.
pub(super) const FEWEST: u16 = 3;
/// Seconds that a run takes at least where there is no Puppet.
pub(super) const PACE: u8 = 1;
/// The most runs at once.
const CONCURRENCY: usize = 4;
/// How long the service stays away, so that its absence can be seen.
const AWAY: Duration = Duration::from_secs(2);

/// Shows that nothing is lost and nothing runs twice.
pub(super) async fn show(site: &Site, client: &Client, parts: &mut [Part], out: Output) -> Result<Exit, CliError> {
    // Few enough that some wait when the service is killed.
    let concurrency = (site.nodes.len() / 3).clamp(1, CONCURRENCY);
    let body = json!({"environment": ENVIRONMENT, "scope": {"nodes": site.certnames()}, "concurrency": concurrency,
        "description": "the tour's deploy"});
    let job = job_name(&client.post("/orchestrator/v1/command/deploy", &body).await?)?;
    step(out, "deployed", &format!("job {job} runs Puppet on {} nodes, {concurrency} at once", site.nodes.len()));
    let counts = in_the_middle(client, &job, site.nodes.len() as u64).await?;
    let Some(service) = parts.first_mut() else { return Ok(Exit::Failed) };
    service.kill().await?;
    step(out, "killed", &format!("kill -9 of the service, with nodes {counts}"));
    sleep(AWAY).await;
    *service = Part::start("serve-again", &["serve"], &site.made.config(), &site.made.dir.join("log"))?;
    answers(client, parts).await?;
    step(out, "started", "the service is back: it asks every node what became of its run");
    let outcome = watch_to_end(client, &job, out, Interrupt::Elsewhere, &JudgeArgs::default()).await?;
    // One whose run was over before may still be on its way back.
    all_connected(site, client, parts).await?;
    if !out.is_json() {
        out.line("what the nodes themselves have written down:");
    }
    let ledgers = ledger::verify(client, &json!({ "job": job }), out).await?;
    Ok(if outcome == Exit::Done { ledgers } else { outcome })
}

/// Waits until some nodes are over, some run and some wait; returns how many.
async fn in_the_middle(client: &Client, job: &str, nodes: u64) -> Result<String, CliError> {
    let until = Instant::now() + START_PATIENCE;
    loop {
        let shown = client.get(&format!("/orchestrator/v1/jobs/{job}"), &[]).await?;
        let states = shown.get("node_states").cloned().unwrap_or_default();
        let count = |state: &str| states.get(state).and_then(Value::as_u64).unwrap_or_default();
        if count("finished") >= 1 && count("running") >= 1 && count("finished") + count("running") < nodes {
            return Ok(states.to_string());
        }
        let until = if shown.get("finished_timestamp").is_some_and(Value::is_string) { Instant::now() } else { until };
        give_up_after(until, || format!("job {job} has no middle: {states}"))?;
        sleep(LOOK_AGAIN).await;
    }
}

fn step(out: Output, name: &str, words: &str) {
    if out.is_json() {
        out.json(&json!({"tour": name, "message": words}));
    } else {
        out.line(words);
    }
}
