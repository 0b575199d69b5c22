//! Groups from an export of Puppet Enterprise's classifier (`GET /classifier-api/v1/groups`): the same ids, names, parents
//! and rules, one file each. What the orchestrator has no use for stays behind, and is told of.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Group, Groups, ROOT, Rule};

/// So much of a group's name is its file's.
const LONGEST_NAME: usize = 100;

/// What became of an export.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Groups with their files, in the order of the export.
    pub written: Vec<(String, PathBuf)>,
    /// Groups that were not taken, and why.
    pub refused: Vec<(String, String)>,
    /// Groups that were taken, and what of them was not.
    pub left_behind: Vec<(String, String)>,
}

/// Why nothing was taken, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("that is no export of node groups: {0}")]
    NoExport(String),
    #[error("cannot write {path}: {source}", path = path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// A group as the classifier tells it.
#[derive(Debug, Deserialize)]
struct Exported {
    id: Uuid,
    name: String,
    parent: Uuid,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    rule: Option<Value>,
    #[serde(default)]
    classes: Map<String, Value>,
    #[serde(default)]
    variables: Map<String, Value>,
    #[serde(default)]
    config_data: Map<String, Value>,
    #[serde(default)]
    environment_trumps: bool,
}

/// A group of the export as the service would read it.
struct Candidate {
    /// Its place in the export.
    at: usize,
    group: Group,
    text: String,
    left_behind: Vec<String>,
}

/// A group of the export that is not taken, and why.
struct Refusal {
    at: usize,
    name: String,
    why: String,
}

/// The groups that have files, by id; of one id more than one only where somebody made a mistake.
type There = BTreeMap<Uuid, Vec<(PathBuf, Group)>>;

/// Writes the groups of an export to a directory, which is made if it is not there. The file of a group that was taken
/// before is replaced, and renamed with the group; no other file is. What the service would not accept beside the files
/// that are there is refused, and nothing is written for it.
///
/// # Errors
/// See [`ImportError`]; what was written before stays.
pub fn import_groups(export: &str, directory: &Path) -> Result<Imported, ImportError> {
    let groups: Vec<Value> = serde_json::from_str(export).map_err(|error| ImportError::NoExport(error.to_string()))?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ImportError::Write { path, source }
    };
    fs::create_dir_all(directory).map_err(failed(directory))?;
    let there = there(directory).map_err(failed(directory))?;
    let (mut candidates, mut refused) = (Vec::new(), Vec::new());
    for (at, group) in groups.into_iter().enumerate() {
        let name = group.get("name").and_then(Value::as_str).filter(|name| !name.trim().is_empty());
        let name = name.map_or_else(|| format!("entry {} of the export", at + 1), str::to_owned);
        match candidate(at, group, directory, &there) {
            Ok(candidate) => candidates.extend(candidate),
            Err(why) => refused.push(Refusal { at, name, why }),
        }
    }
    refused.extend(sift(&mut candidates, &there));
    refused.sort_by_key(|refusal| refusal.at);
    let mut imported = Imported::default();
    imported.refused.extend(refused.into_iter().map(|refusal| (refusal.name, refusal.why)));
    for Candidate { group, text, left_behind, .. } in candidates {
        let name = &group.shown.name;
        let old = there.get(&group.shown.id).and_then(|files| files.first());
        let path = place(directory, &group, old);
        write(directory, old.map(|(path, _)| path.as_path()), &path, &text).map_err(failed(&path))?;
        imported.left_behind.extend(left_behind.into_iter().map(|left| (name.clone(), left)));
        imported.written.push((name.clone(), path));
    }
    Ok(imported)
}

/// What the files of a directory say. One that cannot be used is nobody's, and stays as it is.
fn there(directory: &Path) -> io::Result<There> {
    let mut there = There::new();
    let mut paths = super::files(directory)?;
    paths.sort();
    for path in paths {
        if let Ok(group) = super::read(&path).and_then(|text| super::parse(&text)) {
            there.entry(group.shown.id).or_default().push((path, group));
        }
    }
    Ok(there)
}

