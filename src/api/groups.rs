//! `GET /bunraku/v1/groups…`: node groups and who is in them. Where the classifier of Puppet Enterprise has an API of its own,
//! this is what the orchestrator makes of the same rules.

use actix_web::web;
use bunraku_actors::ports::NodeGroup;
use serde_json::{Value, json};

use super::auth::GroupViewer;
use super::rights::Permission;
use super::state::State;
use super::types::Items;
use super::{Answer, ApiError, ok};

/// The groups that the caller may choose nodes by.
pub(super) async fn list(state: web::Data<State>, GroupViewer(caller): GroupViewer) -> Answer {
    let groups = state.orchestrator.directory().groups().await?.unwrap_or_default();
    let may = |name: &str| caller.rights.may_with(Permission::ViewGroups, name);
    let shown = groups.iter().filter(|group| may(&group.name) || may(&group.id.to_string()));
    ok(&Items { items: shown.map(|group| view(group)).collect::<Vec<_>>() })
}

/// The nodes of one group, by its id or name.
pub(super) async fn nodes(state: web::Data<State>, GroupViewer(caller): GroupViewer, key: web::Path<String>) -> Answer {
    let directory = state.orchestrator.directory();
    let Some(group) = directory.group(&key).await? else {
        // Whether it is there is nothing for somebody who may not look at it.
        caller.must_with(Permission::ViewGroups, &key)?;
        let shown: String = key.chars().take(80).collect();
        return Err(ApiError::not_found(format!("there is no node group with the id or name '{shown}'")));
    };
    let id = group.id.to_string();
    let may = |name: &str| caller.rights.may_with(Permission::ViewGroups, name);
    if !may(&group.name) && !may(&id) {
        caller.must_with(Permission::ViewGroups, &key)?;
    }
    let nodes = state.orchestrator.members(&group).await?;
    ok(&json!({ "id": id, "name": group.name, "nodes": nodes }))
}

fn view(group: &NodeGroup) -> Value {
    json!({
        "id": group.id,
        "name": group.name,
        "description": group.description,
        "parent": group.parent,
        "rule": group.rule,
    })
}
