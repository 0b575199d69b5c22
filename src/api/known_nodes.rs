//! Nodes that are connected, and those that some of the newest jobs had, with the last run of each.

use std::collections::{BTreeMap, BTreeSet};

use bunraku_actors::model::{CertName, JobId, JobKind};
use bunraku_actors::ports::{BriefNode, Connection, JobOrder, JobQuery};
use serde_json::{Value, json};

use super::ApiError;
use super::grid::all_in_brief;
use super::state::State;
use super::types::{ConnectedNode, seconds};

/// So many of the newest jobs are looked at.
const JOBS: u64 = 50;
/// And no more once their nodes are so many: who looks at a list waits for it.
const ENTRIES: usize = 200_000;

/// What is known.
pub(super) struct KnownNodes<'a> {
    connected: BTreeMap<CertName, &'a Connection>,
    last: BTreeMap<CertName, (JobId, JobKind, BriefNode)>,
}

impl<'a> KnownNodes<'a> {
    /// Looks through the newest jobs.
    pub(super) async fn read(state: &State, connections: &'a [Connection]) -> Result<Self, ApiError> {
        let store = state.orchestrator.store();
        let query = JobQuery { limit: Some(JOBS), ..JobQuery::all(JobOrder::Name, true) };
        let (mut last, mut entries) = (BTreeMap::new(), 0);
        for job in store.jobs(query).await?.items {
            if entries >= ENTRIES {
                break;
            }
            let Some(spec) = store.spec(job.id).await? else { continue };
            entries += spec.nodes.len();
            for node in all_in_brief(store, &spec, job.id).await? {
                last.entry(spec.node(node.node).clone()).or_insert((job.id, job.header.kind, node));
            }
        }
        let connected = connections.iter().map(|connection| (connection.node.clone(), connection)).collect();
        Ok(Self { connected, last })
    }

    /// All of them, by name.
    pub(super) fn into_items(self) -> Vec<Value> {
        let names: BTreeSet<&CertName> = self.connected.keys().chain(self.last.keys()).collect();
        names.into_iter().map(|name| self.item(name)).collect()
    }

    fn item(&self, name: &CertName) -> Value {
        let connection = self.connected.get(name);
        let mut shown = match connection {
            Some(connection) => json!(ConnectedNode::from(*connection)),
            None => json!({ "name": name, "since": null, "agent": null, "native": false, "contended": false }),
        };
        shown["connected"] = json!(connection.is_some());
        shown["last_run"] = self.last.get(name).map_or(Value::Null, |(job, kind, node)| {
            json!({
                "job": job.to_string(),
                "type": kind.name(),
                "state": node.state.name(),
                "cause": node.cause.map(|cause| cause.name()),
                "timestamp": node.finished_at.or(node.started_at).map(seconds),
            })
        });
        shown
    }
}
