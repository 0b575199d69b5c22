//! A job on many nodes is confirmed by a person before it is started. Scripts are never asked.

use serde_json::Value;

use super::client::Client;
use super::error::CliError;
use super::output::{Output, counted};
use super::terminal;

/// A job on more nodes is confirmed.
const MANY: u64 = 50;

/// Whether to ask.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ConfirmArgs {
    /// Start without asking, also on more than 50 nodes
    #[arg(long)]
    yes: bool,
}

impl ConfirmArgs {
    /// Whether the job that `body` asks for may be started: `what` says what it does, such as `run Puppet`.
    ///
    /// # Errors
    /// When the server cannot be asked on how many nodes it would be.
    pub(crate) async fn confirmed(
        &self,
        client: &Client,
        out: Output,
        what: &str,
        body: &Value,
    ) -> Result<bool, CliError> {
        if self.yes || !out.can_draw() || !terminal::can_ask() {
            return Ok(true);
        }
        let Some(question) = question(what, nodes(client, body).await?) else { return Ok(true) };
        let confirmed = is_yes(&terminal::ask(&question).await);
        if !confirmed {
            out.note("nothing was started");
        }
        Ok(confirmed)
    }
}

/// What is known of the number of a job's nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nodes {
    Known(u64),
    Unknown,
    /// The server refuses the job; it says so once more when it is asked to start it.
    Refused,
}

/// On how many nodes a job would be. A list of nodes is its own answer; for the others the server is asked.
async fn nodes(client: &Client, body: &Value) -> Result<Nodes, CliError> {
    if let Some(nodes) = body.pointer("/scope/nodes").and_then(Value::as_array) {
        return Ok(Nodes::Known(nodes.len() as u64));
    }
    match client.post("/bunraku/v1/preview", body).await {
        Ok(preview) => Ok(preview.get("nodes").and_then(Value::as_u64).map_or(Nodes::Unknown, Nodes::Known)),
        // An older server has no preview, or none of tasks, for which it wants the rights of Puppet runs.
        Err(CliError::NotPermitted { status: 403, .. }) => Ok(Nodes::Unknown),
        Err(CliError::Refused { kind, .. }) if kind.ends_with("/not-found") => Ok(Nodes::Unknown),
        Err(CliError::Refused { .. }) => Ok(Nodes::Refused),
        Err(error) => Err(error),
    }
}

/// The question, where there is one.
fn question(what: &str, nodes: Nodes) -> Option<String> {
    let nodes = match nodes {
        Nodes::Refused => return None,
        Nodes::Known(nodes) if nodes <= MANY => return None,
        Nodes::Known(nodes) => counted(nodes, "node", "nodes"),
        Nodes::Unknown => "nodes whose number the server does not tell".to_owned(),
    };
    Some(format!("{what} on {nodes}? [y/N]"))
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].iter().any(|yes| answer.eq_ignore_ascii_case(yes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_nodes_are_asked_about() {
        assert_eq!(question("run Puppet", Nodes::Known(50)), None);
        assert_eq!(question("run Puppet", Nodes::Known(51)).unwrap(), "run Puppet on 51 nodes? [y/N]");
        assert!(question("run Puppet", Nodes::Unknown).unwrap().contains("does not tell"));
        assert_eq!(question("run Puppet", Nodes::Refused), None);
        assert!(is_yes("Y") && is_yes("yes") && !is_yes("") && !is_yes("n") && !is_yes("yes please"));
    }
}
