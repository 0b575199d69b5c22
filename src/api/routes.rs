//! The one table of routes: path, method, who may call, handler.
//!
//! Tests walk it: each route must have its recorded answers, and refuse whom it must.

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, Route};

use super::accounts::Role;
use super::error::ApiError;
use super::{
    command, drain, environments, events, files, health, inventory, jobs, ledger, live, nodes, report, root, status,
    tasks, tokens,
};

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Open,
    /// Holders of a token of at least this role.
    Token(Role),
    /// Callers on this machine, and viewers.
    Local,
    /// Nodes, by their client certificate.
    Node,
}

/// A route.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// `GET`, `POST` or `DELETE`.
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

const VIEWER: Access = Access::Token(Role::Viewer);
const OPERATOR: Access = Access::Token(Role::Operator);
const ADMIN: Access = Access::Token(Role::Admin);

/// Every route. Those of one path stand together.
pub const ENDPOINTS: &[Endpoint] = &[
    endpoint!(GET get "/orchestrator" VIEWER, root::document),
    endpoint!(GET get "/orchestrator/v1" VIEWER, root::document),
    endpoint!(GET get "/orchestrator/v1/status" VIEWER, status::own),
    endpoint!(POST post "/orchestrator/v1/command/deploy" OPERATOR, command::deploy),
    endpoint!(POST post "/orchestrator/v1/command/stop" OPERATOR, command::stop),
    endpoint!(POST post "/orchestrator/v1/command/task" OPERATOR, command::task),
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
    endpoint!(GET get "/status/v1/simple" Access::Open, status::simple),
    endpoint!(GET get "/status/v1/simple/{service}" Access::Open, status::simple_service),
    endpoint!(GET get "/status/v1/services" Access::Open, status::services),
    endpoint!(GET get "/status/v1/services/{service}" Access::Open, status::service),
    endpoint!(GET get "/bunraku/v1/tokens" ADMIN, tokens::list),
    endpoint!(POST post "/bunraku/v1/tokens" ADMIN, tokens::create),
    endpoint!(DELETE delete "/bunraku/v1/tokens/{id}" ADMIN, tokens::revoke),
    endpoint!(GET get "/bunraku/v1/whoami" VIEWER, tokens::whoami),
    endpoint!(GET get "/bunraku/v1/drain" VIEWER, drain::show),
    endpoint!(POST post "/bunraku/v1/drain" ADMIN, drain::set),
    endpoint!(POST post "/bunraku/v1/ledger/verify" OPERATOR, ledger::verify),
    endpoint!(GET get "/bunraku/v1/jobs/{id}/live" VIEWER, live::one),
    endpoint!(POST post "/bunraku/v1/jobs/{id}/resume" OPERATOR, live::resume),
    endpoint!(GET get "/bunraku/v1/nodes" VIEWER, inventory::connected),
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
    config.default_service(web::to(unknown_route));
}

async fn unknown_route(req: HttpRequest) -> Result<&'static str, ApiError> {
    let path: String = req.path().chars().take(200).collect();
    Err(ApiError::not_found(format!("no such route: {path}")))
}
