//! Facts of nodes from files: `<certname>.yaml` or `.json`, as puppetserver keeps them below its `yaml/facts` (or
//! `server_data/facts`) when there is no PuppetDB, or plain ones of one's own.
//!
//! Only the facts that some group's rule looks at are kept in memory; a file is read again when it looks different.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bunraku_actors::model::CertName;
use parking_lot::Mutex;
use serde_json::Value;

use super::groups::FactPath;

/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
const MAX_YAML_NODES: usize = 1_000_000;

/// What a file looks like from outside: inode, length, time of change.
type Look = (u64, u64, i64, i64);

/// The facts of one node that rules look at.
pub(super) type NodeFacts = BTreeMap<FactPath, String>;

/// A directory of facts.
#[derive(Debug)]
pub(super) struct FactFiles {
    directory: Option<PathBuf>,
    read: Mutex<Reading>,
}

#[derive(Debug, Default)]
struct Reading {
    wanted: BTreeSet<FactPath>,
    nodes: BTreeMap<CertName, (Look, Arc<NodeFacts>)>,
    trouble: Option<String>,
}

impl FactFiles {
    pub(super) fn new(directory: Option<PathBuf>) -> Self {
        Self { directory, read: Mutex::default() }
    }

    /// The facts of all nodes that have a file, of those that are wanted. Reads what has changed; blocks on the disk.
    pub(super) fn all(&self, wanted: &BTreeSet<FactPath>) -> BTreeMap<CertName, Arc<NodeFacts>> {
        let Some(directory) = &self.directory else { return BTreeMap::new() };
        let mut reading = self.read.lock();
        if reading.wanted != *wanted {
            *reading = Reading { wanted: wanted.clone(), ..Reading::default() };
        }
        reading.reread(directory);
        reading.nodes.iter().map(|(name, (_, facts))| (name.clone(), Arc::clone(facts))).collect()
    }

    /// What was wrong at the last reading.
    pub(super) fn trouble(&self) -> Option<String> {
        self.read.lock().trouble.clone()
    }

    /// Whether there is a directory of facts.
    pub(super) fn is_configured(&self) -> bool {
        self.directory.is_some()
    }
}

impl Reading {
    fn reread(&mut self, directory: &Path) {
        let files = match list(directory) {
            Ok(files) => files,
            Err(error) => {
                // What was read before stays.
                self.trouble = Some(format!("cannot read the directory {}: {error}", directory.display()));
                return;
            }
        };
        let mut troubles = Vec::new();
        let mut before = std::mem::take(&mut self.nodes);
        for (name, (path, look)) in files {
            let known = before.remove(&name);
            if let Some(known) = known.as_ref().filter(|(seen, _)| *seen == look) {
                self.nodes.insert(name, known.clone());
                continue;
            }
            match read(&path) {
                Ok(facts) => {
                    let found = self.wanted.iter().filter_map(|fact| Some((fact.clone(), fact.find(&facts)?)));
                    self.nodes.insert(name, (look, Arc::new(found.collect())));
                }
                Err(problem) => {
                    troubles.push(format!("{}: {problem}", path.display()));
                    // Looked at again next time: it may just be being written.
                    if let Some((_, facts)) = known {
                        self.nodes.insert(name, ((0, 0, 0, 0), facts));
                    }
                }
            }
        }
        let shown = troubles.first().map(|first| match troubles.len() {
            1 => first.clone(),
            many => format!("{first}; and {} more", many - 1),
        });
        if shown.is_some() && shown != self.trouble {
            tracing::warn!(trouble = shown, "files of facts cannot be used");
        }
        self.trouble = shown;
    }
}

