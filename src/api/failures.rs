//! `GET /bunraku/v1/jobs/<id>/failures`: the nodes that did not finish, by what they have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actix_web::{HttpRequest, web};
use bunraku_actors::model::{Cause, CertName, NodeState, common_message};
use bunraku_actors::ports::Directory;
use indexmap::IndexMap;
use serde_json::{Value, json};

use super::auth::Viewer;
use super::grid::all_in_brief;
use super::state::State;
use super::{Answer, ApiError, jobs, ok};

/// The most nodes that are named of a group.
const NAMED: usize = 100;
/// The most nodes whose facts are looked at, of a group and of those that finished.
const LOOKED_AT: usize = 200;
/// The most facts that are told of a group.
const TOLD: usize = 8;

type Key = (NodeState, Cause, String);

/// What fails alike, the most nodes first; and the facts that tell them from the nodes that finished.
pub(super) async fn list(req: HttpRequest, state: web::Data<State>, _: Viewer, id: web::Path<String>) -> Answer {
    let store = state.orchestrator.store();
    let job = jobs::find(&req, &state, &id).await?.id;
    let spec = store.spec(job).await?.ok_or_else(|| ApiError::unknown_job(&id))?;
    let mut groups: IndexMap<Key, Vec<&CertName>> = IndexMap::new();
    let mut finished = Vec::new();
    for node in all_in_brief(store, &spec, job).await? {
        let name = spec.node(node.node);
        match node.cause {
            Some(cause) => {
                let key = (node.state, cause, common_message(name, &node.reason));
                groups.entry(key).or_default().push(name);
            }
            None if node.state == NodeState::Finished && finished.len() < LOOKED_AT => finished.push(name),
            None => {}
        }
    }
    groups.sort_by(|_, one, _, other| other.len().cmp(&one.len()));
    let directory = state.orchestrator.directory();
    let well = facts(directory, &finished).await?;
    let mut shown = Vec::new();
    for ((state, cause, message), nodes) in &groups {
        let ill = facts(directory, &nodes[..nodes.len().min(LOOKED_AT)]).await?;
        shown.push(json!({
            "group": message,
            "state": state.name(),
            "cause": cause.name(),
            "count": nodes.len(),
            "nodes": &nodes[..nodes.len().min(NAMED)],
            "facts": telling(&ill, &well),
        }));
    }
    ok(&json!({ "groups": shown }))
}

/// A node's facts: path → value.
type Flat = BTreeMap<String, String>;

async fn facts(directory: &Arc<dyn Directory>, nodes: &[&CertName]) -> Result<Vec<Flat>, ApiError> {
    let names: Vec<CertName> = nodes.iter().map(|node| (*node).clone()).collect();
    let found = directory.facts(&names).await?;
    Ok(found.values().map(flat).collect())
}

fn flat(facts: &Value) -> Flat {
    let mut flat = Flat::new();
    let mut open = vec![(String::new(), facts)];
    while let Some((path, value)) = open.pop() {
        match value {
            Value::Object(map) => open.extend(map.iter().map(|(key, value)| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                (path, value)
            })),
            Value::String(text) => drop(flat.insert(path, text.clone())),
            Value::Bool(_) | Value::Number(_) => drop(flat.insert(path, value.to_string())),
            Value::Array(_) | Value::Null => {}
        }
    }
    flat
}

/// The facts that all of these share and fewer than half of those that are well: the rarest among those first.
fn telling(ill: &[Flat], well: &[Flat]) -> Vec<Value> {
    // What one node has, or what nobody can be compared with, tells nothing.
    let Some(first) = ill.first().filter(|_| ill.len() > 1 && !well.is_empty()) else { return Vec::new() };
    let shared = first.iter().filter(|(path, value)| ill.iter().all(|facts| facts.get(*path) == Some(*value)));
    let counted = shared.map(|(path, value)| {
        let elsewhere = well.iter().filter(|facts| facts.get(path) == Some(value)).count();
        (elsewhere, path, value)
    });
    let rare: BTreeSet<_> = counted.filter(|(elsewhere, _, _)| elsewhere * 2 < well.len()).collect();
    let told = rare.into_iter().take(TOLD);
    told.map(
        |(elsewhere, fact, value)| json!({ "fact": fact, "value": value, "here": ill.len(), "elsewhere": elsewhere }),
    )
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(facts: &[Value]) -> Vec<Flat> {
        facts.iter().map(flat).collect()
    }

    #[test]
    fn facts_tell_when_the_others_have_them_seldom() {
        let old = json!({ "os": { "release": "11", "name": "Debian" }, "cores": 2 });
        let new = json!({ "os": { "release": "12", "name": "Debian" }, "cores": 2 });
        let (ill, well) = (nodes(&[old.clone(), old.clone()]), nodes(&[new.clone(), new, old.clone()]));
        let told = telling(&ill, &well);
        assert_eq!(told, [json!({ "fact": "os.release", "value": "11", "here": 2, "elsewhere": 1 })]);
        assert!(telling(&ill[..1], &well).is_empty(), "one node shares everything with itself");
        assert!(telling(&ill, &[]).is_empty());
        assert!(telling(&[], &well).is_empty());
    }
}
