//! Task targets: which tasks may run where, by a name (API §4.5, §8.2).

use actix_web::{HttpRequest, web};
use serde_json::{Map, Value, json};

use super::auth::{TargetEditor, Viewer};
use super::command::accepted;
use super::links::Links;
use super::once::once;
use super::records::{Made, TaskTarget};
use super::request::{Body, number, read_body, task_target};
use super::state::State;
use super::types::Items;
use super::{Answer, ApiError, ok};

/// Keeps a task target; 200 after it is committed.
pub(super) async fn create(
    req: HttpRequest,
    state: web::Data<State>,
    TargetEditor(caller): TargetEditor,
    body: Body,
) -> Answer {
    let body = read_body(body, &state.options).await?;
    let made = once(&req, &state, &caller, &body, async |key| {
        let target = task_target(&body)?;
        Ok(Made::TaskTarget(state.records.add_task_target(target, key, state.now()).await?))
    });
    accepted(&req, &state, made.await?)
}

/// All task targets.
pub(super) async fn list(req: HttpRequest, state: web::Data<State>, _: Viewer) -> Answer {
    let links = Links::of(&req, &state.options);
    let targets = state.records.task_targets().await?;
    ok(&Items { items: targets.iter().map(|(id, target)| view(*id, target, &links)).collect::<Vec<_>>() })
}

/// One task target.
pub(super) async fn one(req: HttpRequest, state: web::Data<State>, _: Viewer, id: web::Path<String>) -> Answer {
    let found = match number("task_target", &id)? {
        Some(number) => state.records.task_target(number).await?.map(|target| (number, target)),
        None => None,
    };
    let (number, target) = found.ok_or_else(|| ApiError::unknown_task_target(&id))?;
    ok(&view(number, &target, &Links::of(&req, &state.options)))
}

fn view(id: u64, target: &TaskTarget, links: &Links) -> Value {
    let mut view = Map::new();
    view.insert("id".into(), json!(links.at(&format!("scopes/task_targets/{id}"))));
    view.insert("name".into(), json!(id.to_string()));
    view.insert("display_name".into(), json!(target.display_name));
    if !target.all_tasks {
        view.insert("tasks".into(), json!(target.tasks));
    }
    view.insert("all_tasks".into(), json!(target.all_tasks));
    view.insert("nodes".into(), json!(target.nodes));
    view.insert("node_groups".into(), json!(target.node_groups));
    if let Some(query) = &target.pql_query {
        view.insert("pql_query".into(), json!(query));
    }
    Value::Object(view)
}