/// One group of the export, by itself; none for the root, which is always there.
fn candidate(at: usize, group: Value, directory: &Path, there: &There) -> Result<Option<Candidate>, String> {
    let group: Exported = serde_json::from_value(group).map_err(|error| error.to_string())?;
    if group.id == ROOT {
        return Ok(None);
    }
    let rule = group.rule.as_ref().filter(|rule| !rule.is_null());
    if let Some(Err(problem)) = rule.map(Rule::parse) {
        return Err(format!("its rule: {problem}"));
    }
    let text = document(&group, rule);
    let left_behind = group.left_behind().collect();
    let group = super::parse(text.as_bytes())?;
    match there.get(&group.shown.id).map(Vec::as_slice) {
        Some([(one, _), (other, _), ..]) => {
            let (one, other) = (one.display(), other.display());
            return Err(format!("{one} and {other} both have its id; remove the one that is wrong"));
        }
        Some(_) => {}
        None => {
            let path = with_id(directory, &group);
            if path.symlink_metadata().is_ok() {
                return Err(format!("{} is there, and is not the file of this group", path.display()));
            }
        }
    }
    Ok(Some(Candidate { at, group, text, left_behind }))
}

/// Takes out what the service would not accept beside the files that stay. Where one falls its children do as well.
fn sift(candidates: &mut Vec<Candidate>, there: &There) -> Vec<Refusal> {
    let mut refused = Vec::new();
    loop {
        let coming: BTreeSet<Uuid> = candidates.iter().map(|candidate| candidate.group.shown.id).collect();
        let mut result = Groups::default();
        let mut names = BTreeSet::new();
        for (_, group) in there.iter().filter(|(id, _)| !coming.contains(id)).flat_map(|(_, files)| files) {
            names.insert(group.shown.name.clone());
            result.by_id.insert(group.shown.id, group.clone());
        }
        let mut problems = BTreeMap::new();
        for Candidate { at, group, .. } in &*candidates {
            let shown = &group.shown;
            if let Some(other) = result.by_id.get(&shown.id) {
                problems.insert(*at, format!("id {} is that of the group '{}' already", shown.id, other.shown.name));
            } else if names.insert(shown.name.clone()) {
                result.by_id.insert(shown.id, group.clone());
            } else {
                problems.insert(*at, "there is another group of that name".to_owned());
            }
        }
        for Candidate { at, group, .. } in &*candidates {
            let parent = group.parent;
            if parent == group.shown.id {
                problems.entry(*at).or_insert_with(|| "it is its own parent".to_owned());
            } else if !result.ends_at_root(group) {
                let why = || format!("its ancestors do not lead to the root ({parent} is its parent)");
                problems.entry(*at).or_insert_with(why);
            }
        }
        if problems.is_empty() {
            return refused;
        }
        candidates.retain(|candidate| {
            let Some(why) = problems.remove(&candidate.at) else { return true };
            refused.push(Refusal { at: candidate.at, name: candidate.group.shown.name.clone(), why });
            false
        });
    }
}

impl Exported {
    fn left_behind(&self) -> impl Iterator<Item = String> {
        let parts = [("class", "classes", &self.classes), ("variable", "variables", &self.variables)];
        let counted = parts.into_iter().filter(|(.., map)| !map.is_empty()).map(|(one, many, map)| {
            let count = map.len();
            format!("{count} {}", if count == 1 { one } else { many })
        });
        let data = (!self.config_data.is_empty()).then(|| "configuration data".to_owned());
        let environment = self.environment_trumps.then(|| "that it is an environment group".to_owned());
        counted.chain(data).chain(environment).collect::<Vec<_>>().into_iter()
    }
}

/// The file of a group: the one it has, for as long as its name is the same; else one named after it, and after its id
/// as well where the name is taken.
fn place(directory: &Path, group: &Group, old: Option<&(PathBuf, Group)>) -> PathBuf {
    let slug = slug(&group.shown.name);
    let plain = directory.join(format!("{slug}.yaml"));
    let with_id = with_id(directory, group);
    if let Some((path, before)) = old
        && (before.shown.name == group.shown.name || *path == plain || *path == with_id)
    {
        return path.clone();
    }
    let is_free = |path: &Path| path.symlink_metadata().is_err();
    match old {
        _ if !slug.is_empty() && is_free(&plain) => plain,
        Some((path, _)) if !is_free(&with_id) => path.clone(),
        _ => with_id,
    }
}

