//! An environment file: YAML text in, a checked [`Environment`] out.
//!
//! Pure: it reads no file and resolves no module. Dependency cycles are not refused here, since whether they matter
//! depends on the part of the environment that a job selects; the engine decides that.

mod check;
mod order;
mod sections;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bunraku_actors::model::EnvironmentName;
use bunraku_actors::ports::{Environment, EnvironmentSettings};

use self::sections::Document;

/// The largest environment file that is read: room for 100,000 nodes with an application component each.
pub(super) const MAX_FILE_BYTES: u64 = 32 * 1024 * 1024;
/// The most YAML nodes (scalars, lists, mappings) of one file.
const MAX_YAML_NODES: usize = 4_000_000;
/// The deepest nesting; the format itself needs seven levels.
const MAX_YAML_DEPTH: usize = 16;
/// The entry of `modulepath` that stands for the server's own module path, as in Puppet's `environment.conf`.
const BASE_MODULE_PATH: &str = "$basemodulepath";
/// What stands for the environment's name in a module path, as in Puppet's own settings.
const ENVIRONMENT_VARIABLE: &str = "$environment";

/// Why an environment file was refused: where it stands and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {key}: {problem}", file.display())]
pub(super) struct DocumentError {
    pub(super) file: PathBuf,
    /// 0 when the whole file is meant.
    pub(super) line: u64,
    /// The path of the key, or the text of the line where the YAML itself is wrong.
    pub(super) key: String,
    pub(super) problem: String,
}

/// A checked environment file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Loaded {
    pub(super) environment: Arc<Environment>,
    /// Where its modules are looked for, in this order.
    pub(super) module_path: Vec<PathBuf>,
    /// Whether the file itself says so.
    pub(super) names_modules: bool,
    /// Allowed, but probably a mistake.
    pub(super) warnings: Vec<String>,
}

/// Parses and checks the text of the environment file `file`. `base` is the server's module path; relative entries of
/// the file's own `modulepath` start at the file's directory.
pub(super) fn parse(
    file: &Path,
    name: &EnvironmentName,
    text: &str,
    base: &[PathBuf],
) -> Result<Loaded, DocumentError> {
    let document = deserialize(file, text)?;
    let checker = check::Checker::new(file);
    let nodes = checker.nodes(&document.nodes)?;
    let found = checker.applications(document.applications)?;
    let order = checker.order(&document.order)?;
    let module_path = match &document.modulepath {
        None => base.iter().map(|entry| expand(entry, name)).collect(),
        Some(entries) => checker.module_path(entries, name, base)?,
    };
    let settings = EnvironmentSettings {
        modulepath: module_path.iter().map(|path| path.display().to_string()).collect(),
        manifest: document.manifest.unwrap_or_default(),
        environment_timeout: document.settings.environment_timeout,
        config_version: document.settings.config_version,
    };
    let (applications, instances) = (found.types, found.instances);
    let environment = Environment { name: name.clone(), settings, applications, instances, nodes, order };
    let names_modules = document.modulepath.is_some();
    Ok(Loaded { environment: Arc::new(environment), module_path, names_modules, warnings: found.warnings })
}

/// Replaces `$environment` in a module path.
fn expand(entry: &Path, name: &EnvironmentName) -> PathBuf {
    PathBuf::from(entry.to_string_lossy().replace(ENVIRONMENT_VARIABLE, name.as_str()))
}

fn deserialize(file: &Path, text: &str) -> Result<Document, DocumentError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 3 * MAX_YAML_NODES,
            max_nodes: MAX_YAML_NODES,
            max_depth: MAX_YAML_DEPTH,
            max_documents: 1,
        },
        with_snippet: false,
    };
    // A file of comments alone is an environment without nodes.
    let parsed: Result<Option<Document>, _> = serde_saphyr::from_str_with_options(text, options);
    parsed.map(Option::unwrap_or_default).map_err(|error| {
        let line = error.location().map_or(0, |location| location.line());
        DocumentError { file: file.to_owned(), line, key: line_text(text, line), problem: one_line(&error) }
    })
}

/// The text of a line, shortened; it shows the key that the parser stumbled on.
fn line_text(text: &str, line: u64) -> String {
    let index = usize::try_from(line).unwrap_or(usize::MAX).wrapping_sub(1);
    let shown: String = text.lines().nth(index).unwrap_or("file").trim().chars().take(80).collect();
    if shown.is_empty() { "file".to_owned() } else { shown }
}

fn one_line(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    text.lines().next().unwrap_or("it is not valid YAML").to_owned()
}
