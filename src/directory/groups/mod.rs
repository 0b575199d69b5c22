//! Node groups from files: one `*.yaml` per group, with a stable id, a parent and a rule.
//!
//! A node belongs to a group where its rule fits and those of all its ancestors do; an ancestor without a rule is a folder
//! and stands in nobody's way. A file that cannot be used keeps its last good version, for as long as it is there.

mod import;
mod rule;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bunraku_actors::ports::NodeGroup;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

pub use self::import::{ImportError, Imported, import_groups};
pub(super) use self::rule::{FactPath, Rule, text_of};

/// The group that every other one descends from; it has no file.
pub(super) const ROOT: Uuid = Uuid::from_u128(0x4000_8000_0000_0000_0000);
/// The largest file that is read; a group with tens of thousands of pinned nodes.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
const MAX_YAML_NODES: usize = 1_000_000;

/// A group's file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    id: Uuid,
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parent: Option<Uuid>,
    #[serde(default)]
    rule: Option<Value>,
}

/// A group that was understood.
#[derive(Debug, Clone)]
struct Group {
    shown: Arc<NodeGroup>,
    rule: Option<Rule>,
    parent: Uuid,
}

/// One file as it was read.
#[derive(Debug, Clone)]
struct Source {
    text: Vec<u8>,
    good: Option<Group>,
    trouble: Option<String>,
}

/// All groups as of one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Groups {
    sources: BTreeMap<PathBuf, Source>,
    by_id: BTreeMap<Uuid, Group>,
    /// What is wrong beyond single files.
    trouble: Vec<String>,
}

impl Groups {
    /// Reads the directory again. One that is not there has no groups.
    pub(super) fn reread(&self, directory: &Path) -> Self {
        let paths = match files(directory) {
            Ok(paths) => paths,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Self::default(),
            Err(error) => {
                let trouble = format!("cannot read the directory {}: {error}", directory.display());
                return Self { trouble: vec![trouble], ..self.clone() };
            }
        };
        let mut sources = BTreeMap::new();
        for path in paths {
            let source = reread_file(&path, self.sources.get(&path));
            sources.insert(path, source);
        }
        self.then(sources)
    }

    /// What the files say. Of two groups with one id or name, the one stays that had it before; else the first.
    fn then(&self, sources: BTreeMap<PathBuf, Source>) -> Self {
        let mut groups = Self { sources, ..Self::default() };
        let mut names: BTreeMap<&str, Uuid> = BTreeMap::new();
        let mut good: Vec<(&PathBuf, &Group)> =
            groups.sources.iter().filter_map(|(path, source)| Some((path, source.good.as_ref()?))).collect();
        let is_new = |path: &PathBuf| self.sources.get(path).is_none_or(|source| source.good.is_none());
        good.sort_by_key(|(path, _)| is_new(path));
        for (path, group) in good {
            let shown = &group.shown;
            let file = path.display();
            if let Some(other) = groups.by_id.get(&shown.id) {
                let taken = &other.shown.name;
                groups.trouble.push(format!("{file}: id {} is that of the group '{taken}' already", shown.id));
            } else if names.insert(&shown.name, shown.id).is_some() {
                groups.trouble.push(format!("{file}: there is another group named '{}'", shown.name));
            } else {
                groups.by_id.insert(shown.id, group.clone());
            }
        }
        let orphans = |group: &&Group| !groups.ends_at_root(group);
        let lost: Vec<_> = groups.by_id.values().filter(orphans).map(|group| Arc::clone(&group.shown)).collect();
        for group in lost {
            let (name, parent) = (&group.name, group.parent);
            groups.trouble.push(format!(
                "the group '{name}' matches no node: its ancestors do not lead to the root ({parent} is its parent)"
            ));
            groups.by_id.remove(&group.id);
        }
        groups
    }

    /// Whether the parents lead to the root, without going round.
    fn ends_at_root(&self, group: &Group) -> bool {
        let mut seen = BTreeSet::from([group.shown.id]);
        let mut parent = group.parent;
        while parent != ROOT {
            let Some(next) = self.by_id.get(&parent).filter(|_| seen.insert(parent)) else { return false };
            parent = next.parent;
        }
        true
    }

