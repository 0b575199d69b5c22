//! `POST /bunraku/v1/preview`: what a deploy or a task would be, without starting it.

use std::collections::BTreeMap;

use actix_web::web;
use bunraku_actors::handle::Preview;
use bunraku_actors::model::{CertName, Scope};
use serde_json::{Value, json};

use super::auth::Caller;
use super::command::JobCommand;
use super::request::{Body, deploy_command, read_body, task_command};
use super::rights::Permission;
use super::state::State;
use super::{Answer, ApiError, ok};

/// The most names that are shown of one set; how many there are is always told.
const NAMES: usize = 100;

/// The most groups that are looked at.
const GROUPS: usize = 50;

/// The nodes of a deploy and their order, or those of a task; refused as the command itself would be. The parameters of a
/// task are not looked at.
pub(super) async fn show(state: web::Data<State>, caller: Caller, body: Body) -> Answer {
    let body = read_body(body, &state.options).await?;
    let mut command = if body.value("task").is_some() {
        caller.must(Permission::RunTasks)?;
        JobCommand::Task(task_command(&body, caller.owner())?)
    } else {
        caller.must(Permission::RunPuppet)?;
        JobCommand::Deploy(deploy_command(&body, caller.owner())?)
    };
    command.permit(&state, &caller.rights, &caller.token.login).await?;
    let preview = command.preview(&state).await?;
    let mut shown = view(&preview, &state);
    let busy = state.orchestrator.store().busy(&preview.nodes).await?;
    shown["busy"] = some(&busy.iter().collect::<Vec<_>>());
    match shares(&state, &caller, &preview.nodes).await {
        Ok(groups) => shown["groups"] = groups.into(),
        // Whoever knows the groups is not there; the job itself may not need them.
        Err(error) => shown["groups_error"] = json!(error.to_string()),
    }
    ok(&shown)
}

/// Of each group that the caller may look at how many of its nodes are among these; groups without any are left out.
async fn shares(state: &State, caller: &Caller, nodes: &[CertName]) -> Result<Vec<Value>, ApiError> {
    let groups = state.orchestrator.directory().groups().await?.unwrap_or_default();
    let may = |name: &str| caller.rights.may_with(Permission::ViewGroups, name);
    let mut shown = Vec::new();
    for group in groups.iter().filter(|group| may(&group.name) || may(&group.id.to_string())).take(GROUPS) {
        let members = state.orchestrator.members(group).await?;
        let within = members.iter().filter(|member| nodes.binary_search(member).is_ok()).count();
        if within > 0 {
            shown.push(json!({ "id": group.id, "name": group.name, "in": within, "of": members.len() }));
        }
    }
    Ok(shown)
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
