//! The rules of an environment file, each with an error that names line, key and value.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bunraku_actors::model::{CertName, EnvironmentName, Scope};
use bunraku_actors::ports::{ApplicationType, Component, Instance};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

use super::sections::{Application, ComponentSection, InstanceSection, Text, TierSection};
use super::{BASE_MODULE_PATH, DocumentError, expand, order};

/// The longest title of an instance, a component or a capability.
const MAX_TITLE: usize = 255;

/// What the section `applications` comes to.
#[derive(Debug, Default)]
pub(super) struct Applications {
    pub(super) types: Vec<ApplicationType>,
    pub(super) instances: Vec<Instance>,
    pub(super) warnings: Vec<String>,
}

/// What is known of an environment's components while they are checked.
#[derive(Debug, Default)]
struct Graph {
    /// `Type[title]` of every component, with its node and its line.
    components: BTreeMap<String, (Option<CertName>, u64)>,
    produced: BTreeSet<String>,
    /// Capability → line and key of its first consumer.
    consumed: BTreeMap<String, (u64, String)>,
}

/// Checks one file.
pub(super) struct Checker<'a> {
    file: &'a Path,
}

impl<'a> Checker<'a> {
    pub(super) fn new(file: &'a Path) -> Self {
        Self { file }
    }

    fn refuse<T>(&self, at: &Spanned<T>, key: &str, problem: impl ToString) -> DocumentError {
        let line = at.referenced.line();
        DocumentError { file: self.file.to_owned(), line, key: key.to_owned(), problem: problem.to_string() }
    }

    /// The environment's own nodes, sorted; a name that stands twice is refused.
    pub(super) fn nodes(&self, written: &[Text]) -> Result<Vec<CertName>, DocumentError> {
        let mut nodes = BTreeSet::new();
        for (index, text) in written.iter().enumerate() {
            let key = format!("nodes[{index}]");
            let node = self.certname(text, &key)?;
            if !nodes.insert(node) {
                return Err(self.refuse(text, &key, format!("'{}' stands twice", text.value)));
            }
        }
        Ok(nodes.into_iter().collect())
    }

    /// The tiers of the environment.
    pub(super) fn order(&self, written: &[Spanned<TierSection>]) -> Result<Vec<Scope>, DocumentError> {
        let tier = |(index, section): (usize, &Spanned<TierSection>)| {
            let key = format!("order[{index}]");
            let TierSection { group, query, nodes } = &section.value;
            match (group, query, nodes) {
                (Some(group), None, None) => Ok(Scope::NodeGroup(group.clone())),
                (None, Some(query @ (Value::String(_) | Value::Array(_))), None) => Ok(Scope::Query(query.clone())),
                (None, None, Some(nodes)) => {
                    let name = |(place, text)| self.certname(text, &format!("{key}.nodes[{place}]"));
                    nodes.iter().enumerate().map(name).collect::<Result<_, _>>().map(Scope::Nodes)
                }
                _ => Err(self.refuse(section, &key, "a tier has one of group, query (text or a list) and nodes")),
            }
        };
        written.iter().enumerate().map(tier).collect()
    }

    /// The module path, with the server's own in the place of `$basemodulepath`.
    pub(super) fn module_path(
        &self,
        written: &[Text],
        name: &EnvironmentName,
        base: &[PathBuf],
    ) -> Result<Vec<PathBuf>, DocumentError> {
        let directory = self.file.parent().unwrap_or(Path::new("."));
        let mut path = Vec::new();
        for (index, text) in written.iter().enumerate() {
            if text.value == BASE_MODULE_PATH {
                path.extend(base.iter().map(|entry| expand(entry, name)));
            } else if text.value.is_empty() || text.value.contains('\0') {
                return Err(self.refuse(text, &format!("modulepath[{index}]"), "it is not a path"));
            } else {
                path.push(directory.join(expand(Path::new(&text.value), name)));
            }
        }
        Ok(path)
    }

    /// Application types, instances and warnings.
    pub(super) fn applications(&self, written: Vec<Application>) -> Result<Applications, DocumentError> {
        let mut graph = Graph::default();
        let mut found = Applications::default();
        for (index, application) in written.into_iter().enumerate() {
            let key = format!("applications[{index}]");
            self.type_name(&application.kind, &format!("{key}.type"))?;
            if found.types.iter().any(|known| known.name == application.kind.value) {
                let problem = format!("the application type '{}' stands twice", application.kind.value);
                return Err(self.refuse(&application.kind, &format!("{key}.type"), problem));
            }
            let mut titles = BTreeSet::new();
            for (place, section) in application.instances.iter().enumerate() {
                let key = format!("{key}.instances[{place}]");
                if !titles.insert(section.title.value.as_str()) {
                    let problem = format!("the instance '{}' stands twice", section.title.value);
                    return Err(self.refuse(&section.title, &format!("{key}.title"), problem));
                }
                found.instances.push(self.instance(&application.kind.value, section, &key, &mut graph)?);
            }
            found.types.push(self.application_type(application, &key)?);
        }
        found.warnings = self.warnings(&graph);
        Ok(found)
    }

    fn application_type(&self, written: Application, key: &str) -> Result<ApplicationType, DocumentError> {
        let mut parameters = Map::new();
        for (name, default) in written.parameters {
            let shown = match &default.value {
                Value::Null => Value::Null,
                Value::String(text) => Value::String(text.clone()),
                Value::Bool(_) | Value::Number(_) => Value::String(default.value.to_string()),
                Value::Array(_) | Value::Object(_) => {
                    let problem = "a default is a text, a number, true, false or nothing";
                    return Err(self.refuse(&default, &format!("{key}.parameters.{name}"), problem));
                }
            };
            parameters.insert(name, shown);
        }
        // Without a manifest of its own the type is where it is written: in the environment file.
        let written_at = u32::try_from(written.kind.referenced.line()).unwrap_or(u32::MAX);
        let (file, line) = match written.file {
            Some(file) => (file, written.line.unwrap_or(1)),
            None => (self.file.display().to_string(), written.line.unwrap_or(written_at)),
        };
        Ok(ApplicationType { name: written.kind.value, file, line, parameters })
    }

