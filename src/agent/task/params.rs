//! The parameters of `task run`, checked before anything else looks at them. Unknown keys are tolerated.

use std::path::{Component, Path};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::wire::pxp::FileSpec;

/// What a request says.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::agent) struct TaskParams {
    pub(super) task: String,
    pub(super) input: Map<String, Value>,
    pub(super) files: Vec<FileSpec>,
    #[serde(default)]
    pub(super) metadata: Option<Metadata>,
    /// Only looked at without metadata.
    #[serde(default)]
    input_method: Option<String>,
    /// Only looked at without metadata.
    #[serde(default)]
    features: Vec<String>,
    #[serde(default)]
    noop: bool,
}

/// The part of a task's metadata that decides how it runs.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Metadata {
    #[serde(default)]
    pub(super) input_method: Option<String>,
    #[serde(default)]
    pub(super) implementations: Vec<Implementation>,
    #[serde(default)]
    pub(super) files: Vec<String>,
    #[serde(default)]
    pub(super) features: Vec<String>,
}

/// One way to run a task.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Implementation {
    pub(super) name: String,
    #[serde(default)]
    pub(super) requirements: Vec<String>,
    #[serde(default)]
    pub(super) input_method: Option<String>,
    #[serde(default)]
    pub(super) files: Vec<String>,
}

impl TaskParams {
    /// Reads and checks the parameters; the error says which one is wrong.
    pub(in crate::agent) fn read(params: &Map<String, Value>) -> Result<Self, String> {
        let mut params: Self =
            serde_json::from_value(Value::Object(params.clone())).map_err(|error| error.to_string())?;
        if params.files.is_empty() {
            return Err("files: at least one is needed".to_owned());
        }
        for file in &params.files {
            check_file(file)?;
        }
        if !params.task.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(&byte)) {
            return Err(format!("task: '{}' is not a task name", params.task));
        }
        if params.noop {
            params.input.insert("_noop".to_owned(), true.into());
        }
        Ok(params)
    }

    /// What decides how the task runs.
    pub(super) fn effective_metadata(&self) -> Metadata {
        self.metadata.clone().unwrap_or_else(|| Metadata {
            input_method: self.input_method.clone(),
            features: self.features.clone(),
            ..Metadata::default()
        })
    }
}

fn check_file(file: &FileSpec) -> Result<(), String> {
    let name = &file.filename;
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !plain || name.ends_with('/') || name.contains('\0') {
        return Err(format!("files: '{name}' is not a relative file name"));
    }
    let sum = &file.sha256;
    if sum.len() != 64 || !sum.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)) {
        return Err(format!("files: '{name}': sha256 is not 64 lower-case hex digits"));
    }
    if !file.uri.path.starts_with('/') {
        return Err(format!("files: '{name}': the path '{}' does not begin with a slash", file.uri.path));
    }
    match file.uri.params.iter().find(|(_, value)| !value.is_string()) {
        Some((key, _)) => Err(format!("files: '{name}': the parameter '{key}' is not a string")),
        None => Ok(()),
    }
}
