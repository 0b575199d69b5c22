//! One reading of the environments directory: what is there, and what is wrong with it.
//!
//! A file that cannot be used keeps the version which was read last, for as long as the file is there. Nothing here
//! waits or watches; `watch` decides when to read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bunraku_actors::model::EnvironmentName;
use sha2::{Digest as _, Sha256};
use tracing::{info, warn};

use super::document::{self, Loaded, MAX_FILE_BYTES};

/// The ending of environment files.
const EXTENSION: &str = "yaml";

/// An environment file as it was read.
#[derive(Debug, Clone)]
struct Source {
    /// Of the content that was read last, good or not; unknown when it could not be read.
    digest: Option<[u8; 32]>,
    /// The last good version.
    good: Option<Loaded>,
    /// Why the present content is not used.
    trouble: Option<String>,
}

/// The environments as of one moment. Readers keep it as long as they like.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    sources: BTreeMap<EnvironmentName, Source>,
    /// What cannot be an environment file, by path.
    strangers: BTreeMap<PathBuf, String>,
    /// Why the directory itself could not be read.
    trouble: Option<String>,
    /// Whether the directory was ever read.
    read_once: bool,
}

impl Snapshot {
    /// Reads the directory again. Files with the same content are not parsed again.
    pub(super) fn reread(&self, directory: &Path, module_path: &[PathBuf]) -> Self {
        match list(directory) {
            Ok(found) => self.with(found, module_path),
            Err(error) => {
                let trouble = format!("cannot read the directory {}: {error}", directory.display());
                if self.trouble.as_deref() != Some(&trouble) {
                    warn!(%trouble, "environments cannot be read; what was read before stays");
                }
                Self { trouble: Some(trouble), ..self.clone() }
            }
        }
    }

    fn with(&self, found: Found, module_path: &[PathBuf]) -> Self {
        for (path, problem) in &found.strangers {
            if self.strangers.get(path) != Some(problem) {
                warn!(file = %path.display(), %problem, "not an environment file");
            }
        }
        for gone in self.sources.keys().filter(|name| !found.files.contains_key(*name)) {
            info!(environment = %gone, "the environment's file is gone");
        }
        let sources = found
            .files
            .into_iter()
            .map(|(name, path)| {
                let source = reread_file(&path, &name, self.sources.get(&name), module_path);
                (name, source)
            })
            .collect();
        Self { sources, strangers: found.strangers, trouble: None, read_once: true }
    }

    /// Whether nothing can be said, since the directory has never been readable.
    pub(super) fn unreadable(&self) -> Option<&str> {
        if self.read_once { None } else { Some(self.trouble.as_deref().unwrap_or("the environments are not read yet")) }
    }

    /// Whether the environment has a file, good or not.
    pub(super) fn knows(&self, name: &EnvironmentName) -> bool {
        self.sources.contains_key(name)
    }

    /// What is wrong with an environment that has a file, but no good version of it.
    pub(super) fn broken(&self, name: &EnvironmentName) -> Option<&str> {
        let source = self.sources.get(name).filter(|source| source.good.is_none())?;
        Some(source.trouble.as_deref().unwrap_or("its file cannot be read"))
    }

    /// The last good version of an environment.
    pub(super) fn get(&self, name: &EnvironmentName) -> Option<&Loaded> {
        self.sources.get(name)?.good.as_ref()
    }

    /// Every environment of which there is a good version, by name.
    pub(super) fn all(&self) -> impl Iterator<Item = &Loaded> {
        self.sources.values().filter_map(|source| source.good.as_ref())
    }

