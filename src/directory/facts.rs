//! Facts of nodes from files: `<certname>.yaml` or `.json`, as puppetserver keeps them below its `yaml/facts` (or
//! `server_data/facts`) when there is no PuppetDB, or plain ones of one's own.
//!
//! Only the facts that some group's rule looks at are kept in memory; a file is read again when it looks different, also
//! one that could not be used.

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
/// Of one node: many times what facter and all of a site's own facts come to.
const MAX_YAML_NODES: usize = 100_000;
const MAX_YAML_SCALARS: usize = 16 * 1024 * 1024;
/// Ruby writes a text that stands in several places once.
const MAX_ALIASES: usize = 1_000;

/// What a file looks like from outside: inode, length, time of change.
type Look = (u64, u64, i64, i64);

/// The facts of one node that rules look at.
pub(super) type NodeFacts = BTreeMap<FactPath, String>;

/// A directory of facts.
#[derive(Debug)]
pub(super) struct FactFiles {
    directory: Option<PathBuf>,
    read: Mutex<Reading>,
    /// What was wrong at the last reading. Beside it, for whoever asks must not wait for the disk.
    trouble: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
struct Reading {
    wanted: BTreeSet<FactPath>,
    nodes: BTreeMap<CertName, Known>,
}

/// What is known of a node's file.
#[derive(Debug, Clone)]
struct Known {
    /// As it was read; none of one that another reading may find otherwise, though it looks the same.
    look: Option<Look>,
    /// What it said when it could be used last.
    facts: Option<Arc<NodeFacts>>,
    problem: Option<String>,
}

/// Why a file cannot be used.
#[derive(Debug)]
enum Unusable {
    /// Another time it may be.
    Now(String),
    /// Not before it changes.
    AsItIs(String),
}

impl FactFiles {
    pub(super) fn new(directory: Option<PathBuf>) -> Self {
        Self { directory, read: Mutex::default(), trouble: Mutex::default() }
    }

    /// The facts of all nodes that have a file, of those that are wanted. Reads what has changed; blocks on the disk.
    pub(super) fn all(&self, wanted: &BTreeSet<FactPath>) -> BTreeMap<CertName, Arc<NodeFacts>> {
        let Some(directory) = &self.directory else { return BTreeMap::new() };
        let mut reading = self.read.lock();
        if reading.wanted != *wanted {
            *reading = Reading { wanted: wanted.clone(), ..Reading::default() };
        }
        let trouble = reading.reread(directory);
        let mut before = self.trouble.lock();
        if trouble.is_some() && trouble != *before {
            tracing::warn!(trouble, "files of facts cannot be used");
        }
        *before = trouble;
        let known = reading.nodes.iter().filter_map(|(name, known)| Some((name.clone(), known.facts.clone()?)));
        known.collect()
    }

    /// What was wrong at the last reading.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Whether there is a directory of facts.
    pub(super) fn is_configured(&self) -> bool {
        self.directory.is_some()
    }
}

impl Reading {
    /// Reads what looks different, and says what is wrong.
    fn reread(&mut self, directory: &Path) -> Option<String> {
        let files = match list(directory) {
            Ok(files) => files,
            // What was read before stays.
            Err(error) => return Some(format!("cannot read the directory {}: {error}", directory.display())),
        };
        let mut before = std::mem::take(&mut self.nodes);
        for (name, (path, look)) in files {
            let known = before.remove(&name);
            let known = match known {
                Some(known) if known.look == Some(look) => known,
                other => self.fresh(&path, look, other.and_then(|known| known.facts)),
            };
            self.nodes.insert(name, known);
        }
        let mut problems = self.nodes.values().filter_map(|known| known.problem.as_ref());
        let first = problems.next()?.clone();
        Some(match problems.count() {
            0 => first,
            more => format!("{first}; and {more} more"),
        })
    }

