//! `GET /environments…`: environments, their applications and instances (API §3.2–3.4).

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use bunraku_actors::model::EnvironmentName;
use bunraku_actors::ports::Environment;
use serde_json::json;

use super::auth::{Caller, Viewer};
use super::links::Links;
use super::rights::Permission;
use super::state::State;
use super::types::{ApplicationItem, ApplicationList, EnvironmentItem, InstanceItem, Items, Link};
use super::{Answer, ApiError, ok};

/// All environments.
pub(super) async fn list(req: HttpRequest, state: web::Data<State>, _: Viewer) -> Answer {
    let environments = state.orchestrator.directory().environments().await?;
    let links = Links::of(&req, &state.options);
    let items: Vec<_> = environments.iter().map(|environment| EnvironmentItem::new(environment, &links)).collect();
    ok(&Items { items })
}

/// One environment.
pub(super) async fn one(req: HttpRequest, state: web::Data<State>, _: Viewer, name: web::Path<String>) -> Answer {
    let environment = find(&state, &name).await?;
    ok(&EnvironmentItem::new(&environment, &Links::of(&req, &state.options)))
}

/// The application types of an environment.
pub(super) async fn applications(
    req: HttpRequest,
    state: web::Data<State>,
    _: Viewer,
    name: web::Path<String>,
) -> Answer {
    let environment = find(&state, &name).await?;
    let id = Links::of(&req, &state.options).environment(&environment.name);
    ok(&ApplicationList {
        items: environment.applications.iter().map(ApplicationItem::from).collect(),
        instances: Link::new(format!("{id}/instances")),
    })
}

/// The application instances of an environment.
pub(super) async fn instances(state: web::Data<State>, _: Viewer, name: web::Path<String>) -> Answer {
    let environment = find(&state, &name).await?;
    ok(&Items { items: environment.instances.iter().map(InstanceItem::from).collect::<Vec<_>>() })
}

/// Lets whoever keeps the code of an environment in memory read it again.
pub(super) async fn flush(state: web::Data<State>, caller: Caller, name: web::Path<String>) -> Answer {
    caller.must(Permission::RunPuppet)?;
    let environment = find(&state, &name).await?;
    if caller.rights.reach(Permission::RunPuppet, None, Some(&environment.name)).is_none() {
        let msg = format!("{} may not run Puppet in {}", caller.token.login, environment.name);
        return Err(ApiError::not_permitted(msg, json!({ "permission": Permission::RunPuppet.name() })));
    }
    let flushed = state.orchestrator.directory().flush(&environment.name).await?;
    ok(&json!({ "environment": environment.name, "flushed": flushed }))
}

async fn find(state: &State, name: &str) -> Result<Arc<Environment>, ApiError> {
    let unknown = || ApiError::unknown_environment(name);
    let parsed = EnvironmentName::parse(name).map_err(|_| unknown())?;
    state.orchestrator.directory().environment(&parsed).await?.ok_or_else(unknown)
}
