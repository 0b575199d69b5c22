//! `GET /tasks` and `GET /tasks/<module>/<task>` (API §8.1).

use actix_web::{HttpRequest, web};
use bunraku_actors::handle::OrchestratorError;
use bunraku_actors::model::EnvironmentName;
use bunraku_actors::ports::TaskSummary;
use serde_json::json;

use super::auth::Viewer;
use super::links::Links;
use super::request::{Query, task_name};
use super::rights::Permission;
use super::state::State;
use super::types::{EnvironmentRef, TaskItem, TaskView};
use super::{Answer, ApiError, ok};

/// The tasks of an environment.
pub(super) async fn list(req: HttpRequest, state: web::Data<State>, Viewer(caller): Viewer) -> Answer {
    let environment = environment(&req, &state).await?;
    let tasks = state.orchestrator.directory().tasks(&environment).await?;
    let links = Links::of(&req, &state.options);
    let permitted = |task: &TaskSummary| caller.rights.may_with(Permission::RunTasks, task.name.as_str());
    let items: Vec<_> = tasks.iter().map(|task| TaskItem::new(task, permitted(task), &links)).collect();
    ok(&json!({ "environment": EnvironmentRef::with_code_id(&environment), "items": items }))
}

/// One task with metadata and files.
pub(super) async fn one(
    req: HttpRequest,
    state: web::Data<State>,
    Viewer(caller): Viewer,
    path: web::Path<(String, String)>,
) -> Answer {
    let environment = environment(&req, &state).await?;
    let name = task_name(&path.0, &path.1)?;
    let found = state.orchestrator.directory().task(&environment, &name).await?;
    let task = found.ok_or_else(|| OrchestratorError::UnknownTask {
        task: name.to_string(),
        environment: environment.to_string(),
    })?;
    let permitted = caller.rights.may_with(Permission::RunTasks, name.as_str());
    ok(&TaskView::new(&task, &environment, permitted, &Links::of(&req, &state.options)))
}

/// The environment of the query; it must exist.
pub(super) async fn environment(req: &HttpRequest, state: &State) -> Result<EnvironmentName, ApiError> {
    let name = Query::of(req).environment()?;
    state.orchestrator.check_environment(Some(&name)).await?;
    Ok(name)
}
