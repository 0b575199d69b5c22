//! Modules of a module path, and paths that stay inside of them.

use std::collections::BTreeMap;
use std::fs::{self, FileType};
use std::io;
use std::path::{Component, Path, PathBuf};

/// Endings that make a file in the tasks directory no task file, as in Puppet.
const NOT_TASKS: [&str; 2] = [".conf", ".md"];

/// A module on disk.
#[derive(Debug)]
pub(super) struct Module {
    name: String,
    /// Free of symbolic links, so that paths can be compared with it.
    root: PathBuf,
}

/// The module of this name in the first directory that has it.
pub(super) fn find(module_path: &[PathBuf], name: &str) -> Option<Module> {
    if !is_name(name) {
        return None;
    }
    module_path.iter().find_map(|directory| open(directory, name))
}

/// All modules by name; of several with one name the first of the path counts.
pub(super) fn all(module_path: &[PathBuf]) -> Result<BTreeMap<String, Module>, (PathBuf, io::Error)> {
    let mut modules = BTreeMap::new();
    for directory in module_path {
        for name in names(directory).map_err(|error| (directory.clone(), error))? {
            if !modules.contains_key(&name)
                && let Some(module) = open(directory, &name)
            {
                modules.insert(name, module);
            }
        }
    }
    Ok(modules)
}

/// The names in one directory; a directory that does not exist has none, as in Puppet.
fn names(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string().ok().filter(|name| is_name(name)));
    }
    Ok(names)
}

fn open(directory: &Path, name: &str) -> Option<Module> {
    let root = directory.join(name).canonicalize().ok()?;
    root.is_dir().then(|| Module { name: name.to_owned(), root })
}

impl Module {
    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where its tasks are.
    pub(super) fn tasks_directory(&self) -> PathBuf {
        self.root.join("tasks")
    }

    /// Where its plans are.
    pub(super) fn plans_directory(&self) -> PathBuf {
        self.root.join("plans")
    }

    /// The names of all files in the tasks directory that belong to tasks, sorted.
    pub(super) fn task_entries(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.tasks_directory()) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if is_task_entry(&name) && may_be_file(entry.file_type()?, &entry.path()) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// The real path of a regular file below the module's directory. Refuses what lies outside, also through links;
    /// the error is for a sentence that begins with the file's name.
    pub(super) fn inside(&self, relative: impl AsRef<Path>) -> Result<PathBuf, String> {
        let real = self.real(relative.as_ref())?;
        if real.is_file() { Ok(real) } else { Err("is not a regular file".to_owned()) }
    }

    /// As [`Module::inside`], for a directory.
    pub(super) fn directory_inside(&self, relative: impl AsRef<Path>) -> Result<PathBuf, String> {
        let real = self.real(relative.as_ref())?;
        if real.is_dir() { Ok(real) } else { Err("is not a directory".to_owned()) }
    }

    fn real(&self, relative: &Path) -> Result<PathBuf, String> {
        if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err("is not a plain path".to_owned());
        }
        let real = self.root.join(relative).canonicalize().map_err(|error| format!("cannot be read: {error}"))?;
        if real.starts_with(&self.root) { Ok(real) } else { Err("leaves its module through a link".to_owned()) }
    }
}

/// A file name without its last ending.
pub(super) fn stem(entry: &str) -> &str {
    match entry.rfind('.') {
        Some(0) | None => entry,
        Some(dot) => &entry[..dot],
    }
}

/// Whether a text is a lower-case name, of a module or of a task.
pub(super) fn is_name(text: &str) -> bool {
    text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Puppet's rule for file names, but that backups of editors are left out.
fn is_task_entry(name: &str) -> bool {
    is_name(stem(name)) && !name.ends_with('~') && !NOT_TASKS.iter().any(|ending| name.ends_with(ending))
}

/// A link that leads nowhere stays in the list: the task is broken, not missing.
fn may_be_file(kind: FileType, path: &Path) -> bool {
    kind.is_file() || (kind.is_symlink() && !path.is_dir())
}