    /// What a file says now, or what it said before.
    fn fresh(&self, path: &Path, look: Look, before: Option<Arc<NodeFacts>>) -> Known {
        let told = |problem| Some(format!("{}: {problem}", path.display()));
        match read(path) {
            Ok(facts) => {
                let found = self.wanted.iter().filter_map(|fact| Some((fact.clone(), fact.find(&facts)?)));
                Known { look: Some(look), facts: Some(Arc::new(found.collect())), problem: None }
            }
            // One that is just being written will look different when it is whole.
            Err(Unusable::AsItIs(problem)) => Known { look: Some(look), facts: before, problem: told(problem) },
            Err(Unusable::Now(problem)) => Known { look: None, facts: before, problem: told(problem) },
        }
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
        let look = (found.ino(), found.len(), found.ctime(), found.ctime_nsec());
        files.insert(name, (path, look));
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Value, Unusable> {
    let unreadable = |error| Unusable::Now(format!("cannot be read: {error}"));
    let found = fs::metadata(path).map_err(unreadable)?;
    // To open a pipe is to wait for whoever writes to it.
    if !found.is_file() {
        return Err(Unusable::AsItIs("is no plain file".to_owned()));
    }
    if found.len() > MAX_FILE_BYTES {
        return Err(Unusable::AsItIs(format!("is larger than {MAX_FILE_BYTES} bytes")));
    }
    let text = fs::read(path).map_err(unreadable)?;
    let is_json = path.extension().is_some_and(|ending| ending == "json");
    facts_of(&text, is_json).map_err(Unusable::AsItIs)
}

fn facts_of(text: &[u8], is_json: bool) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|error| format!("is not UTF-8 text: {error}"))?;
    let value: Value = if is_json {
        serde_json::from_str(text).map_err(|error| error.to_string())?
    } else {
        let budget = serde_saphyr::budget! {
            max_nodes: MAX_YAML_NODES,
            max_aliases: MAX_ALIASES,
            max_total_scalar_bytes: MAX_YAML_SCALARS,
        };
        let aliases = serde_saphyr::alias_limits! { max_total_replayed_events: MAX_YAML_NODES };
        let options = serde_saphyr::options! {
            with_snippet: false, strict_booleans: true, budget: budget, alias_limits: aliases,
        };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())?
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

    #[test]
    fn a_bad_file_is_read_again_only_when_it_changes_and_asking_for_trouble_waits_for_no_reading() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let family = wanted(&[&["os", "family"]]);
        let files = FactFiles::new(Some(directory.path().to_owned()));
        fs::write(file("bad.yaml"), "a: [").unwrap();
        assert_eq!(texts(&files, &family), []);
        // Had it been parsed anew, it would say the same as before.
        let name = CertName::parse("bad").unwrap();
        files.read.lock().nodes.get_mut(&name).unwrap().problem = Some("as remembered".to_owned());
        assert_eq!(texts(&files, &family), []);
        assert_eq!(files.trouble().as_deref(), Some("as remembered"));
        {
            let _reading = files.read.lock();
            assert_eq!(files.trouble().as_deref(), Some("as remembered"));
        }
        fs::write(file("bad.yaml"), "os: { family: RedHat }").unwrap();
        assert_eq!(texts(&files, &family).len(), 1);
        assert_eq!(files.trouble(), None);
    }

    #[test]
    fn what_is_no_plain_file_is_trouble_and_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let (mode, kind) = (rustix::fs::Mode::RUSR, rustix::fs::FileType::Fifo);
        rustix::fs::mknodat(rustix::fs::CWD, directory.path().join("web1.yaml"), kind, mode, 0).unwrap();
        fs::create_dir(directory.path().join("web2.json")).unwrap();
        let files = FactFiles::new(Some(directory.path().to_owned()));
        assert_eq!(texts(&files, &wanted(&[&["os"]])), []);
        let trouble = files.trouble().unwrap();
        assert!(trouble.contains("web1.yaml: is no plain file; and 1 more"), "{trouble}");
    }

    #[test]
    fn a_small_file_cannot_become_large_facts() {
        let few = "a: &a x\nb: [*a, *a]\n";
        assert_eq!(facts_of(few.as_bytes(), false).unwrap(), json!({ "a": "x", "b": ["x", "x"] }));
        let nodes = format!("a: [{}]", "1,".repeat(MAX_YAML_NODES));
        let list = |times| format!("a: &a [{}]\nb: [{}]\n", "1,".repeat(2_000), "*a,".repeat(times));
        let text = |times| format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a,".repeat(times));
        for text in [list(3), text(3)] {
            assert!(facts_of(text.as_bytes(), false).is_ok(), "{}", &text[..20]);
        }
        let (list, text) = (list(90), text(90));
        let aliases = format!("a: &a x\nb: [{}]\n", "*a,".repeat(MAX_ALIASES + 1));
        for (case, text) in [("nodes", nodes), ("list", list), ("text", text), ("aliases", aliases)] {
            assert!(facts_of(text.as_bytes(), false).is_err(), "{case}");
        }
    }
}
