//! The body of `POST /command/deploy` (API §4.1).

use bunraku_actors::model::{Common, DeployCommand, DeployOptions, EnvironmentName, Owner, Scope};
use serde_json::{Map, Value, json};

use super::Object;
use super::common::{argument, common, copy_given, shown_concurrency};
use super::scope::{DEPLOY_SCOPES, ParsedScope, order, scope, target};
use crate::api::error::ApiError;

/// Options without a default: shown only when the request gave them.
const UNSET_BY_DEFAULT: &[&str] = &[
    "filetimeout",
    "http_connect_timeout",
    "http_keepalive_timeout",
    "http_read_timeout",
    "order",
    "ordering",
    "skip_tags",
    "tags",
    "timeout",
    "use_cached_catalog",
    "usecacheonfailure",
];

/// Puppet's values of `ordering`.
const ORDERINGS: &[&str] = &["manifest", "title-hash", "random"];

/// Checks the body of a deploy.
///
/// # Errors
/// 400 naming the key; 404 for a name that no environment can have.
pub(crate) fn deploy_command(body: &Object, owner: Owner) -> Result<DeployCommand, ApiError> {
    let environment_text = body.required_text("environment")?;
    let environment = environment(environment_text)?;
    let enforce_environment = enforcement(body, environment.is_some())?;
    let nodes = selection(body, environment.as_ref())?;
    let order = order(body)?;
    let run = run_options(body)?;
    let mut common = common(body, owner)?;
    common.options = shown_options(body, environment_text, enforce_environment, nodes.shown, &run, &common);
    Ok(DeployCommand { environment, enforce_environment, scope: nodes.scope, order, run, common })
}

fn environment(text: &str) -> Result<Option<EnvironmentName>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    EnvironmentName::parse(text).map(Some).map_err(|_| ApiError::unknown_environment(text))
}

fn enforcement(body: &Object, named: bool) -> Result<bool, ApiError> {
    match body.flag("enforce_environment")? {
        Some(true) if !named => Err(ApiError::invalid(
            "enforce_environment",
            "enforce_environment cannot be true when environment is empty: there is none to enforce",
        )),
        asked => Ok(asked.unwrap_or(named)),
    }
}

fn selection(body: &Object, environment: Option<&EnvironmentName>) -> Result<ParsedScope, ApiError> {
    let by_scope = scope(body, DEPLOY_SCOPES, environment.map_or("", EnvironmentName::as_str))?;
    let nodes = match (by_scope, target(body)?) {
        (Some(_), Some(_)) => return Err(ApiError::invalid("target", "scope and target exclude each other")),
        (Some(nodes), None) | (None, Some(nodes)) => nodes,
        (None, None) => ParsedScope::whole_environment(),
    };
    let needs_environment = matches!(nodes.scope, Scope::WholeEnvironment | Scope::Application(_));
    if needs_environment && environment.is_none() {
        let msg = "with an empty environment, scope must be nodes, query or node_group";
        return Err(ApiError::invalid("scope", msg));
    }
    Ok(nodes)
}

fn run_options(body: &Object) -> Result<DeployOptions, ApiError> {
    let flag = |key: &str| body.flag(key).map(Option::unwrap_or_default);
    let run = DeployOptions {
        noop: flag("noop")?,
        no_noop: flag("no_noop")?,
        debug: flag("debug")?,
        trace: flag("trace")?,
        evaltrace: flag("evaltrace")?,
        filetimeout: body.integer("filetimeout", 0)?,
        http_connect_timeout: body.integer("http_connect_timeout", 0)?,
        http_keepalive_timeout: body.integer("http_keepalive_timeout", 0)?,
        http_read_timeout: body.integer("http_read_timeout", 0)?,
        ordering: argument(body, "ordering")?,
        skip_tags: argument(body, "skip_tags")?,
        tags: argument(body, "tags")?,
        use_cached_catalog: body.flag("use_cached_catalog")?,
        usecacheonfailure: body.flag("usecacheonfailure")?,
    };
    if run.noop && run.no_noop {
        return Err(ApiError::invalid("no_noop", "noop and no_noop exclude each other"));
    }
    if let Some(ordering) = run.ordering.as_deref().filter(|ordering| !ORDERINGS.contains(ordering)) {
        let msg = format!("ordering must be one of {}, not '{ordering}'", ORDERINGS.join(", "));
        return Err(ApiError::invalid("ordering", msg));
    }
    Ok(run)
}

/// Every option that has a default, and of the others those which the request gave (API §15, 42).
fn shown_options(
    body: &Object,
    environment: &str,
    enforce_environment: bool,
    scope: Value,
    run: &DeployOptions,
    common: &Common,
) -> Value {
    let mut options = Map::new();
    let defaults = [
        ("environment", json!(environment)),
        ("enforce_environment", json!(enforce_environment)),
        ("scope", scope),
        ("target", body.value("target").cloned().unwrap_or_default()),
        ("noop", json!(run.noop)),
        ("no_noop", json!(run.no_noop)),
        ("debug", json!(run.debug)),
        ("trace", json!(run.trace)),
        ("evaltrace", json!(run.evaltrace)),
        ("concurrency", shown_concurrency(common)),
        ("description", json!(common.description)),
        ("userdata", common.userdata.clone()),
    ];
    options.extend(defaults.map(|(key, value)| (key.to_owned(), value)));
    copy_given(body, UNSET_BY_DEFAULT, &mut options);
    Value::Object(options)
}
