//! Which nodes a command is for: `scope`, the older `target`, and lists of certnames (API §4.1).

use bunraku_actors::model::{ApplicationTarget, CertName, Scope};
use indexmap::IndexSet;
use serde_json::{Value, json};

use super::Object;
use crate::api::error::ApiError;

/// The scope kinds of a deploy.
pub(super) const DEPLOY_SCOPES: &[&str] = &["nodes", "query", "node_group", "application", "whole_environment"];
/// The most tiers of one order.
const MOST_TIERS: usize = 100;
/// The scope kinds of a task.
pub(super) const TASK_SCOPES: &[&str] = &["nodes", "query", "node_group"];

/// A scope, and how the job's `options` show it.
#[derive(Debug, PartialEq)]
pub(super) struct ParsedScope {
    pub(super) scope: Scope,
    pub(super) shown: Value,
}

impl ParsedScope {
    pub(super) fn whole_environment() -> Self {
        Self { scope: Scope::WholeEnvironment, shown: json!({ "whole_environment": true }) }
    }

    fn application(text: &str, key: &str) -> Result<Self, ApiError> {
        let target = application(text).ok_or_else(|| {
            let shown: String = text.chars().take(80).collect();
            ApiError::invalid(key, format!("{key} must be Type or Type[title], not '{shown}'"))
        })?;
        let shown = match &target.title {
            Some(title) => format!("{}[{title}]", target.kind),
            None => target.kind.clone(),
        };
        Ok(Self { scope: Scope::Application(target), shown: json!({ "application": shown }) })
    }
}

/// Reads `scope`; absent, null and `{}` are all no scope.
///
/// # Errors
/// 400 for more than one kind, an unknown kind, one that the command does not take, and a value of the wrong shape.
pub(super) fn scope(body: &Object, allowed: &[&str], environment: &str) -> Result<Option<ParsedScope>, ApiError> {
    let Some(scope) = body.object("scope", "scope.")? else { return Ok(None) };
    let (known, unknown): (Vec<&str>, Vec<&str>) = scope.keys().partition(|key| DEPLOY_SCOPES.contains(key));
    if known.is_empty() && unknown.is_empty() {
        // Only a literal `{}` is no scope: a client whose list is null must not reach the whole environment.
        let harmless = scope.is_literally_empty() || body.value("target").is_some();
        return if harmless { Ok(None) } else { Err(ApiError::missing("scope.nodes")) };
    }
    let [kind] = known[..] else {
        let given: Vec<&str> = scope.keys().take(10).collect();
        let msg = format!("scope must have exactly one of {}", allowed.join(", "));
        return Err(ApiError::validation(msg, json!({ "key": "scope", "given": given })));
    };
    if !allowed.contains(&kind) {
        let msg = format!("a task takes no scope of kind {kind}; use one of {}", allowed.join(", "));
        return Err(ApiError::invalid(&scope.name(kind), msg));
    }
    value(&scope, kind, environment).map(Some)
}

fn value(scope: &Object, kind: &str, environment: &str) -> Result<ParsedScope, ApiError> {
    let name = scope.name(kind);
    match kind {
        "nodes" => {
            let nodes = node_list(scope, kind)?.ok_or_else(|| ApiError::missing(&name))?;
            let nodes: Vec<_> = nodes.into_iter().collect::<IndexSet<_>>().into_iter().collect();
            if nodes.is_empty() {
                return Err(ApiError::empty_target(environment, "nodes"));
            }
            Ok(ParsedScope { shown: json!({ "nodes": nodes }), scope: Scope::Nodes(nodes) })
        }
        "query" => match scope.value(kind) {
            Some(query @ (Value::String(_) | Value::Array(_))) => {
                Ok(ParsedScope { scope: Scope::Query(query.clone()), shown: json!({ "query": query }) })
            }
            other => Err(ApiError::wrong_type(&name, "a string or an array", other.unwrap_or(&Value::Null))),
        },
        "node_group" => {
            let group = scope.required_text(kind)?;
            Ok(ParsedScope { scope: Scope::NodeGroup(group.to_owned()), shown: json!({ "node_group": group }) })
        }
        "application" => ParsedScope::application(scope.required_text(kind)?, &name),
        _ => match scope.flag(kind)? {
            Some(true) => Ok(ParsedScope::whole_environment()),
            _ => Err(ApiError::invalid(&name, format!("{name} must be true"))),
        },
    }
}

