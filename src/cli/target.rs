//! Which nodes a command is for. Named alike everywhere; what the server cannot resolve for tasks is resolved here,
//! over the API.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;

use bunraku_actors::model::CertName;
use serde_json::{Value, json};

use super::client::{Client, items_of};
use super::error::CliError;

/// The target of a command: exactly one of these.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(id = "target", required = true, multiple = false)]
pub(crate) struct TargetArgs {
    /// Certnames, separated by commas; @FILE reads them from a file, - from standard input
    #[arg(
        short,
        long,
        value_name = "NODES",
        value_delimiter = ',',
        allow_hyphen_values = true,
        help_heading = "Target"
    )]
    nodes: Vec<String>,
    /// The nodes that a PuppetDB query finds
    #[arg(short, long, value_name = "PQL", help_heading = "Target")]
    query: Option<String>,
    /// The nodes of a node group
    #[arg(long, value_name = "ID", help_heading = "Target")]
    group: Option<String>,
    // Not a doc comment: rustdoc would take the brackets for a link.
    #[arg(
        long,
        value_name = "APP",
        help_heading = "Target",
        help = "The nodes of an application, or of one of its instances: Type or Type[title]"
    )]
    application: Option<String>,
    /// Every node: of the environment for Puppet runs, every connected one for tasks
    #[arg(long, help_heading = "Target")]
    all: bool,
}

impl TargetArgs {
    /// The `scope` of a deploy.
    ///
    /// # Errors
    /// A usage error when the list of nodes cannot be read or is empty.
    pub(crate) fn deploy_scope(&self) -> Result<Value, CliError> {
        if let Some(scope) = self.common_scope()? {
            return Ok(scope);
        }
        Ok(match &self.application {
            Some(application) => json!({ "application": application }),
            None => json!({ "whole_environment": true }),
        })
    }

    /// The `scope` of a task, for which the API knows neither applications nor whole environments.
    ///
    /// # Errors
    /// As for [`TargetArgs::deploy_scope`], and when the server cannot be asked or there is no such node.
    pub(crate) async fn task_scope(&self, client: &Client, environment: &str) -> Result<Value, CliError> {
        if let Some(scope) = self.common_scope()? {
            return Ok(scope);
        }
        let nodes = match &self.application {
            Some(application) => {
                let path = format!("/orchestrator/v1/environments/{environment}/instances");
                application_nodes(&items_of(client.get(&path, &[]).await?)?, application)
            }
            None => connected_nodes(&items_of(client.get("/orchestrator/v1/inventory", &[]).await?)?),
        };
        if nodes.is_empty() {
            let what = self.application.as_deref().map_or("no node is connected".to_owned(), |application| {
                format!("'{application}' has no nodes in the environment {environment}")
            });
            return Err(CliError::Usage(what));
        }
        Ok(json!({ "nodes": nodes }))
    }

    fn common_scope(&self) -> Result<Option<Value>, CliError> {
        if !self.nodes.is_empty() {
            return Ok(Some(json!({ "nodes": node_list(&self.nodes)? })));
        }
        let scope = match (&self.query, &self.group) {
            (Some(query), _) => Some(json!({ "query": query_value(query) })),
            (None, Some(group)) => Some(json!({ "node_group": group })),
            (None, None) => None,
        };
        Ok(scope)
    }
}

/// A query in AST form is sent as the array that it is, everything else as PQL text.
fn query_value(query: &str) -> Value {
    match serde_json::from_str(query) {
        Ok(array @ Value::Array(_)) => array,
        _ => Value::String(query.to_owned()),
    }
}

/// The certnames that the arguments name, each once, in their order.
fn node_list(arguments: &[String]) -> Result<Vec<String>, CliError> {
    let mut nodes = Vec::new();
    for argument in arguments {
        match argument.as_str() {
            "-" => nodes.extend(listed(&read_stdin()?)),
            file if file.starts_with('@') => nodes.extend(listed(&read_file(&file[1..])?)),
            name => nodes.push(name.trim().to_owned()),
        }
    }
    let mut seen = BTreeSet::new();
    nodes.retain(|node| !node.is_empty() && seen.insert(node.clone()));
    if nodes.is_empty() {
        return Err(CliError::Usage("the list of nodes is empty".to_owned()));
    }
    for node in &nodes {
        CertName::parse(node).map_err(|error| CliError::Usage(error.to_string()))?;
    }
    Ok(nodes)
}

