//! Where the files of a task lie when it runs: a single file in the cache, several in a directory of the run's own.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::download::Fetched;
use super::select::Chosen;
use crate::agent::files::make_directory;

/// The executable, and the directory that the task is told of.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) executable: PathBuf,
    pub(super) install_directory: Option<PathBuf>,
}

/// Places the fetched files for a run; the first one is the executable.
pub(super) fn place(directory: &Path, task: &str, chosen: &Chosen, files: &[Fetched]) -> io::Result<Placed> {
    let (executable, beside) = files.split_first().ok_or(io::ErrorKind::NotFound)?;
    if chosen.beside.is_empty() {
        return Ok(Placed { executable: executable.path.clone(), install_directory: None });
    }
    let root = directory.join("task");
    for file in beside {
        copy(&file.path, &root.join(&file.name))?;
    }
    let module = task.split("::").next().unwrap_or(task);
    let name = Path::new(&executable.name).file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let target = root.join(module).join("tasks").join(name);
    copy(&executable.path, &target)?;
    Ok(Placed { executable: target, install_directory: Some(root) })
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    to.parent().map_or(Ok(()), make_directory)?;
    fs::copy(from, to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o750))
}