    fn instance(
        &self,
        kind: &str,
        written: &InstanceSection,
        key: &str,
        graph: &mut Graph,
    ) -> Result<Instance, DocumentError> {
        self.title(&written.title, &format!("{key}.title"))?;
        let mut components = Vec::with_capacity(written.components.len());
        for (index, section) in written.components.iter().enumerate() {
            components.push(self.component(section, &format!("{key}.components[{index}]"), graph)?);
        }
        let components = order::producers_first(components);
        Ok(Instance { kind: kind.to_owned(), title: written.title.value.clone(), components })
    }

    fn component(&self, written: &ComponentSection, key: &str, graph: &mut Graph) -> Result<Component, DocumentError> {
        self.type_name(&written.kind, &format!("{key}.type"))?;
        self.title(&written.title, &format!("{key}.title"))?;
        let node = written.node.as_ref().map(|text| self.certname(text, &format!("{key}.node"))).transpose()?;
        self.unique(written, key, node.as_ref(), graph)?;
        let produces = self.capabilities(&written.produces, &format!("{key}.produces"))?;
        let consumes = self.capabilities(&written.consumes, &format!("{key}.consumes"))?;
        graph.produced.extend(produces.iter().cloned());
        for (capability, text) in consumes.iter().zip(&written.consumes) {
            let place = || (text.referenced.line(), format!("{key}.consumes"));
            graph.consumed.entry(capability.clone()).or_insert_with(place);
        }
        let (kind, title) = (written.kind.value.clone(), written.title.value.clone());
        Ok(Component { kind, title, node, produces, consumes })
    }

    /// A component stands once in an environment, and on one node.
    fn unique(
        &self,
        written: &ComponentSection,
        key: &str,
        node: Option<&CertName>,
        graph: &mut Graph,
    ) -> Result<(), DocumentError> {
        let name = format!("{}[{}]", written.kind.value, written.title.value);
        let line = written.title.referenced.line();
        let Some((first, at)) = graph.components.insert(name.clone(), (node.cloned(), line)) else { return Ok(()) };
        let problem = match (&first, node) {
            (Some(first), Some(second)) if first != second => {
                format!("the component {name} is mapped to {first} (line {at}) and to {second}; it can be on one node")
            }
            _ => format!("the component {name} stands twice, first on line {at}"),
        };
        Err(self.refuse(&written.title, &format!("{key}.title"), problem))
    }

    fn capabilities(&self, written: &[Text], key: &str) -> Result<Vec<String>, DocumentError> {
        let mut capabilities = Vec::with_capacity(written.len());
        for (index, text) in written.iter().enumerate() {
            let normal = reference(&text.value).ok_or_else(|| {
                let problem = format!("'{}' is not a capability: it is written Type[title]", text.value);
                self.refuse(text, &format!("{key}[{index}]"), problem)
            })?;
            capabilities.push(normal);
        }
        Ok(capabilities)
    }

    fn certname(&self, text: &Text, key: &str) -> Result<CertName, DocumentError> {
        CertName::parse(&text.value).map_err(|error| self.refuse(text, key, error))
    }

    fn type_name(&self, text: &Text, key: &str) -> Result<(), DocumentError> {
        if is_type_name(&text.value) {
            return Ok(());
        }
        let rule = "a type is written in capitalized segments, such as Shop or Shop::Db";
        Err(self.refuse(text, key, format!("'{}' is not a type: {rule}", text.value)))
    }

    fn title(&self, text: &Text, key: &str) -> Result<(), DocumentError> {
        if is_title(&text.value) {
            return Ok(());
        }
        let rule = "1 to 255 characters without control characters and square brackets";
        Err(self.refuse(text, key, format!("'{}' is not a title: {rule}", text.value.escape_debug())))
    }

    /// A capability that nobody produces orders nothing: often a typing error, yet Puppet allows ones from elsewhere.
    fn warnings(&self, graph: &Graph) -> Vec<String> {
        let missing = graph.consumed.iter().filter(|(capability, _)| !graph.produced.contains(*capability));
        let file = self.file.display();
        missing
            .map(|(capability, (line, key))| {
                format!("{file}:{line}: {key}: no component produces {capability}, so it orders nothing")
            })
            .collect()
    }
}

/// Capitalized segments joined by `::`.
fn is_type_name(text: &str) -> bool {
    let segment = |part: &str| {
        part.bytes().next().is_some_and(|byte| byte.is_ascii_uppercase())
            && part.bytes().skip(1).all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    text.len() <= MAX_TITLE && text.split("::").all(segment)
}

fn is_title(text: &str) -> bool {
    let allowed = |character: char| !character.is_control() && character != '[' && character != ']';
    !text.is_empty() && text.len() <= MAX_TITLE && text.chars().all(allowed)
}

/// `Type[title]` with quotes around the title stripped; `None` when it is not of that form.
fn reference(text: &str) -> Option<String> {
    let (kind, rest) = text.split_once('[')?;
    let inner = rest.strip_suffix(']')?;
    let quoted = ['\'', '"'].into_iter().find_map(|quote| inner.strip_prefix(quote)?.strip_suffix(quote));
    let title = quoted.unwrap_or(inner);
    (is_type_name(kind) && is_title(title)).then(|| format!("{kind}[{title}]"))
}
