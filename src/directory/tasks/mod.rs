//! Tasks of a module path, by Puppet's rules: which there are, what they say of themselves, which files they need.
//!
//! Reads modules and never writes. A broken task is in the list all the same; only who asks for it gets the error.

mod files;
mod metadata;
mod module;
pub(super) mod plans;
mod signature;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use bunraku_actors::model::{TaskFile, TaskName};
use bunraku_actors::ports::{DirectoryError, TaskDetail, TaskSummary};
use serde_json::{Map, Value};

pub(super) use self::files::served_path;
use self::metadata::Metadata;
use self::module::Module;
use super::hash::HashCache;

/// Why a task cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum TaskError {
    #[error("its metadata {file} {problem}")]
    Metadata { file: String, problem: String },
    #[error("there is no executable beside its metadata")]
    NoExecutable,
    #[error("there are several executables ({}) and its metadata names no implementations", .0.join(", "))]
    SeveralExecutables(Vec<String>),
    #[error("its metadata names the implementation '{0}', which is not in the module's tasks directory")]
    MissingImplementation(String),
    #[error("file '{file}' {problem}")]
    File { file: String, problem: String },
}

impl TaskError {
    fn file(file: impl Into<String>, problem: impl ToString) -> Self {
        Self::File { file: file.into(), problem: problem.to_string() }
    }
}

/// A task, and where its files are at this moment.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) detail: TaskDetail,
    /// One path per file of `detail`, in the same order.
    pub(super) sources: Vec<PathBuf>,
}

/// All tasks of a module path that are meant to be run, sorted by name.
pub(super) fn list(module_path: &[PathBuf]) -> Result<Vec<TaskSummary>, DirectoryError> {
    let mut tasks = Vec::new();
    for module in module::all(module_path).map_err(unavailable)?.values() {
        let entries = module.task_entries().map_err(|error| unavailable((module.tasks_directory(), error)))?;
        tasks.extend(summaries(module, &entries));
    }
    tasks.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tasks)
}

/// One task with hashes and places of all its files; `None` when no module has it.
pub(super) fn resolve(
    module_path: &[PathBuf],
    name: &TaskName,
    hashes: &HashCache,
) -> Result<Option<Resolved>, DirectoryError> {
    let (module_name, stem) = name.parts();
    let Some(module) = module::find(module_path, module_name) else { return Ok(None) };
    let entries = module.task_entries().map_err(|error| unavailable((module.tasks_directory(), error)))?;
    if !entries.iter().any(|entry| module::stem(entry) == stem) {
        return Ok(None);
    }
    let resolved = resolve_in(module_path, &module, &entries, name, hashes);
    resolved.map(Some).map_err(|error| DirectoryError::BrokenTask { task: name.to_string(), reason: error.to_string() })
}

/// The tasks of the same module that only implement this one, by its metadata.
pub(super) fn implementations_of(task: &TaskDetail) -> Vec<TaskName> {
    let entries = task.metadata.get("implementations").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let files = entries.iter().filter_map(|entry| entry.get("name").and_then(Value::as_str));
    let name = |file: &str| TaskName::parse(&format!("{}::{}", task.name.parts().0, module::stem(file))).ok();
    files.filter_map(name).filter(|name| *name != task.name).collect()
}

fn unavailable((path, error): (PathBuf, io::Error)) -> DirectoryError {
    DirectoryError::Unavailable(format!("cannot read modules in {}: {error}", path.display()))
}

fn resolve_in(
    module_path: &[PathBuf],
    module: &Module,
    entries: &[String],
    name: &TaskName,
    hashes: &HashCache,
) -> Result<Resolved, TaskError> {
    let (_, stem) = name.parts();
    let metadata = read_metadata(module, entries, stem)?;
    let mut wanted = files::executables(module, entries, stem, metadata.as_ref())?;
    if let Some(metadata) = &metadata {
        files::add_shared(module_path, module, metadata, &mut wanted)?;
    }
    let mut found = Vec::with_capacity(wanted.len());
    let mut sources = Vec::with_capacity(wanted.len());
    for file in wanted {
        let print = hashes.fingerprint(&file.source).map_err(|error| TaskError::file(&file.filename, error))?;
        found.push(TaskFile {
            filename: file.filename,
            sha256: print.sha256,
            size_bytes: print.size,
            path: file.uri_path,
        });
        sources.push(file.source);
    }
    let metadata = metadata.map_or_else(|| Value::Object(Map::new()), |metadata| metadata.value);
    Ok(Resolved { detail: TaskDetail { name: name.clone(), metadata, files: found }, sources })
}

/// The metadata of the task `stem`, `None` when it has no such file.
fn read_metadata(module: &Module, entries: &[String], stem: &str) -> Result<Option<Metadata>, TaskError> {
    let file = format!("{stem}.json");
    if !entries.contains(&file) {
        return Ok(None);
    }
    let path = module
        .inside(Path::new("tasks").join(&file))
        .map_err(|problem| TaskError::Metadata { file: file.clone(), problem })?;
    metadata::read(&path).map(Some).map_err(|problem| TaskError::Metadata { file, problem })
}

fn summaries(module: &Module, entries: &[String]) -> Vec<TaskSummary> {
    let stems: BTreeSet<&str> = entries.iter().map(|entry| module::stem(entry)).collect();
    let known: BTreeMap<&str, Option<Metadata>> =
        stems.iter().map(|stem| (*stem, read_metadata(module, entries, stem).unwrap_or_default())).collect();
    let listed = stems.iter().filter(|stem| !is_implementation_only(stem, entries, &known));
    listed
        .filter_map(|stem| {
            let name = TaskName::parse(&format!("{}::{stem}", module.name())).ok()?;
            let metadata = known.get(stem).and_then(Option::as_ref);
            let description = metadata.map(Metadata::description).unwrap_or_default();
            let private = metadata.is_some_and(Metadata::private);
            Some(TaskSummary { name, description, private })
        })
        .collect()
}

/// Whether the files of this name only serve other tasks: it has no metadata of its own, and every executable is an
/// implementation that some other task names. With metadata it speaks for itself (`private`).
fn is_implementation_only(stem: &str, entries: &[String], known: &BTreeMap<&str, Option<Metadata>>) -> bool {
    let own: Vec<&String> = entries.iter().filter(|entry| module::stem(entry) == stem).collect();
    let named = |file: &str| {
        let others = known.iter().filter(|(other, _)| **other != stem);
        others.filter_map(|(_, metadata)| metadata.as_ref()).any(|metadata| metadata.implements_with(file))
    };
    !entries.contains(&format!("{stem}.json")) && own.iter().all(|file| named(file))
}
