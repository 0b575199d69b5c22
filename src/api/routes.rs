//! The one table of routes: path, method, who may call, handler.
//!
//! Tests walk it: each route must have its recorded answers, and refuse whom it must.

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, Route};

use super::error::ApiError;
use super::rights::Permission;
use super::{
    audit, brief, command, drain, environments, events, failures, feed, files, grid, groups, health, inventory, jobs,
    ledger, live, login, node_of_job, nodes, openapi, plans, preview, report, retry, root, schedules, status,
    task_targets, tasks, tokens, usage, users, why,
};

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Open,
    /// Callers who have this permission on anything.
    Token(Permission),
    /// Callers who may run anything, or change what others have scheduled.
    Acting,
    /// Everybody who is known.
    Known,
    /// Callers on this machine, and viewers.
    Local,
    /// Nodes, by their client certificate.
    Node,
}

/// A route.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// The path, variable parts in braces.
    pub path: &'static str,
    /// Who may call it. The handler's extractor enforces it.
    pub access: Access,
    route: fn() -> Route,
}

macro_rules! endpoint {
    ($method:ident $verb:ident $path:literal $access:expr, $handler:path) => {
        Endpoint { method: stringify!($method), path: $path, access: $access, route: || web::$verb().to($handler) }
    };
}

const VIEWER: Access = Access::Token(Permission::View);
const RUN_PUPPET: Access = Access::Token(Permission::RunPuppet);
const RUN_TASKS: Access = Access::Token(Permission::RunTasks);
const RUN_PLANS: Access = Access::Token(Permission::RunPlans);
const ACCOUNTS: Access = Access::Token(Permission::ManageAccounts);