    /// All of them, by name.
    pub(super) fn all(&self) -> Vec<Arc<NodeGroup>> {
        let mut all: Vec<_> = self.by_id.values().map(|group| Arc::clone(&group.shown)).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// One of them, by id or name.
    pub(super) fn find(&self, key: &str) -> Option<&Arc<NodeGroup>> {
        let by_id = Uuid::try_parse(key).ok().and_then(|id| self.by_id.get(&id));
        by_id.or_else(|| self.by_id.values().find(|group| group.shown.name == key)).map(|group| &group.shown)
    }

    /// Whether a node belongs to a group.
    pub(super) fn has(&self, group: Uuid, name: &str, fact: &impl Fn(&FactPath) -> Option<String>) -> bool {
        let Some(mut group) = self.by_id.get(&group) else { return false };
        // A folder has no nodes of its own.
        if group.rule.is_none() {
            return false;
        }
        loop {
            if group.rule.as_ref().is_some_and(|rule| !rule.fits(name, fact)) {
                return false;
            }
            match self.by_id.get(&group.parent) {
                Some(parent) => group = parent,
                None => return true,
            }
        }
    }

    /// Every fact that some rule looks at.
    pub(super) fn facts(&self) -> BTreeSet<FactPath> {
        let mut facts = BTreeSet::new();
        self.by_id.values().filter_map(|group| group.rule.as_ref()).for_each(|rule| rule.add_facts(&mut facts));
        facts
    }

    /// Everything that is wrong, or `None`.
    pub(super) fn trouble(&self) -> Option<String> {
        let files = self.sources.values().filter_map(|source| source.trouble.clone());
        let all: Vec<String> = files.chain(self.trouble.iter().cloned()).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// What should hold a group each, in no order.
fn files(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let is_ours = |path: &PathBuf| {
        let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        !hidden && path.extension().is_some_and(|ending| ending == "yaml")
    };
    let paths = fs::read_dir(directory)?.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths.filter(is_ours).collect())
}

fn reread_file(path: &Path, before: Option<&Source>) -> Source {
    let good = before.and_then(|source| source.good.clone());
    let text = match read(path) {
        Ok(text) => text,
        Err(problem) => {
            return Source { text: Vec::new(), good, trouble: Some(format!("{}: {problem}", path.display())) };
        }
    };
    if let Some(known) = before.filter(|source| source.text == text) {
        return known.clone();
    }
    match parse(&text) {
        Ok(group) => {
            tracing::info!(group = group.shown.name, file = %path.display(), "node group read");
            Source { text, good: Some(group), trouble: None }
        }
        Err(problem) => {
            let trouble = format!("{}: {problem}", path.display());
            tracing::warn!(%trouble, "a node group's file cannot be used; its last good version stays");
            Source { text, good, trouble: Some(trouble) }
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error| format!("cannot be read: {error}");
    // To open a pipe is to wait for whoever writes to it.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("is no plain file".to_owned());
    }
    let file = fs::File::open(path).map_err(unreadable)?;
    let mut text = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE_BYTES { Err(format!("is larger than {MAX_FILE_BYTES} bytes")) } else { Ok(text) }
}

fn parse(text: &[u8]) -> Result<Group, String> {
    let text = std::str::from_utf8(text).map_err(|error| format!("is not UTF-8 text: {error}"))?;
    // What is wrong is shown to whoever asks how the service is: never with the text around it. `n` and `no` are texts.
    let budget = serde_saphyr::budget! { max_nodes: MAX_YAML_NODES };
    let options = serde_saphyr::options! { budget: budget, with_snippet: false, strict_booleans: true };
    let document: Document = serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())?;
    let Document { id, name, description, parent, rule } = document;
    if id == ROOT {
        return Err(format!("id {id} is that of the root, which has no file"));
    }
    if name.trim().is_empty() {
        return Err("name is empty".to_owned());
    }
    let shown_rule = rule.filter(|rule| !rule.is_null());
    let rule = shown_rule.as_ref().map(Rule::parse).transpose().map_err(|problem| format!("rule: {problem}"))?;
    let parent = parent.unwrap_or(ROOT);
    let shown = Arc::new(NodeGroup { id, name, description, parent, rule: shown_rule });
    Ok(Group { shown, rule, parent })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SERVERS: &str = "10000000-0000-4000-8000-000000000001";
    const WEB: &str = "10000000-0000-4000-8000-000000000002";
    const FOLDER: &str = "10000000-0000-4000-8000-000000000003";

    fn write(directory: &Path, name: &str, id: &str, parent: Option<&str>, rule: Value) {
        let parent = parent.map_or(String::new(), |parent| format!("parent: {parent}\n"));
        let text = format!("id: {id}\nname: {name}\n{parent}rule: {rule}\n");
        fs::write(directory.join(format!("{name}.yaml")), text).unwrap();
    }

    fn has(groups: &Groups, group: &str, node: &str) -> bool {
        let facts = json!({ "os": { "family": "RedHat" } });
        groups.has(groups.find(group).unwrap().id, node, &|path| path.find(&facts))
    }

    #[test]
    fn a_child_matches_only_where_its_ancestors_do_and_folders_stand_in_nobodys_way() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        write(directory, "servers", SERVERS, None, json!(["=", ["fact", "os", "family"], "RedHat"]));
        write(directory, "folder", FOLDER, Some(SERVERS), json!(null));
        write(directory, "web", WEB, Some(FOLDER), json!(["~", "name", "^web"]));
        let groups = Groups::default().reread(directory);
        assert_eq!(groups.trouble(), None);
        assert_eq!(
            groups.all().iter().map(|group| group.name.as_str()).collect::<Vec<_>>(),
            ["folder", "servers", "web"]
        );
        assert!(has(&groups, "web", "web1") && has(&groups, WEB, "web1"), "by name and by id");
        assert!(!has(&groups, "web", "db1") && has(&groups, "servers", "db1"));
        assert!(!has(&groups, "folder", "web1"), "a folder has no nodes of its own");
        write(directory, "servers", SERVERS, None, json!(["=", ["fact", "os", "family"], "Debian"]));
        let groups = groups.reread(directory);
        assert!(!has(&groups, "web", "web1"), "its ancestor does not match any more");
    }

    #[test]
    fn what_is_wrong_is_told_and_keeps_what_was_good() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        write(directory, "web", WEB, None, json!(["~", "name", "^web"]));
        let groups = Groups::default().reread(directory);
        fs::write(directory.join("web.yaml"), "id: [").unwrap();
        let groups = groups.reread(directory).reread(directory);
        assert!(has(&groups, "web", "web1"), "the last good version");
        assert!(groups.trouble().unwrap().contains("web.yaml"));
        fs::write(directory.join("web.yaml"), format!("id: {WEB}\nname: web\nrules: []\n")).unwrap();
        assert!(groups.reread(directory).trouble().unwrap().contains("rules"), "an unknown key is named");
        fs::remove_file(directory.join("web.yaml")).unwrap();
        assert!(groups.reread(directory).all().is_empty());

        write(directory, "a", WEB, None, json!(["=", "name", "x"]));
        write(directory, "b", WEB, None, json!(["=", "name", "x"]));
        write(directory, "c", FOLDER, Some(SERVERS), json!(["=", "name", "x"]));
        write(directory, "d", SERVERS, Some(FOLDER), json!(["=", "name", "x"]));
        let groups = Groups::default().reread(directory);
        let trouble = groups.trouble().unwrap();
        for part in ["that of the group 'a' already", "the group 'c' matches no node", "the group 'd' matches no node"]
        {
            assert!(trouble.contains(part), "{trouble}");
        }
        assert_eq!(groups.all().len(), 1);
        write(directory, "0", WEB, None, json!(["~", "name", "."]));
        assert!(!has(&groups.reread(directory), WEB, "y"), "a copy does not take the place of what was there");
        assert!(Groups::default().reread(&directory.join("none")).trouble().is_none(), "none is no trouble");
    }

