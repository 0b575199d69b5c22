//! `GET /orchestrator`: what the API offers (API §3.1).

use actix_web::{HttpRequest, web};
use serde_json::json;

use super::auth::Viewer;
use super::links::Links;
use super::state::State;
use super::types::NamedLink;
use super::{Answer, ok};

const COLLECTIONS: [&str; 9] = [
    "environments",
    "jobs",
    "tasks",
    "inventory",
    "plans",
    "plan_jobs",
    "scheduled_jobs",
    "scopes/task_targets",
    "usage",
];
const COMMANDS: [&str; 13] = [
    "deploy",
    "stop",
    "task",
    "task_target",
    "plan_run",
    "environment_plan_run",
    "plan_start",
    "plan_task",
    "plan_finish",
    "stop_plan",
    "schedule_deploy",
    "schedule_task",
    "schedule_plan",
];

/// The metadata document.
pub(super) async fn document(req: HttpRequest, state: web::Data<State>, _: Viewer) -> Answer {
    let links = Links::of(&req, &state.options);
    let link = |prefix: &str, name: &str| NamedLink { name: name.to_owned(), id: links.at(&format!("{prefix}{name}")) };
    ok(&json!({
        "info": {
            "title": "Orchestrator API",
            "description": "Runs Puppet and tasks on many nodes at once, in order, within limits",
            "warning": "",
            "version": "0.1",
            "license": { "name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0" },
        },
        "status": link("", "status"),
        "collections": COLLECTIONS.map(|name| link("", name)),
        "commands": COMMANDS.map(|name| link("command/", name)),
    }))
}
