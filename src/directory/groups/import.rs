//! Groups from an export of Puppet Enterprise's classifier (`GET /classifier-api/v1/groups`): the same ids, names, parents
//! and rules, one file each. What the orchestrator has no use for stays behind, and is told of.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{ROOT, Rule};

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
    Write { path: PathBuf, source: std::io::Error },
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

/// Writes the groups of an export to a directory, which is made if it is not there. The file of a group that was taken
/// before is replaced; no other file is.
///
/// # Errors
/// See [`ImportError`]; what was written before stays.
pub fn import_groups(export: &str, directory: &Path) -> Result<Imported, ImportError> {
    let groups: Vec<Value> = serde_json::from_str(export).map_err(|error| ImportError::NoExport(error.to_string()))?;
    let cannot_write = |path: &Path| {
        let path = path.to_owned();
        move |source| ImportError::Write { path, source }
    };
    fs::create_dir_all(directory).map_err(cannot_write(directory))?;
    let mut imported = Imported::default();
    let mut taken = BTreeSet::new();
    for group in groups {
        let shown = group.get("name").and_then(Value::as_str).unwrap_or("a group without a name").to_owned();
        let group: Exported = match serde_json::from_value(group) {
            Ok(group) => group,
            Err(error) => {
                imported.refused.push((shown, error.to_string()));
                continue;
            }
        };
        if group.id == ROOT {
            // It is always there.
            continue;
        }
        let rule = group.rule.clone().filter(|rule| !rule.is_null());
        if let Some(Err(problem)) = rule.as_ref().map(Rule::parse) {
            imported.refused.push((shown, format!("its rule: {problem}")));
            continue;
        }
        imported.left_behind.extend(group.left_behind().map(|left| (shown.clone(), left)));
        let path = place(directory, &group, &taken);
        taken.insert(path.clone());
        let text = document(&group, rule.as_ref());
        let written = fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(cannot_write(&path))?;
        imported.written.push((shown, path));
    }
    Ok(imported)
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

/// The file of a group: named after it, and after its id as well where another group has that name.
fn place(directory: &Path, group: &Exported, taken: &BTreeSet<PathBuf>) -> PathBuf {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let slug: String = group.name.chars().map(letter).collect();
    let slug = slug.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    let slug: String = slug.chars().take(LONGEST_NAME).collect();
    let path = directory.join(format!("{slug}.yaml"));
    let of_another = fs::read_to_string(&path).is_ok_and(|text| !text.contains(&group.id.to_string()));
    if slug.is_empty() || of_another || taken.contains(&path) {
        return directory.join(format!("{slug}{}{}.yaml", if slug.is_empty() { "" } else { "-" }, group.id));
    }
    path
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
    use super::super::Groups;
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
}