/// Reads `order`: tiers of nodes that follow each other, each with one of `group`, `query` and `nodes`. Absent and null mean
/// the environment's own, an empty list none.
///
/// # Errors
/// 400 naming the tier.
pub(crate) fn order(body: &Object) -> Result<Option<Vec<Scope>>, ApiError> {
    let Some(tiers) = body.array("order")? else { return Ok(None) };
    if tiers.len() > MOST_TIERS {
        return Err(ApiError::invalid("order", format!("order must have at most {MOST_TIERS} tiers")));
    }
    tiers.iter().enumerate().map(|(place, tier)| one_tier(place, tier)).collect::<Result<_, _>>().map(Some)
}

fn one_tier(place: usize, tier: &Value) -> Result<Scope, ApiError> {
    let key = format!("order[{place}]");
    let map = tier.as_object().ok_or_else(|| ApiError::wrong_type(&key, "an object", tier))?;
    let tier = Object::new(map.clone());
    match &tier.keys().collect::<Vec<_>>()[..] {
        ["group"] => Ok(Scope::NodeGroup(tier.required_text("group")?.to_owned())),
        ["query"] => match tier.value("query") {
            Some(query @ (Value::String(_) | Value::Array(_))) => Ok(Scope::Query(query.clone())),
            other => {
                let found = other.unwrap_or(&Value::Null);
                Err(ApiError::wrong_type(&format!("{key}.query"), "a string or an array", found))
            }
        },
        ["nodes"] => Ok(Scope::Nodes(node_list(&tier, "nodes")?.unwrap_or_default())),
        _ => Err(ApiError::invalid(&key, format!("{key} must have exactly one of group, query and nodes"))),
    }
}

/// Reads the older `target`; absent, null and blank mean none.
pub(super) fn target(body: &Object) -> Result<Option<ParsedScope>, ApiError> {
    match body.text("target")?.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => ParsedScope::application(text, "target").map(Some),
        None => Ok(None),
    }
}

/// Reads a list of certnames, as given.
///
/// # Errors
/// 400 naming the index of an entry that is no certname.
pub(crate) fn node_list(body: &Object, key: &str) -> Result<Option<Vec<CertName>>, ApiError> {
    let Some(entries) = body.array(key)? else { return Ok(None) };
    let mut nodes = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let name = format!("{}[{index}]", body.name(key));
        let text = entry.as_str().ok_or_else(|| ApiError::wrong_type(&name, "a string", entry))?;
        let node = CertName::parse(text).map_err(|error| {
            let details = json!({ "key": name, "index": index, "value": error.value });
            ApiError::validation(format!("{name}: {error}"), details)
        })?;
        nodes.push(node);
    }
    Ok(Some(nodes))
}

/// `Type` or `Type[title]`; the title may stand in quotes.
fn application(text: &str) -> Option<ApplicationTarget> {
    let (kind, title) = match text.split_once('[') {
        Some((kind, rest)) => (kind, Some(unquote(rest.strip_suffix(']')?))),
        None => (text, None),
    };
    let segment = |part: &str| {
        part.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let fits = kind.split("::").all(segment) && title.is_none_or(|title| !title.is_empty());
    fits.then(|| ApplicationTarget { kind: kind.to_owned(), title: title.map(str::to_owned) })
}

fn unquote(text: &str) -> &str {
    ['\'', '"'].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_are_types_or_instances() {
        let target = |kind: &str, title: Option<&str>| {
            Some(ApplicationTarget { kind: kind.into(), title: title.map(str::to_owned) })
        };
        assert_eq!(application("Shop"), target("Shop", None));
        assert_eq!(application("Shop::Eu[main]"), target("Shop::Eu", Some("main")));
        assert_eq!(application("shop['a b']"), target("shop", Some("a b")));
        assert_eq!(application("Shop[\"x\"]"), target("Shop", Some("x")));
        for bad in ["", "Shop[", "Shop[]", "Shop['']", "Shop]x", "Sh op", "::Shop", "Shop[x]y", "1a"] {
            assert_eq!(application(bad), None, "{bad:?}");
        }
    }
}
