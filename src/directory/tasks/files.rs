//! The files of a task: its executable or implementations, and the shared files that its metadata names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bunraku_actors::model::TaskName;

use super::TaskError;
use super::metadata::Metadata;
use super::module::{self, Module};

/// Parts of a module that shared files may come from, with the mount under which each is served.
const MOUNTS: [(&str, &str); 4] =
    [("files", "modules"), ("lib", "plugins"), ("scripts", "scripts"), ("tasks", "tasks")];
/// The most files of one task.
const MAX_FILES: usize = 10_000;
/// The deepest directory below one that metadata names.
const MAX_DEPTH: usize = 32;

/// A file that a task needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// As metadata and implementations name it.
    pub(super) filename: String,
    /// The path under which agents ask for it.
    pub(super) uri_path: String,
    /// Where it is now.
    pub(super) source: PathBuf,
}

/// The executables: all implementations where the metadata names some, else the only file of the task's name.
pub(super) fn executables(
    module: &Module,
    entries: &[String],
    stem: &str,
    metadata: Option<&Metadata>,
) -> Result<Vec<Wanted>, TaskError> {
    let candidates = || entries.iter().filter(|entry| !entry.ends_with(".json"));
    let Some(implementations) = metadata.and_then(|metadata| metadata.implementations.as_ref()) else {
        let own: Vec<&String> = candidates().filter(|entry| module::stem(entry) == stem).collect();
        return match own.as_slice() {
            [] => Err(TaskError::NoExecutable),
            [only] => Ok(vec![executable(module, only)?]),
            several => Err(TaskError::SeveralExecutables(several.iter().map(|&entry| entry.clone()).collect())),
        };
    };
    let mut wanted: Vec<Wanted> = Vec::with_capacity(implementations.len());
    for name in implementations {
        if !candidates().any(|entry| entry == name) {
            return Err(TaskError::MissingImplementation(name.clone()));
        }
        if !wanted.iter().any(|known| known.filename == *name) {
            wanted.push(executable(module, name)?);
        }
    }
    Ok(wanted)
}

fn executable(module: &Module, entry: &str) -> Result<Wanted, TaskError> {
    let source = module.inside(Path::new("tasks").join(entry)).map_err(|problem| TaskError::file(entry, problem))?;
    let uri_path = uri_path("tasks", module.name(), entry);
    Ok(Wanted { filename: entry.to_owned(), uri_path, source })
}

/// Adds the shared files, each once.
pub(super) fn add_shared(
    module_path: &[PathBuf],
    own: &Module,
    metadata: &Metadata,
    wanted: &mut Vec<Wanted>,
) -> Result<(), TaskError> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    for name in &metadata.shared {
        let other;
        let (module_name, rest) = name.split_once('/').unwrap_or((name, ""));
        let module = if module_name == own.name() {
            own
        } else {
            other = module::find(module_path, module_name)
                .ok_or_else(|| TaskError::file(name, format!("is of the module '{module_name}', which is missing")))?;
            &other
        };
        for file in shared(module, name, rest)? {
            if names.insert(file.filename.clone()) {
                wanted.push(file);
            }
        }
        if wanted.len() > MAX_FILES {
            return Err(TaskError::file(name, format!("is one of more than {MAX_FILES} files")));
        }
    }
    Ok(())
}

/// The files that one entry of `files` stands for. `rest` is the entry without its module.
fn shared(module: &Module, name: &str, rest: &str) -> Result<Vec<Wanted>, TaskError> {
    let refuse = |problem: String| TaskError::file(name, problem);
    let (folder, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mount = MOUNTS
        .iter()
        .find(|(known, _)| *known == folder)
        .map(|(_, mount)| *mount)
        .ok_or_else(|| refuse("must begin with a module and one of files, lib, scripts, tasks".to_owned()))?;
    // What agents unpack must be spelled in one way only.
    if path.strip_suffix('/').unwrap_or(path).split('/').any(|part| matches!(part, "." | "..")) || path.contains("//") {
        return Err(refuse("is not a plain path".to_owned()));
    }
    if !name.ends_with('/') {
        let source = module.inside(Path::new(folder).join(path)).map_err(refuse)?;
        return Ok(vec![shared_file(module, folder, mount, path, source)]);
    }
    let top = module.directory_inside(Path::new(folder).join(path.trim_end_matches('/'))).map_err(refuse)?;
    let mut below = Vec::new();
    walk(&top, Path::new(""), 0, &mut below).map_err(refuse)?;
    below.sort();
    below
        .into_iter()
        .map(|relative| {
            let path = format!("{path}{relative}");
            let source = module
                .inside(Path::new(folder).join(&path))
                .map_err(|problem| TaskError::file(format!("{}/{folder}/{path}", module.name()), problem))?;
            Ok(shared_file(module, folder, mount, &path, source))
        })
        .collect()
}

fn shared_file(module: &Module, folder: &str, mount: &str, path: &str, source: PathBuf) -> Wanted {
    Wanted {
        filename: format!("{}/{folder}/{path}", module.name()),
        uri_path: uri_path(mount, module.name(), path),
        source,
    }
}

/// Collects all files below a directory, hidden ones left out; links to directories are not followed, as in Puppet.
fn walk(top: &Path, relative: &Path, depth: usize, found: &mut Vec<String>) -> Result<(), String> {
    if depth > MAX_DEPTH || found.len() > MAX_FILES {
        return Err(format!("has more than {MAX_FILES} files or {MAX_DEPTH} levels below it"));
    }
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    for entry in fs::read_dir(top.join(relative)).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().into_string().map_err(|_| "has a file below it whose name is not UTF-8")?;
        let kind = entry.file_type().map_err(unreadable)?;
        let path = relative.join(&name);
        if name.starts_with('.') || (kind.is_symlink() && entry.path().is_dir()) {
            continue;
        }
        if kind.is_dir() {
            walk(top, &path, depth + 1, found)?;
        } else {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// The path under which the service has the file of a task that puppetserver names so: an executable by its name alone,
/// shared ones with their module. `None` for what is no plain path.
pub(in crate::directory) fn served_path(task: &TaskName, filename: &str) -> Option<String> {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']);
    if !filename.split('/').all(plain) {
        return None;
    }
    let Some((module, rest)) = filename.split_once('/') else {
        return Some(uri_path("tasks", task.parts().0, filename));
    };
    let (folder, path) = rest.split_once('/')?;
    let mount = MOUNTS.iter().find(|(known, _)| *known == folder)?.1;
    Some(uri_path(mount, module, path))
}

/// The path under which the service has a file, named after the mounts of Puppet's file server; other than there, every
/// mount has the module's name, so that files of different modules never share a path. Agents send it as it is, so what
/// is special in a URL is encoded here.
fn uri_path(mount: &str, module: &str, path: &str) -> String {
    let mut uri = format!("/puppet/v3/file_content/{mount}");
    for part in std::iter::once(module).chain(path.split('/')) {
        uri.push('/');
        for byte in part.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                uri.push(char::from(byte));
            } else {
                uri.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    uri
}