    /// Everything that is wrong, or `None`.
    pub(super) fn trouble(&self) -> Option<String> {
        let files = self.sources.values().filter_map(|source| source.trouble.clone());
        let strangers = self.strangers.iter().map(|(path, problem)| format!("{}: {problem}", path.display()));
        let all: Vec<String> = self.trouble.iter().cloned().chain(files).chain(strangers).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// Where the file of an environment is.
pub(super) fn file_of(directory: &Path, name: &EnvironmentName) -> PathBuf {
    directory.join(format!("{name}.{EXTENSION}"))
}

/// The directory's entries, sorted out.
#[derive(Debug, Default)]
struct Found {
    files: BTreeMap<EnvironmentName, PathBuf>,
    strangers: BTreeMap<PathBuf, String>,
}

fn list(directory: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    let mut entries = BTreeSet::new();
    for entry in fs::read_dir(directory)? {
        entries.insert(entry?.path());
    }
    for path in entries {
        let Some(file_name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        // Editors leave hidden files and backups behind; only *.yaml is ours.
        if file_name.starts_with('.') || path.extension().is_none_or(|extension| extension != EXTENSION) {
            continue;
        }
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or(file_name);
        match EnvironmentName::parse(stem) {
            Ok(name) => {
                found.files.insert(name, path);
            }
            Err(error) => {
                found.strangers.insert(path, error.to_string());
            }
        }
    }
    Ok(found)
}

fn reread_file(path: &Path, name: &EnvironmentName, before: Option<&Source>, module_path: &[PathBuf]) -> Source {
    let good = before.and_then(|source| source.good.clone());
    let keep = |digest, trouble: String| {
        if before.and_then(|source| source.trouble.as_ref()) != Some(&trouble) {
            let kept = if good.is_some() { "the last good version stays" } else { "there is no earlier version" };
            warn!(environment = %name, %trouble, "an environment file cannot be used; {kept}");
        }
        Source { digest, good: good.clone(), trouble: Some(trouble) }
    };
    let text = match read(path) {
        Ok(text) => text,
        Err(problem) => return keep(None, format!("{}: {problem}", path.display())),
    };
    let digest: [u8; 32] = Sha256::digest(&text).into();
    if let Some(known) = before.filter(|source| source.digest == Some(digest)) {
        return known.clone();
    }
    match document::parse(path, name, &text, module_path) {
        Err(error) => keep(Some(digest), error.to_string()),
        Ok(loaded) => {
            info!(environment = %name, nodes = loaded.environment.nodes.len(), "environment read");
            for warning in &loaded.warnings {
                warn!(environment = %name, "{warning}");
            }
            Source { digest: Some(digest), good: Some(loaded), trouble: None }
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    let file = fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let kind = file.metadata().map_err(|error| format!("cannot be read: {error}"))?;
    if !kind.is_file() {
        return Err("is not a file".to_owned());
    }
    let mut text = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut text).map_err(|error| format!("cannot be read: {error}"))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("is larger than {MAX_FILE_BYTES} bytes"));
    }
    String::from_utf8(text).map_err(|error| format!("is not UTF-8 text: {error}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    proptest! {
        #[test]
        fn the_file_of_an_environment_is_in_the_directory(
            text in prop_oneof!["[a-z0-9_./\\\\%\0~ -]{0,12}", "[a-z0-9_]{1,12}", any::<String>()],
        ) {
            if let Ok(name) = EnvironmentName::parse(&text) {
                let file = file_of(Path::new("/environments"), &name);
                prop_assert_eq!(file.parent(), Some(Path::new("/environments")));
                let expected = format!("{text}.yaml");
                prop_assert_eq!(file.file_name().and_then(|name| name.to_str()), Some(expected.as_str()));
            }
        }
    }

    fn name(text: &str) -> EnvironmentName {
        EnvironmentName::parse(text).unwrap()
    }

    fn nodes(snapshot: &Snapshot, environment: &str) -> Option<usize> {
        snapshot.get(&name(environment)).map(|loaded| loaded.environment.nodes.len())
    }

    #[test]
    fn a_broken_file_keeps_its_last_good_version_until_it_is_gone() {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("production.yaml");
        fs::write(&file, "nodes: [a, b]\n").unwrap();
        let first = Snapshot::default().reread(directory.path(), &[]);
        assert_eq!((nodes(&first, "production"), first.trouble()), (Some(2), None));

        fs::write(&file, "nodes: [a\n").unwrap();
        let broken = first.reread(directory.path(), &[]).reread(directory.path(), &[]);
        assert_eq!(nodes(&broken, "production"), Some(2));
        assert!(broken.trouble().unwrap().contains("production.yaml:"), "{:?}", broken.trouble());

        fs::write(&file, "nodes: [a]\n").unwrap();
        let repaired = broken.reread(directory.path(), &[]);
        assert_eq!((nodes(&repaired, "production"), repaired.trouble()), (Some(1), None));

        fs::remove_file(&file).unwrap();
        assert_eq!(nodes(&repaired.reread(directory.path(), &[]), "production"), None);
    }

    #[test]
    fn a_file_that_never_was_good_is_no_environment() {
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("production.yaml"), "nodes: {").unwrap();
        let snapshot = Snapshot::default().reread(directory.path(), &[]);
        assert_eq!(snapshot.all().count(), 0);
        assert!(snapshot.trouble().is_some());
        assert_eq!(snapshot.unreadable(), None, "the directory itself was read");
    }

    #[test]
    fn other_files_are_left_alone_and_bad_names_are_named() {
        let directory = TempDir::new().unwrap();
        for file in [".production.yaml", "notes.txt", "production.yaml~", "production.yml", "Bad-Name.yaml"] {
            fs::write(directory.path().join(file), "nodes: [a]\n").unwrap();
        }
        fs::create_dir(directory.path().join("folder.yaml")).unwrap();
        let snapshot = Snapshot::default().reread(directory.path(), &[]);
        assert_eq!(snapshot.all().count(), 0);
        let trouble = snapshot.trouble().unwrap();
        assert!(trouble.contains("Bad-Name") && trouble.contains("folder.yaml: is not a file"), "{trouble}");
        assert!(!trouble.contains("notes") && !trouble.contains(".yml"), "{trouble}");
    }

    #[test]
    fn a_directory_that_goes_away_keeps_what_was_read() {
        let parent = TempDir::new().unwrap();
        let directory = parent.path().join("environments");
        let never = Snapshot::default().reread(&directory, &[]);
        assert!(never.unreadable().unwrap().contains("environments"));

        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("production.yaml"), "nodes: [a]\n").unwrap();
        let read = never.reread(&directory, &[]);
        fs::remove_dir_all(&directory).unwrap();
        let gone = read.reread(&directory, &[]);
        assert_eq!(nodes(&gone, "production"), Some(1));
        assert!(gone.trouble().is_some() && gone.unreadable().is_none());
    }

    #[test]
    fn unchanged_content_is_not_parsed_again() {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("production.yaml");
        fs::write(&file, "nodes: [a]\n").unwrap();
        let first = Snapshot::default().reread(directory.path(), &[]);
        fs::write(&file, "nodes: [a]\n").unwrap();
        let second = first.reread(directory.path(), &[]);
        let environment = |snapshot: &Snapshot| snapshot.get(&name("production")).unwrap().environment.clone();
        assert!(std::sync::Arc::ptr_eq(&environment(&first), &environment(&second)));
    }
}
