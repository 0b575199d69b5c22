//! Port of the directory: environments, applications, tasks, and which nodes there are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::model::{CertName, EnvironmentName, Pattern, Scope, TaskFile, TaskName};

/// Why a source could not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DirectoryError {
    /// The source is down or broken; `0` says which and why.
    #[error("{0}")]
    Unavailable(String),
    /// A task's metadata or files cannot be used.
    #[error("task {task}: {reason}")]
    BrokenTask { task: String, reason: String },
    /// A query is no good, in the words of who should have answered it.
    #[error("{0}")]
    Query(String),
    /// PuppetDB is not there, or its answer cannot be used.
    #[error("{0}")]
    PuppetDb(String),
}

/// An environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    pub name: EnvironmentName,
    pub settings: EnvironmentSettings,
    pub applications: Vec<ApplicationType>,
    pub instances: Vec<Instance>,
    /// Nodes assigned to the environment beside those of its instances, sorted.
    pub nodes: Vec<CertName>,
    /// Tiers of nodes that follow each other in a deploy that says nothing else.
    pub order: Vec<Scope>,
}

impl Environment {
    /// True when it has neither instances nor nodes: nothing can be selected from it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty() && self.nodes.is_empty()
    }

    /// The nodes of its instances and those assigned to it, in no order, some maybe twice.
    pub fn all_nodes(&self) -> impl Iterator<Item = &CertName> {
        let components = self.instances.iter().flat_map(|instance| &instance.components);
        components.filter_map(|component| component.node.as_ref()).chain(&self.nodes)
    }
}

/// What `settings` shows (API §3.2).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EnvironmentSettings {
    pub modulepath: Vec<String>,
    pub manifest: String,
    pub environment_timeout: i64,
    pub config_version: String,
}

/// An application type (API §3.3).
#[derive(Debug, Clone, PartialEq)]
pub struct ApplicationType {
    /// Capitalized type name.
    pub name: String,
    pub file: String,
    pub line: u32,
    /// Name → default as text, or null.
    pub parameters: Map<String, Value>,
}

/// An application instance (API §3.4, §13).
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    pub kind: String,
    pub title: String,
    pub components: Vec<Component>,
}

/// A component of an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    pub kind: String,
    pub title: String,
    /// A component that is mapped to no node is not in the graph.
    pub node: Option<CertName>,
    pub produces: Vec<String>,
    pub consumes: Vec<String>,
}

/// A task in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskSummary {
    pub name: TaskName,
    pub description: String,
    pub private: bool,
}

/// A task with its files.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskDetail {
    pub name: TaskName,
    /// The content of its JSON file, `{}` when there is none.
    pub metadata: Value,
    /// The executable, or all implementations, first.
    pub files: Vec<TaskFile>,
}

/// A plan. Nothing here runs it.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanSummary {
    /// `module` or `module::name`.
    pub name: String,
    /// `description` and `parameters` (API §6.1) where the source tells them.
    pub metadata: Map<String, Value>,
}

impl PlanSummary {
    /// A plan of which only the name is known.
    #[must_use]
    pub fn named(name: String) -> Self {
        Self { name, metadata: Map::new() }
    }
}

/// A node group.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeGroup {
    pub id: Uuid,
    pub name: String,
    pub description: String,
    /// The root has an id and no parent of its own.
    pub parent: Uuid,
    /// In the classifier's format; `None` is a group without nodes of its own.
    pub rule: Option<Value>,
}

/// Health of one source, for status and readiness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceHealth {
    pub source: String,
    /// `None` when all is well.
    pub trouble: Option<String>,
}

/// Knows environments and tasks.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// All environments, sorted by name.
    async fn environments(&self) -> Result<Vec<Arc<Environment>>, DirectoryError>;

    /// One environment.
    async fn environment(&self, name: &EnvironmentName) -> Result<Option<Arc<Environment>>, DirectoryError>;

    /// The tasks of an environment, sorted by name; empty for an unknown one.
    async fn tasks(&self, environment: &EnvironmentName) -> Result<Vec<TaskSummary>, DirectoryError>;

    /// One task.
    async fn task(&self, environment: &EnvironmentName, name: &TaskName) -> Result<Option<TaskDetail>, DirectoryError>;

    /// As [`Directory::task`], and keeps a copy of every file by its hash, so that the job's nodes all get this content
    /// although the module changes meanwhile.
    async fn pin_task(
        &self,
        environment: &EnvironmentName,
        name: &TaskName,
    ) -> Result<Option<TaskDetail>, DirectoryError>;

    /// Where the kept copy of a file is, by its SHA-256 in lower-case hex; `None` when there is none.
    async fn pinned_file(&self, sha256: &str) -> Result<Option<PathBuf>, DirectoryError>;

    /// The plans of an environment, sorted by name; empty for an unknown one.
    async fn plans(&self, _environment: &EnvironmentName) -> Result<Vec<PlanSummary>, DirectoryError> {
        Ok(Vec::new())
    }

    /// The nodes that a query finds, in no order, some maybe twice; `None` where nobody answers queries.
    async fn query(&self, _query: &Value) -> Result<Option<Vec<CertName>>, DirectoryError> {
        Ok(None)
    }

    /// The resource events in the Puppet reports with these transaction uuids, where somebody keeps reports. Those that are
    /// not known are left out.
    async fn report_events(&self, _transactions: &[String]) -> Result<BTreeMap<String, Vec<Value>>, DirectoryError> {
        Ok(BTreeMap::new())
    }

    /// What is known of these nodes, each a JSON object; nodes of which nothing is known are left out.
    async fn facts(&self, _nodes: &[CertName]) -> Result<BTreeMap<CertName, Value>, DirectoryError> {
        Ok(BTreeMap::new())
    }

    /// Sees to it that the code of an environment is read again by who keeps it in memory; false where nobody does.
    async fn flush(&self, _environment: &EnvironmentName) -> Result<bool, DirectoryError> {
        Ok(false)
    }

    /// All node groups by name, also those whose rules match nothing; `None` where no source of groups is configured.
    async fn groups(&self) -> Result<Option<Vec<Arc<NodeGroup>>>, DirectoryError> {
        Ok(None)
    }

    /// One group, by id or name.
    async fn group(&self, key: &str) -> Result<Option<Arc<NodeGroup>>, DirectoryError> {
        let all = self.groups().await?.unwrap_or_default();
        Ok(all.into_iter().find(|group| group.name == key || group.id.to_string() == key))
    }

    /// The nodes of a group, of all that the directory knows and of these others; sorted.
    async fn members(&self, _group: Uuid, _others: Vec<CertName>) -> Result<Vec<CertName>, DirectoryError> {
        Ok(Vec::new())
    }

    /// Those of these nodes that are in any of the groups whose id or name fits.
    async fn within_groups(
        &self,
        _groups: &[Pattern],
        _nodes: Vec<CertName>,
    ) -> Result<BTreeSet<CertName>, DirectoryError> {
        Ok(BTreeSet::new())
    }

    /// The health of every source.
    fn health(&self) -> Vec<SourceHealth>;
}
