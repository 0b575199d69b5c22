//! A job over the whole swarm: how long until it is accepted, until the first request comes, until all is over.

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::report::{Server, rounded};
use super::{LOOK, SAY_EVERY, millis};
use crate::cli::answers::job_name;
use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::swarm::Swarm;

/// What jobs are made with.
pub(super) struct Load<'a> {
    pub(super) swarm: &'a Swarm,
    pub(super) concurrency: Option<u32>,
    pub(super) server: Option<&'a Server>,
    pub(super) out: Output,
}

impl Load<'_> {
    /// Runs a deploy on all nodes; what it came to.
    pub(super) async fn job(&self, client: &Client) -> Result<Value, CliError> {
        let nodes: Vec<&str> = self.swarm.names().iter().map(|name| name.as_str()).collect();
        let mut body = json!({"environment": "", "scope": {"nodes": nodes}, "description": "bunraku swarm"});
        if let Some(concurrency) = self.concurrency {
            body["concurrency"] = json!(concurrency);
        }
        let before = self.server.map(Server::usage).transpose()?;
        self.swarm.watch_for_first_request();
        let begun = Instant::now();
        let job = job_name(&client.post("/orchestrator/v1/command/deploy", &body).await?)?;
        let accepted = begun.elapsed();
        let over = self.watch(client, &job).await?;
        let took = begun.elapsed();
        let after = self.server.map(Server::usage).transpose()?;
        let first = self.swarm.first_request().map(|at| at.duration_since(begun));
        let count = nodes.len() as f64;
        let mut result = json!({
            "job": job, "nodes": nodes.len(), "accepted_ms": rounded(millis(accepted)),
            "first_request_ms": first.map(|first| rounded(millis(first))), "seconds": rounded(took.as_secs_f64()),
            "runs_per_second": rounded(count / took.as_secs_f64()), "state": over.get("state"),
            "node_states": over.get("node_states"),
        });
        if let (Some(before), Some(after)) = (before, after) {
            result["server_cpu_ms_per_run"] = rounded((after.cpu_seconds - before.cpu_seconds) * 1_000.0 / count);
            result["server_memory_bytes"] = json!(after.memory);
        }
        Ok(result)
    }

    /// Waits for the end of a job, and says how far it is.
    async fn watch(&self, client: &Client, job: &str) -> Result<Value, CliError> {
        let mut said = Instant::now();
        loop {
            let shown = client.get(&format!("/orchestrator/v1/jobs/{job}"), &[]).await?;
            if shown.get("finished_timestamp").is_some_and(Value::is_string) {
                return Ok(shown);
            }
            if said.elapsed() >= SAY_EVERY && !self.out.can_draw() {
                said = Instant::now();
                let states = shown.get("node_states").cloned().unwrap_or_default();
                self.out.note(format!("job {job}: {states}"));
            }
            sleep(LOOK).await;
        }
    }
}
