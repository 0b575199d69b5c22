//! `POST /bunraku/v1/preview`: what a deploy would be, without starting it.

use std::collections::BTreeMap;

use actix_web::web;
use bunraku_actors::handle::Preview;
use bunraku_actors::model::{CertName, Scope};
use serde_json::{Value, json};

use super::auth::Caller;
use super::command::JobCommand;
use super::request::{Body, deploy_command, read_body};
use super::rights::Permission;
use super::state::State;
use super::{Answer, ok};

/// The most names that are shown of one set; how many there are is always told.
const NAMES: usize = 100;

/// The nodes of a deploy and their order; refused as the deploy itself would be.
pub(super) async fn deploy(state: web::Data<State>, caller: Caller, body: Body) -> Answer {
    caller.must(Permission::RunPuppet)?;
    let body = read_body(body, &state.options).await?;
    let mut command = JobCommand::Deploy(deploy_command(&body, caller.owner())?);
    command.permit(&state, &caller.rights, &caller.token.login).await?;
    let preview = command.preview(&state).await?;
    ok(&view(&preview, &state))
}

fn view(preview: &Preview, state: &State) -> Value {
    let transport = state.orchestrator.transport();
    let away: Vec<&CertName> = preview.nodes.iter().filter(|node| transport.connection(node).is_none()).collect();
    let levels = sorted(&preview.nodes, preview.levels.iter().copied());
    let mut shown = json!({
        "nodes": preview.nodes.len(),
        "not_connected": some(&away),
        "levels": levels.values().map(|nodes| some(nodes)).collect::<Vec<_>>(),
    });
    if !preview.order.is_empty() {
        let by_tier = sorted(&preview.nodes, preview.tiers.iter().copied());
        let of = |tier: Option<u32>| some(by_tier.get(&tier).map_or(&[][..], Vec::as_slice));
        let tiers = preview.order.iter().zip(0..).map(|(tier, place)| {
            let mut tier = named(tier);
            tier["nodes"] = of(Some(place));
            tier
        });
        shown["order"] = tiers.collect::<Vec<_>>().into();
        shown["in_no_tier"] = of(None);
        shown["rule"] =
            "a node of a tier that does not finish skips all later tiers; nodes in no tier wait for none".into();
    }
    shown
}

fn named(tier: &Scope) -> Value {
    match tier {
        Scope::NodeGroup(group) => json!({ "group": group }),
        Scope::Query(query) => json!({ "query": query }),
        Scope::Nodes(_) | Scope::Application(_) | Scope::WholeEnvironment => json!({}),
    }
}

/// The nodes by what is said of each, which is in the order of the nodes.
fn sorted<K: Ord>(nodes: &[CertName], keys: impl Iterator<Item = K>) -> BTreeMap<K, Vec<&CertName>> {
    let mut found: BTreeMap<K, Vec<&CertName>> = BTreeMap::new();
    for (node, key) in nodes.iter().zip(keys) {
        found.entry(key).or_default().push(node);
    }
    found
}

fn some(nodes: &[&CertName]) -> Value {
    json!({ "count": nodes.len(), "names": &nodes[..nodes.len().min(NAMES)] })
}
