//! `POST /bunraku/v1/preview`: what a deploy would be, without starting it.

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
    let deepest = preview.levels.iter().max().copied().unwrap_or_default();
    let levels = (0..=deepest).map(|level| {
        let here = preview.nodes.iter().zip(&preview.levels).filter(|(_, of)| **of == level).map(|(node, _)| node);
        some(here)
    });
    let mut shown = json!({
        "nodes": preview.nodes.len(),
        "not_connected": some(away.iter().copied()),
        "levels": levels.collect::<Vec<_>>(),
    });
    if !preview.order.is_empty() {
        let tiers = preview.order.iter().zip(0..).map(|(tier, place)| {
            let here = preview.nodes.iter().zip(&preview.tiers).filter(|(_, of)| **of == Some(place));
            let mut tier = named(tier);
            tier["nodes"] = some(here.map(|(node, _)| node));
            tier
        });
        shown["order"] = tiers.collect::<Vec<_>>().into();
        let outside = preview.nodes.iter().zip(&preview.tiers).filter(|(_, of)| of.is_none());
        shown["in_no_tier"] = some(outside.map(|(node, _)| node));
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

fn some<'a>(nodes: impl Iterator<Item = &'a CertName>) -> Value {
    let all: Vec<&CertName> = nodes.collect();
    json!({ "count": all.len(), "names": &all[..all.len().min(NAMES)] })
}