    #[test]
    fn what_is_no_plain_file_is_trouble_and_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        write(directory, "web", WEB, None, json!(["~", "name", "^web"]));
        let groups = Groups::default().reread(directory);
        fs::remove_file(directory.join("web.yaml")).unwrap();
        let (mode, kind) = (rustix::fs::Mode::RUSR, rustix::fs::FileType::Fifo);
        rustix::fs::mknodat(rustix::fs::CWD, directory.join("web.yaml"), kind, mode, 0).unwrap();
        fs::create_dir(directory.join("folder.yaml")).unwrap();
        let groups = groups.reread(directory);
        let trouble = groups.trouble().unwrap();
        for part in ["web.yaml: is no plain file", "folder.yaml: is no plain file"] {
            assert!(trouble.contains(part), "{trouble}");
        }
        assert!(has(&groups, "web", "web1"), "the last good version");
    }

    #[test]
    fn words_that_older_yaml_takes_for_booleans_are_texts_and_nothing_of_a_broken_file_is_shown() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        fs::write(directory.join("web.yaml"), format!("id: {WEB}\nname: web\nrule: [=, [fact, n], no]\n")).unwrap();
        let groups = Groups::default().reread(directory);
        assert_eq!(groups.trouble(), None);
        assert_eq!(groups.find("web").unwrap().rule, Some(json!(["=", ["fact", "n"], "no"])));
        fs::write(directory.join("secret.yaml"), "root:x:0:0:secret:/root\nother: [\n").unwrap();
        let trouble = groups.reread(directory).trouble().unwrap();
        assert!(trouble.contains("secret.yaml") && !trouble.contains("/root"), "{trouble}");
    }

    #[test]
    fn the_root_is_the_classifiers() {
        assert_eq!(ROOT.to_string(), "00000000-0000-4000-8000-000000000000");
    }
}
