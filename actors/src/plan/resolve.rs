//! From a scope to certnames: sorted, each once.

use crate::model::{ApplicationTarget, CertName, Scope};
use crate::ports::{Environment, Instance};

/// Why a scope names no nodes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The environment has neither instances nor nodes.
    #[error("the environment has no applications and no nodes")]
    EmptyEnvironment,
    /// The target has no nodes; the summary word that error details use.
    #[error("the target {0} has no nodes")]
    EmptyTarget(String),
    /// There is no source for such a scope.
    #[error("{0}")]
    Unsupported(String),
}

/// The nodes of a scope. `environment` is `None` where the request named none; then only `Nodes` can have any.
///
/// # Errors
/// See [`ResolveError`].
pub fn resolve(scope: &Scope, environment: Option<&Environment>) -> Result<Vec<CertName>, ResolveError> {
    let (mut nodes, summary) = match scope {
        Scope::Nodes(nodes) => (nodes.clone(), "nodes".to_owned()),
        Scope::Application(_) | Scope::WholeEnvironment if environment.is_none_or(Environment::is_empty) => {
            return Err(ResolveError::EmptyEnvironment);
        }
        Scope::Application(target) => (of_application(target, environment), summary_of(target)),
        Scope::WholeEnvironment => (environment.map(whole).unwrap_or_default(), "whole environment".to_owned()),
        Scope::Query(_) => return Err(unsupported("query", "PuppetDB")),
        // Resolved before by who knows the groups, where there are any.
        Scope::NodeGroup(_) => return Err(unsupported("node_group", "node groups")),
    };
    nodes.sort_unstable();
    nodes.dedup();
    if nodes.is_empty() { Err(ResolveError::EmptyTarget(summary)) } else { Ok(nodes) }
}

fn unsupported(scope: &str, source: &str) -> ResolveError {
    ResolveError::Unsupported(format!("scope {scope} needs {source}, and none is configured"))
}

fn summary_of(target: &ApplicationTarget) -> String {
    match &target.title {
        Some(title) => format!("{}[{title}]", target.kind),
        None => target.kind.clone(),
    }
}

fn whole(environment: &Environment) -> Vec<CertName> {
    environment.instances.iter().flat_map(nodes_of).chain(&environment.nodes).cloned().collect()
}

fn of_application(target: &ApplicationTarget, environment: Option<&Environment>) -> Vec<CertName> {
    let Some(environment) = environment else { return Vec::new() };
    let chosen = environment.instances.iter().filter(|instance| is_meant(target, instance));
    chosen.flat_map(nodes_of).cloned().collect()
}

fn nodes_of(instance: &Instance) -> impl Iterator<Item = &CertName> {
    instance.components.iter().filter_map(|component| component.node.as_ref())
}

fn is_meant(target: &ApplicationTarget, instance: &Instance) -> bool {
    same_type(&target.kind, &instance.kind)
        && target.title.as_deref().is_none_or(|title| unquoted(title) == instance.title)
}

/// A title without one pair of quotes around it.
fn unquoted(title: &str) -> &str {
    let within = |quote| title.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    within('\'').or_else(|| within('"')).unwrap_or(title)
}

/// Types are equal when their segments are, the case of each first letter aside.
fn same_type(one: &str, other: &str) -> bool {
    let mut others = other.split("::");
    one.split("::").all(|segment| others.next().is_some_and(|known| same_segment(segment, known)))
        && others.next().is_none()
}

fn same_segment(one: &str, other: &str) -> bool {
    let (mut left, mut right) = (one.chars(), other.chars());
    match (left.next(), right.next()) {
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(&b) && left.as_str() == right.as_str(),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}