fn list(directory: &Path) -> io::Result<BTreeMap<CertName, (PathBuf, Look)>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let Some(file) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let stem = file.strip_suffix(".yaml").or_else(|| file.strip_suffix(".json"));
        let Some(name) = stem.filter(|stem| !stem.starts_with('.')).and_then(|stem| CertName::parse(stem).ok()) else {
            continue;
        };
        let Ok(found) = fs::metadata(&path) else { continue };
        if found.is_file() {
            let look = (found.ino(), found.len(), found.ctime(), found.ctime_nsec());
            files.insert(name, (path, look));
        }
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Value, String> {
    let unreadable = |error| format!("cannot be read: {error}");
    if fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE_BYTES {
        return Err(format!("is larger than {MAX_FILE_BYTES} bytes"));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let value: Value = if path.extension().is_some_and(|ending| ending == "json") {
        serde_json::from_str(&text).map_err(|error| error.to_string())?
    } else {
        let budget = serde_saphyr::budget! { max_nodes: MAX_YAML_NODES };
        let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true, budget: budget };
        serde_saphyr::from_str_with_options(&text, options).map_err(|error| error.to_string())?
    };
    // As Puppet writes it, the facts stand below `values`, beside the node's name.
    let facts = match value {
        Value::Object(mut entries) => match entries.remove("values") {
            Some(Value::Object(values)) if entries.contains_key("name") => Value::Object(values),
            Some(values) => {
                entries.insert("values".to_owned(), values);
                Value::Object(entries)
            }
            None => Value::Object(entries),
        },
        _ => return Err("is no map of facts".to_owned()),
    };
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::groups::Rule;
    use super::*;

    fn wanted(paths: &[&[&str]]) -> BTreeSet<FactPath> {
        let mut facts = BTreeSet::new();
        for path in paths {
            let path: Vec<&str> = std::iter::once("fact").chain(path.iter().copied()).collect();
            Rule::parse(&json!(["=", path, "x"])).unwrap().add_facts(&mut facts);
        }
        facts
    }

    fn texts(files: &FactFiles, wanted: &BTreeSet<FactPath>) -> Vec<(String, Vec<String>)> {
        let all = files.all(wanted);
        all.into_iter().map(|(name, facts)| (name.to_string(), facts.values().cloned().collect())).collect()
    }

    #[test]
    fn facts_are_read_as_puppet_writes_them_and_again_when_they_change() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        fs::write(
            file("web1.yaml"),
            "--- !ruby/object:Puppet::Node::Facts\nname: web1\nvalues:\n  os:\n    family: RedHat\n  \
             processorcount: 4\ntimestamp: 2026-11-27 05:00:00.000000000 +00:00\nexpiration: 2026-11-27 06:00:00.000000000 Z\n",
        )
        .unwrap();
        fs::write(file("db1.json"), r#"{"name": "db1", "values": {"os": {"family": "Debian"}}}"#).unwrap();
        fs::write(file("own.json"), r#"{"os": {"family": "SUSE"}, "values": 3}"#).unwrap();
        fs::write(file("broken.yaml"), "a: [").unwrap();
        fs::write(file("notes.txt"), "x").unwrap();
        let files = FactFiles::new(Some(directory.path().to_owned()));
        let family = wanted(&[&["os", "family"]]);
        let row = |name: &str, texts: &[&str]| (name.to_owned(), texts.iter().map(|text| (*text).to_owned()).collect());
        let first = [row("db1", &["Debian"]), row("own", &["SUSE"]), row("web1", &["RedHat"])];
        assert_eq!(texts(&files, &family), first);
        assert!(files.trouble().unwrap().contains("broken.yaml"));
        let both = wanted(&[&["os", "family"], &["processorcount"]]);
        assert_eq!(texts(&files, &both)[2], row("web1", &["RedHat", "4"]), "what rules look at may change");
        fs::write(file("db1.json"), r#"{"os": {"family": "Ubuntu"}}"#).unwrap();
        fs::remove_file(file("own.json")).unwrap();
        fs::remove_file(file("broken.yaml")).unwrap();
        assert_eq!(texts(&files, &family), [row("db1", &["Ubuntu"]), row("web1", &["RedHat"])]);
        assert_eq!(files.trouble(), None);
        fs::write(file("db1.json"), "{").unwrap();
        assert_eq!(texts(&files, &family)[0], row("db1", &["Ubuntu"]), "what was known stays");
        fs::remove_dir_all(directory.path()).unwrap();
        assert_eq!(texts(&files, &family).len(), 2);
        assert!(files.trouble().unwrap().contains("cannot read the directory"));
    }
}
