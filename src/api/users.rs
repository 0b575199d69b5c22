//! Users: `/bunraku/v1/users`, and what somebody may do: `/bunraku/v1/access`.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use bunraku_actors::model::{CertName, EnvironmentName, Reach};
use serde_json::json;

use super::accounts::{PasswordHash, UserRecord};
use super::auth::AccountManager;
use super::request::{Body, Query, new_user, read_body, user_change};
use super::rights::{Grant, Permission};
use super::state::State;
use super::types::{Items, UserView};
use super::{Answer, ApiError, audit, json, ok};

/// All users, by login.
pub(super) async fn list(state: web::Data<State>, _: AccountManager) -> Answer {
    let users = state.accounts.users().await?;
    ok(&Items { items: users.iter().map(|user| view(&state, user)).collect::<Vec<_>>() })
}

/// Makes a user.
pub(super) async fn create(
    req: HttpRequest,
    state: web::Data<State>,
    AccountManager(caller): AccountManager,
    body: Body,
) -> Answer {
    let (login, password, mut user) = new_user(&read_body(body, &state.options).await?)?;
    user.password = Some(state.guard.hash(password).await?);
    let made = state.accounts.create_user(&login, user, state.now()).await?;
    let made = made.ok_or_else(|| ApiError::login_taken(&login))?;
    audit::note(&req, "login", &login);
    tracing::info!(login, by = caller.token.login, "user created");
    json(StatusCode::CREATED, &view(&state, &made))
}

/// Changes a user; one who is revoked, or gets another password, is logged out everywhere.
pub(super) async fn change(
    req: HttpRequest,
    state: web::Data<State>,
    AccountManager(caller): AccountManager,
    login: web::Path<String>,
    body: Body,
) -> Answer {
    let body = read_body(body, &state.options).await?;
    let (password, mut change) = user_change(&body)?;
    // Which keys, never their values: one is a password.
    let keys: Vec<&str> = body.as_map().keys().map(String::as_str).collect();
    audit::note(&req, "changed", &keys.join(", "));
    change.password = match password {
        Some(password) => Some(state.guard.hash(password).await?),
        None => None::<PasswordHash>,
    };
    let changed = state.accounts.change_user(&login, change, state.now()).await?;
    let changed = changed.ok_or_else(|| {
        let shown: String = login.chars().take(80).collect();
        ApiError::not_found(format!("unknown user {shown}"))
    })?;
    tracing::info!(login = changed.login, by = caller.token.login, "user changed");
    ok(&view(&state, &changed))
}

fn view(state: &State, user: &UserRecord) -> UserView {
    UserView::new(user, state.rules.load().roles_of(&user.login))
}

/// Whether somebody may do something, and why: `user`, `action` and maybe `instance`, `environment`, `node`.
pub(super) async fn access(req: HttpRequest, state: web::Data<State>, _: AccountManager) -> Answer {
    let query = Query::of(&req);
    let login = query.text("user").ok_or_else(|| ApiError::missing("user"))?.to_owned();
    let actions = Permission::ALL.map(|permission| (permission.name(), permission));
    let permission = query.choice("action", &actions)?.ok_or_else(|| ApiError::missing("action"))?;
    let environment = query.text("environment").map(EnvironmentName::parse).transpose();
    let environment = environment.map_err(|error| ApiError::from(("environment", error)))?;
    let node = query.text("node").map(CertName::parse).transpose();
    let node = node.map_err(|error| ApiError::from(("node", error)))?;
    let mut roles = state.accounts.token_roles(&login, state.now()).await?;
    roles.retain(|role| !role.is_empty());
    let rules = state.rules.load();
    roles.extend(rules.roles_of(&login));
    let revoked = state.accounts.user(&login).await?.is_some_and(|(user, _)| user.revoked_at.is_some());
    let rights = state.rights_by(rules.rights(&roles)).await?;
    let reach = match &environment {
        Some(environment) => rights.reach(permission, query.text("instance"), Some(environment)),
        // Nothing was asked of the environment: the grants tell in which.
        None => rights.reach_somewhere(permission, query.text("instance")),
    };
    let on_node = match (&reach, &node) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(reach), Some(node)) => state.orchestrator.beyond(reach, std::iter::once(node)).await?.is_empty(),
    };
    let reason = match &reach {
        _ if revoked => "the user is revoked",
        _ if roles.is_empty() => "the login has no role: neither a token with one, nor a binding in access.yaml",
        None if rights.may(permission) => "a role grants it, but not with this instance or in this environment",
        None => "none of the roles grants it",
        Some(Reach::All) => "a role grants it on all nodes",
        Some(reach) if node.as_ref().is_some_and(|node| reach.covers_by_name(node)) => {
            "a role grants it on nodes with this name"
        }
        Some(reach) if on_node && node.is_some() && !reach.queries().is_empty() => {
            "a role grants it on a node group that this node is in, or by the query of a task target that finds it"
        }
        Some(_) if on_node && node.is_some() => "a role grants it on a node group that this node is in",
        Some(_) if on_node => "a role grants it on some nodes",
        Some(_) => "a role grants it, but not on this node",
    };
    let grants: Vec<_> = rights.grants(permission).into_iter().map(grant).collect();
    ok(&json!({
        "allowed": on_node && !revoked,
        "reason": reason,
        "roles": roles,
        "grants": grants,
    }))
}

fn grant(grant: &Grant) -> serde_json::Value {
    let texts = |patterns: &Option<Vec<bunraku_actors::model::Pattern>>| {
        patterns.as_ref().map(|patterns| patterns.iter().map(|one| one.as_str().to_owned()).collect::<Vec<_>>())
    };
    let mut shown = json!({
        "permission": grant.permission.map_or("*", Permission::name),
        "instances": texts(&grant.instances),
        "environments": texts(&grant.environments),
        "nodes": texts(&grant.nodes),
        "node_groups": texts(&grant.node_groups),
    });
    if !grant.queries.is_empty() {
        shown["pql_queries"] = json!(grant.queries);
    }
    shown
}