/// Every route. Those of one path stand together.
pub const ENDPOINTS: &[Endpoint] = &[
    endpoint!(GET get "/orchestrator" VIEWER, root::document),
    endpoint!(GET get "/orchestrator/v1" VIEWER, root::document),
    endpoint!(GET get "/orchestrator/v1/status" VIEWER, status::own),
    endpoint!(GET get "/orchestrator/v1/openapi.json" Access::Open, openapi::json_document),
    endpoint!(POST post "/orchestrator/v1/command/deploy" RUN_PUPPET, command::deploy),
    endpoint!(POST post "/orchestrator/v1/command/stop" VIEWER, command::stop),
    endpoint!(POST post "/orchestrator/v1/command/task" RUN_TASKS, command::task),
    endpoint!(POST post "/orchestrator/v1/command/task_target" Access::Token(Permission::EditTaskTargets), task_targets::create),
    endpoint!(POST post "/orchestrator/v1/command/plan_run" RUN_PLANS, plans::run),
    endpoint!(POST post "/orchestrator/v1/command/environment_plan_run" RUN_PLANS, plans::run_in_environment),
    endpoint!(POST post "/orchestrator/v1/command/plan_start" RUN_PLANS, plans::start),
    endpoint!(POST post "/orchestrator/v1/command/plan_task" RUN_TASKS, plans::task),
    endpoint!(POST post "/orchestrator/v1/command/plan_finish" RUN_PLANS, plans::finish),
    endpoint!(POST post "/orchestrator/v1/command/stop_plan" VIEWER, plans::stop),
    endpoint!(POST post "/orchestrator/v1/command/schedule_deploy" Access::Acting, schedules::older_deploy),
    endpoint!(POST post "/orchestrator/v1/command/schedule_task" Access::Acting, schedules::older_task),
    endpoint!(POST post "/orchestrator/v1/command/schedule_plan" Access::Acting, schedules::older_plan),
    endpoint!(GET get "/orchestrator/v1/jobs" VIEWER, jobs::list),
    endpoint!(GET get "/orchestrator/v1/jobs/{id}" VIEWER, jobs::one),
    endpoint!(GET get "/orchestrator/v1/jobs/{id}/nodes" VIEWER, nodes::list),
    endpoint!(GET get "/orchestrator/v1/jobs/{id}/report" VIEWER, report::list),
    endpoint!(GET get "/orchestrator/v1/jobs/{id}/events" VIEWER, events::list),
    endpoint!(GET get "/orchestrator/v1/inventory" VIEWER, inventory::list),
    endpoint!(POST post "/orchestrator/v1/inventory" VIEWER, inventory::some),
    endpoint!(GET get "/orchestrator/v1/inventory/{node}" VIEWER, inventory::one),
    endpoint!(GET get "/orchestrator/v1/environments" VIEWER, environments::list),
    endpoint!(GET get "/orchestrator/v1/environments/{environment}" VIEWER, environments::one),
    endpoint!(GET get "/orchestrator/v1/environments/{environment}/applications" VIEWER, environments::applications),
    endpoint!(GET get "/orchestrator/v1/environments/{environment}/instances" VIEWER, environments::instances),
    endpoint!(GET get "/orchestrator/v1/tasks" VIEWER, tasks::list),
    endpoint!(GET get "/orchestrator/v1/tasks/{module}/{task}" VIEWER, tasks::one),
    endpoint!(GET get "/orchestrator/v1/plans" VIEWER, plans::list),
    endpoint!(GET get "/orchestrator/v1/plans/{module}/{plan}" VIEWER, plans::one),
    endpoint!(GET get "/orchestrator/v1/plan_jobs" VIEWER, plans::jobs),
    endpoint!(GET get "/orchestrator/v1/plan_jobs/{id}" VIEWER, plans::job),
    endpoint!(GET get "/orchestrator/v1/plan_jobs/{id}/events" VIEWER, plans::events),
    endpoint!(GET get "/orchestrator/v1/plan_jobs/{id}/event/{event}" VIEWER, plans::event),
    endpoint!(GET get "/orchestrator/v1/scheduled_jobs" VIEWER, schedules::older_list),
    endpoint!(GET get "/orchestrator/v1/scheduled_jobs/environment_jobs" VIEWER, schedules::list),
    endpoint!(POST post "/orchestrator/v1/scheduled_jobs/environment_jobs" Access::Acting, schedules::create),
    endpoint!(GET get "/orchestrator/v1/scheduled_jobs/environment_jobs/{id}" VIEWER, schedules::one),
    endpoint!(PUT put "/orchestrator/v1/scheduled_jobs/environment_jobs/{id}" Access::Acting, schedules::change),
    endpoint!(DELETE delete "/orchestrator/v1/scheduled_jobs/{id}" Access::Acting, schedules::disable),
    endpoint!(GET get "/orchestrator/v1/scopes/task_targets" VIEWER, task_targets::list),
    endpoint!(GET get "/orchestrator/v1/scopes/task_targets/{id}" VIEWER, task_targets::one),
    endpoint!(GET get "/orchestrator/v1/usage" VIEWER, usage::list),
    endpoint!(POST post "/rbac-api/v1/auth/token" Access::Open, login::login),
    endpoint!(GET get "/status/v1/simple" Access::Open, status::simple),
    endpoint!(GET get "/status/v1/simple/{service}" Access::Open, status::simple_service),
    endpoint!(GET get "/status/v1/services" Access::Open, status::services),
    endpoint!(GET get "/status/v1/services/{service}" Access::Open, status::service),
    endpoint!(GET get "/bunraku/v1/tokens" ACCOUNTS, tokens::list),
    endpoint!(POST post "/bunraku/v1/tokens" ACCOUNTS, tokens::create),
    endpoint!(DELETE delete "/bunraku/v1/tokens/{id}" ACCOUNTS, tokens::revoke),
    endpoint!(GET get "/bunraku/v1/users" ACCOUNTS, users::list),
    endpoint!(POST post "/bunraku/v1/users" ACCOUNTS, users::create),
    endpoint!(PUT put "/bunraku/v1/users/{login}" ACCOUNTS, users::change),
    endpoint!(GET get "/bunraku/v1/access" ACCOUNTS, users::access),
    endpoint!(GET get "/bunraku/v1/whoami" Access::Known, tokens::whoami),
    endpoint!(POST post "/bunraku/v1/session" Access::Open, login::open_session),
    endpoint!(DELETE delete "/bunraku/v1/session" Access::Known, login::logout),
    endpoint!(PUT put "/bunraku/v1/password" Access::Known, login::change_password),
    endpoint!(GET get "/bunraku/v1/groups" Access::Token(Permission::ViewGroups), groups::list),
    endpoint!(GET get "/bunraku/v1/groups/{group}/nodes" Access::Token(Permission::ViewGroups), groups::nodes),
    endpoint!(POST post "/bunraku/v1/environments/{environment}/flush" RUN_PUPPET, environments::flush),
    endpoint!(GET get "/bunraku/v1/audit" Access::Token(Permission::ReadAudit), audit::list),
    endpoint!(GET get "/bunraku/v1/events" VIEWER, feed::list),
    endpoint!(GET get "/bunraku/v1/drain" VIEWER, drain::show),
    endpoint!(POST post "/bunraku/v1/drain" Access::Token(Permission::Drain), drain::set),
    endpoint!(POST post "/bunraku/v1/ledger/verify" Access::Token(Permission::VerifyLedgers), ledger::verify),
    endpoint!(GET get "/bunraku/v1/jobs/changes" VIEWER, brief::changes),
    endpoint!(GET get "/bunraku/v1/jobs/{id}/live" VIEWER, live::one),
    endpoint!(GET get "/bunraku/v1/jobs/{id}/grid" VIEWER, grid::one),
    endpoint!(GET get "/bunraku/v1/jobs/{id}/events" VIEWER, brief::of_job),
    endpoint!(GET get "/bunraku/v1/jobs/{id}/failures" VIEWER, failures::list),
    endpoint!(GET get "/bunraku/v1/jobs/{id}/nodes/{node}" VIEWER, node_of_job::one),
    endpoint!(POST post "/bunraku/v1/jobs/{id}/resume" Access::Token(Permission::ResumeJobs), live::resume),
    endpoint!(POST post "/bunraku/v1/jobs/{id}/retry" VIEWER, retry::retry),
    endpoint!(POST post "/bunraku/v1/preview" Access::Acting, preview::show),
    endpoint!(GET get "/bunraku/v1/nodes" VIEWER, inventory::connected),
    endpoint!(GET get "/bunraku/v1/nodes/{node}/why" VIEWER, why::one),
    endpoint!(GET get "/bunraku/v1/docs/{file:.*}" Access::Open, openapi::page),
    endpoint!(GET get "/livez" Access::Open, health::live),
    endpoint!(GET get "/readyz" Access::Open, health::ready),
    endpoint!(GET get "/metrics" Access::Local, health::metrics),
    endpoint!(GET get "/puppet/v3/file_content/{mount}/{module}/{file:.*}" Access::Node, files::content),
];

/// Registers every route; what is not among them answers 404 or 405 in JSON.
pub fn configure(config: &mut ServiceConfig) {
    for endpoints in ENDPOINTS.chunk_by(|one, other| one.path == other.path) {
        let mut resource = web::resource(endpoints[0].path);
        for endpoint in endpoints {
            resource = resource.route((endpoint.route)());
        }
        let allowed: Vec<&'static str> = endpoints.iter().map(|endpoint| endpoint.method).collect();
        let refuse = move |method: Method| {
            let error = ApiError::method_not_allowed(method.as_str(), &allowed);
            async move { Err::<&str, _>(error) }
        };
        config.service(resource.default_service(web::to(refuse)));
    }
    crate::web::configure(config);
    config.default_service(web::to(unknown_route));
}

async fn unknown_route(req: HttpRequest) -> Result<&'static str, ApiError> {
    let path: String = req.path().chars().take(200).collect();
    Err(ApiError::not_found(format!("no such route: {path}")))
}