fn with_id(directory: &Path, group: &Group) -> PathBuf {
    let slug = slug(&group.shown.name);
    directory.join(format!("{slug}{}{}.yaml", if slug.is_empty() { "" } else { "-" }, group.shown.id))
}

fn slug(name: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let slug: String = name.chars().map(letter).collect();
    let slug = slug.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    slug.chars().take(LONGEST_NAME).collect()
}

/// The file is there as a whole or not at all: the service may read the directory at any moment.
fn write(directory: &Path, old: Option<&Path>, path: &Path, text: &str) -> io::Result<()> {
    // Everybody may read it, as far as the umask lets them: the service is another user than who imports.
    let mode = fs::Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().prefix(".import-").permissions(mode).tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    match old {
        // First the content, then the name: at no moment do two files have the id.
        Some(old) => {
            file.persist(old).map_err(|error| error.error)?;
            if old == path { Ok(()) } else { fs::rename(old, path) }
        }
        None => file.persist_noclobber(path).map(drop).map_err(|error| error.error),
    }
}

/// YAML whose values are JSON, which is YAML too.
fn document(group: &Exported, rule: Option<&Value>) -> String {
    let mut text = format!("id: {}\nname: {}\n", group.id, json!(group.name));
    if let Some(description) = group.description.as_deref().filter(|description| !description.is_empty()) {
        text.push_str(&format!("description: {}\n", json!(description)));
    }
    if group.parent != ROOT {
        text.push_str(&format!("parent: {}\n", group.parent));
    }
    if let Some(rule) = rule {
        text.push_str(&format!("rule: {rule}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_becomes_groups_with_the_same_ids_and_says_what_it_left_behind() {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().join("groups");
        let (web, twin, infra) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let export = json!([
            { "id": ROOT, "name": "All Nodes", "parent": ROOT, "rule": ["and", ["~", "name", ".*"]], "classes": {} },
            { "id": infra, "name": "PE: Infra/Ω", "parent": ROOT, "rule": null, "classes": { "pe": {}, "pe2": {} } },
            {
                "id": web, "name": "Web", "parent": infra, "environment": "production", "environment_trumps": true,
                "rule": ["and", ["=", ["fact", "os", "family"], "RedHat"], ["~", "name", "^web'\"\\d"]],
                "variables": { "x": 1 }, "description": "a: \"b\"\nc",
            },
            { "id": twin, "name": "web!", "parent": web, "rule": ["=", "name", "x"] },
            { "id": Uuid::from_u128(4), "name": "Odd", "parent": ROOT, "rule": ["=", "certname", "x"] },
            { "name": "Half" },
        ]);
        let imported = import_groups(&export.to_string(), &to).unwrap();
        let files: Vec<_> = imported.written.iter().map(|(_, path)| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(
            files,
            ["pe-infra.yaml".into(), "web.yaml".into(), std::ffi::OsString::from(format!("web-{twin}.yaml"))]
        );
        let refused: Vec<_> = imported.refused.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(refused, ["Odd", "Half"]);
        let left = |name: &str, what: &str| (name.to_owned(), what.to_owned());
        let expected = [
            left("PE: Infra/Ω", "2 classes"),
            left("Web", "1 variable"),
            left("Web", "that it is an environment group"),
        ];
        assert_eq!(imported.left_behind, expected);
        let groups = Groups::default().reread(&to);
        assert_eq!(groups.trouble(), None);
        let group = groups.find("Web").unwrap();
        assert_eq!((group.id, group.parent, group.description.as_str()), (web, infra, "a: \"b\"\nc"));
        assert_eq!(group.rule, Some(export[2]["rule"].clone()));
        let again = import_groups(&export.to_string(), &to).unwrap();
        assert_eq!(again.written, imported.written, "the same files");
        assert!(matches!(import_groups("{}", &to), Err(ImportError::NoExport(_))));
    }

    fn exported(id: u128, name: &str, parent: Uuid) -> Value {
        json!({ "id": Uuid::from_u128(id), "name": name, "parent": parent, "rule": ["=", "name", "x"] })
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn files_of_others_stay_and_the_file_of_a_renamed_group_is_renamed() {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path();
        let web = Uuid::from_u128(1);
        let own = format!("id: {}\nname: Own\nparent: {web}\nrule: [=, name, x]\n", Uuid::from_u128(9));
        fs::write(to.join("web.yaml"), &own).unwrap();
        fs::write(to.join("broken.yaml"), "id: [").unwrap();
        import_groups(&json!([exported(1, "Web", ROOT), exported(2, "broken", web)]).to_string(), to).unwrap();
        assert_eq!(fs::read_to_string(to.join("web.yaml")).unwrap(), own, "it only has that parent");
        assert_eq!(fs::read_to_string(to.join("broken.yaml")).unwrap(), "id: [", "it may be anybody's");
        let (web_file, broken_file) = (format!("web-{web}.yaml"), format!("broken-{}.yaml", Uuid::from_u128(2)));
        assert_eq!(names(to), [broken_file.as_str(), "broken.yaml", &web_file, "web.yaml"]);
        fs::rename(to.join(&web_file), to.join("10-mine.yaml")).unwrap();
        import_groups(&json!([exported(1, "Web", ROOT)]).to_string(), to).unwrap();
        assert_eq!(names(to), ["10-mine.yaml", &broken_file, "broken.yaml", "web.yaml"], "it may have any name");
        import_groups(&json!([exported(1, "Servers", ROOT)]).to_string(), to).unwrap();
        assert_eq!(names(to), [&broken_file, "broken.yaml", "servers.yaml", "web.yaml"]);
        fs::remove_file(to.join("broken.yaml")).unwrap();
        let groups = Groups::default().reread(to);
        assert_eq!(groups.trouble(), None);
        assert_eq!(groups.find("Servers").unwrap().id, web);
        let mode = fs::metadata(to.join("servers.yaml")).unwrap().permissions().mode();
        let plain = directory.path().join("plain");
        fs::write(&plain, "").unwrap();
        assert_eq!(mode, fs::metadata(&plain).unwrap().permissions().mode(), "readable as any other file");
    }

    #[test]
    fn what_the_service_would_not_accept_is_refused_and_not_written() {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path();
        fs::write(to.join("own.yaml"), format!("id: {}\nname: Own\n", Uuid::from_u128(9))).unwrap();
        let export = json!([
            exported(1, "  ", ROOT),
            exported(2, "Loop", Uuid::from_u128(2)),
            exported(3, "Twin", ROOT),
            exported(4, "Twin", ROOT),
            exported(5, "Child", Uuid::from_u128(4)),
            exported(6, "Own", ROOT),
            exported(3, "Again", ROOT),
            null,
        ]);
        let imported = import_groups(&export.to_string(), to).unwrap();
        let refused: Vec<_> = imported.refused.iter().map(|(name, why)| (name.as_str(), why.as_str())).collect();
        let expected = [
            ("entry 1 of the export", "name is empty"),
            ("Loop", "own parent"),
            ("Twin", "another group of that name"),
            ("Child", "do not lead to the root"),
            ("Own", "another group of that name"),
            ("Again", "that of the group 'Twin'"),
            ("entry 8 of the export", "null"),
        ];
        assert_eq!(refused.len(), expected.len(), "{refused:?}");
        for ((name, why), (expected, part)) in refused.iter().zip(expected) {
            assert!(*name == expected && why.contains(part), "{name}: {why}");
        }
        assert_eq!(names(to), ["own.yaml", "twin.yaml"]);
        assert_eq!(Groups::default().reread(to).trouble(), None);
        fs::copy(to.join("twin.yaml"), to.join("zwin.yaml")).unwrap();
        let imported = import_groups(&json!([exported(3, "Twin", ROOT)]).to_string(), to).unwrap();
        assert!(imported.written.is_empty() && imported.refused[0].1.contains("zwin.yaml"), "{imported:?}");
    }
}