/// Names in a file: separated by blanks, commas or line ends; the rest of a line after `#` is a remark.
fn listed(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let names = lines.flat_map(|line| line.split(|c: char| c == ',' || c.is_whitespace()));
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn read_file(path: &str) -> Result<String, CliError> {
    fs::read_to_string(path).map_err(|error| CliError::Usage(format!("cannot read the nodes in {path}: {error}")))
}

fn read_stdin() -> Result<String, CliError> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .read_to_string(&mut text)
        .map_err(|error| CliError::Usage(format!("cannot read the nodes from standard input: {error}")))?;
    Ok(text)
}

/// The nodes of the instances of `application`, which is `Type` or `Type[title]`.
fn application_nodes(instances: &[Value], application: &str) -> BTreeSet<String> {
    let (kind, title) = match application.split_once('[') {
        Some((kind, title)) => (kind, Some(title.trim_end_matches(']').trim_matches(['\'', '"']))),
        None => (application, None),
    };
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    instances
        .iter()
        .filter(|instance| text(instance, "type").eq_ignore_ascii_case(kind))
        .filter(|instance| title.is_none_or(|title| text(instance, "title") == title))
        .filter_map(|instance| instance.get("components")?.as_array())
        .flatten()
        .map(|component| text(component, "node"))
        .filter(|node| !node.is_empty())
        .collect()
}

fn connected_nodes(inventory: &[Value]) -> BTreeSet<String> {
    let connected = inventory.iter().filter(|node| node.get("connected").and_then(Value::as_bool) != Some(false));
    connected.filter_map(|node| node.get("name")?.as_str()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use proptest::prelude::*;

    #[derive(Debug, clap::Parser)]
    struct Command {
        #[command(flatten)]
        target: TargetArgs,
    }

    fn scope(arguments: &[&str]) -> Result<Value, String> {
        let command = Command::try_parse_from(["x"].iter().chain(arguments)).map_err(|error| error.to_string())?;
        command.target.deploy_scope().map_err(|error| error.to_string())
    }

    #[test]
    fn every_kind_of_target_becomes_its_scope() {
        assert_eq!(scope(&["-n", "a,b", "--nodes", "b,c"]).unwrap(), json!({"nodes": ["a", "b", "c"]}));
        assert_eq!(scope(&["-q", "nodes { }"]).unwrap(), json!({"query": "nodes { }"}));
        assert_eq!(scope(&["-q", r#"["from","nodes"]"#]).unwrap(), json!({"query": ["from", "nodes"]}));
        assert_eq!(scope(&["--group", "g"]).unwrap(), json!({"node_group": "g"}));
        assert_eq!(scope(&["--application", "Shop[eu]"]).unwrap(), json!({"application": "Shop[eu]"}));
        assert_eq!(scope(&["--all"]).unwrap(), json!({"whole_environment": true}));
    }

    #[test]
    fn no_target_and_two_targets_are_refused() {
        assert!(scope(&[]).unwrap_err().contains("--all"));
        assert!(scope(&["--all", "-n", "a"]).unwrap_err().contains("cannot be used with"));
        assert!(scope(&["-n", ","]).unwrap_err().contains("empty"));
        assert!(scope(&["-n", "a b"]).unwrap_err().contains("'a b'"));
    }

    #[test]
    fn files_may_hold_remarks() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "# web\nweb1, web2\n\nweb3 # the last\n").unwrap();
        let argument = format!("@{}", file.path().display());
        assert_eq!(scope(&["-n", &argument]).unwrap(), json!({"nodes": ["web1", "web2", "web3"]}));
        fs::write(file.path(), "# nothing\n").unwrap();
        assert!(scope(&["-n", &argument]).unwrap_err().contains("empty"));
        assert!(scope(&["-n", "@/nonexistent"]).unwrap_err().contains("/nonexistent"));
    }

    #[test]
    fn applications_are_found_by_type_and_title() {
        let instances = [
            json!({"type": "Shop", "title": "eu", "components": [{"node": "web1"}, {"node": "db1"}]}),
            json!({"type": "Shop", "title": "us", "components": [{"node": "web2"}, {"node": null}]}),
        ];
        let nodes = |application| application_nodes(&instances, application).into_iter().collect::<Vec<_>>();
        assert_eq!(nodes("Shop"), ["db1", "web1", "web2"]);
        assert_eq!(nodes("shop['eu']"), ["db1", "web1"]);
        assert!(nodes("Shop[asia]").is_empty() && nodes("Other").is_empty());
        let inventory = [json!({"name": "a", "connected": true}), json!({"name": "b", "connected": false})];
        assert_eq!(connected_nodes(&inventory).into_iter().collect::<Vec<_>>(), ["a"]);
    }

    proptest! {
        #[test]
        fn any_text_in_a_list_gives_names_without_separators(text in "\\PC{0,60}") {
            for name in listed(&text) {
                prop_assert!(!name.is_empty() && !name.contains([',', '#', ' ', '\n']));
            }
        }
    }
}
