//! Environments, applications, instances and tasks (API §3, §8.1).

use bunraku_actors::model::EnvironmentName;
use bunraku_actors::model::TaskFile;
use bunraku_actors::ports::{
    ApplicationType, Component, Environment, EnvironmentSettings, Instance, TaskDetail, TaskSummary,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::Link;
use crate::api::links::Links;

/// An environment by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnvironmentRef {
    pub name: String,
    /// Present only where the API shows it; always null, for we have no code ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_id: Option<Value>,
}

impl EnvironmentRef {
    pub(crate) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), code_id: None }
    }

    pub(crate) fn with_code_id(name: &EnvironmentName) -> Self {
        Self { name: name.as_str().to_owned(), code_id: Some(Value::Null) }
    }
}

/// An environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EnvironmentItem {
    pub id: String,
    pub name: String,
    pub applications: Link,
    pub instances: Link,
    pub settings: Settings,
}

/// An environment's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Settings {
    pub modulepath: Vec<String>,
    pub manifest: String,
    pub environment_timeout: i64,
    pub config_version: String,
}

/// The applications of an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApplicationList {
    pub items: Vec<ApplicationItem>,
    pub instances: Link,
}

/// An application type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApplicationItem {
    pub kind: String,
    pub name: String,
    pub file: String,
    pub line: u32,
    pub parameters: Map<String, Value>,
}

/// An application instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InstanceItem {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub components: Vec<ComponentItem>,
}

/// A component of an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ComponentItem {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub node: Option<String>,
    pub produces: Vec<String>,
    pub consumes: Vec<String>,
}

/// A task in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskItem {
    pub id: String,
    pub name: String,
    pub permitted: bool,
    /// Additions of ours.
    pub description: String,
    pub private: bool,
}

/// A task with metadata and files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskView {
    pub id: String,
    pub name: String,
    pub permitted: bool,
    pub environment: EnvironmentRef,
    pub metadata: Value,
    pub files: Vec<TaskFileItem>,
}

/// A file of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskFileItem {
    pub filename: String,
    pub uri: TaskFileUri,
    pub sha256: String,
    pub size_bytes: u64,
}

/// Where a file comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskFileUri {
    pub path: String,
    pub params: Value,
}

impl EnvironmentItem {
    pub(crate) fn new(environment: &Environment, links: &Links) -> Self {
        let id = links.environment(&environment.name);
        Self {
            name: environment.name.as_str().to_owned(),
            applications: Link::new(format!("{id}/applications")),
            instances: Link::new(format!("{id}/instances")),
            settings: Settings::from(&environment.settings),
            id,
        }
    }
}

impl From<&EnvironmentSettings> for Settings {
    fn from(settings: &EnvironmentSettings) -> Self {
        Self {
            modulepath: settings.modulepath.clone(),
            manifest: settings.manifest.clone(),
            environment_timeout: settings.environment_timeout,
            config_version: settings.config_version.clone(),
        }
    }
}

impl From<&ApplicationType> for ApplicationItem {
    fn from(application: &ApplicationType) -> Self {
        Self {
            kind: "application".to_owned(),
            name: application.name.clone(),
            file: application.file.clone(),
            line: application.line,
            parameters: application.parameters.clone(),
        }
    }
}

impl From<&Instance> for InstanceItem {
    fn from(instance: &Instance) -> Self {
        Self {
            kind: instance.kind.clone(),
            title: instance.title.clone(),
            components: instance.components.iter().map(ComponentItem::from).collect(),
        }
    }
}

impl From<&Component> for ComponentItem {
    fn from(component: &Component) -> Self {
        Self {
            kind: component.kind.clone(),
            title: component.title.clone(),
            node: component.node.as_ref().map(|node| node.as_str().to_owned()),
            produces: component.produces.clone(),
            consumes: component.consumes.clone(),
        }
    }
}

impl TaskItem {
    pub(crate) fn new(task: &TaskSummary, permitted: bool, links: &Links) -> Self {
        Self {
            id: links.task(&task.name),
            name: task.name.as_str().to_owned(),
            permitted,
            description: task.description.clone(),
            private: task.private,
        }
    }
}

impl TaskView {
    pub(crate) fn new(task: &TaskDetail, environment: &EnvironmentName, permitted: bool, links: &Links) -> Self {
        Self {
            id: links.task(&task.name),
            name: task.name.as_str().to_owned(),
            permitted,
            environment: EnvironmentRef::with_code_id(environment),
            metadata: task.metadata.clone(),
            files: task.files.iter().map(|file| TaskFileItem::new(file, environment)).collect(),
        }
    }
}

impl TaskFileItem {
    fn new(file: &TaskFile, environment: &EnvironmentName) -> Self {
        Self {
            filename: file.filename.clone(),
            uri: TaskFileUri { path: file.path.clone(), params: json!({ "environment": environment }) },
            sha256: file.sha256.clone(),
            size_bytes: file.size_bytes,
        }
    }
}
