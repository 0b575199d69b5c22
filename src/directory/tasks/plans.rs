//! Plans of a module path: their names, what YAML plans say of themselves, and the parameters of those in Puppet's language.

use std::fs;
use std::io;
use std::path::Path;

use bunraku_actors::ports::{DirectoryError, PlanSummary};
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::module::{self, Module};
use super::signature;
use super::unavailable;

/// The deepest directory below a module's `plans`.
const MAX_DEPTH: usize = 16;
/// The largest plan that is read.
const MAX_BYTES: u64 = 1024 * 1024;

/// What we read of a YAML plan.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Document {
    description: Option<String>,
    parameters: IndexMap<String, Parameter>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Parameter {
    r#type: Option<String>,
    default: Option<Value>,
    description: Option<String>,
}

/// All plans, sorted by name. A broken one is in the list all the same.
pub(in crate::directory) fn list(module_path: &[std::path::PathBuf]) -> Result<Vec<PlanSummary>, DirectoryError> {
    let mut plans = Vec::new();
    for module in module::all(module_path).map_err(unavailable)?.values() {
        let top = module.plans_directory();
        walk(module, &top, &mut Vec::new(), &mut plans).map_err(|error| unavailable((top, error)))?;
    }
    plans.sort_by(|one, other| one.name.cmp(&other.name));
    plans.dedup_by(|one, other| one.name == other.name);
    Ok(plans)
}

fn walk(module: &Module, directory: &Path, below: &mut Vec<String>, plans: &mut Vec<PlanSummary>) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let Ok(file) = entry.file_name().into_string() else { continue };
        let stem = module::stem(&file);
        if !module::is_name(stem) {
            continue;
        }
        // Links are not followed: they might lead out of the module, or round in it.
        let kind = entry.file_type()?;
        if kind.is_dir() && file == stem && below.len() < MAX_DEPTH {
            below.push(file);
            walk(module, &entry.path(), below, plans)?;
            below.pop();
        } else if kind.is_file() && (file.ends_with(".pp") || file.ends_with(".yaml")) {
            let mut name = [&[module.name().to_owned()], &below[..]].concat().join("::");
            if !(below.is_empty() && stem == "init") {
                name = format!("{name}::{stem}");
            }
            let text = read(&entry.path());
            let metadata = match text {
                Some(text) if file.ends_with(".yaml") => metadata(&text),
                Some(text) => parameters(&text, &name),
                None => Map::new(),
            };
            plans.push(PlanSummary { name, metadata });
        }
    }
    Ok(())
}

/// The text of a plan; `None` where it cannot be read.
fn read(path: &Path) -> Option<String> {
    let small = fs::metadata(path).is_ok_and(|found| found.len() <= MAX_BYTES);
    small.then(|| fs::read_to_string(path).ok()).flatten()
}

/// What a plan in Puppet's language tells; nothing where its head is not understood.
fn parameters(text: &str, plan: &str) -> Map<String, Value> {
    let found = signature::parameters(text, plan);
    found.map(|found| Map::from_iter([("parameters".to_owned(), Value::Object(found))])).unwrap_or_default()
}

/// What a YAML plan tells; nothing where it is broken.
fn metadata(text: &str) -> Map<String, Value> {
    let document: Option<Document> = serde_saphyr::from_str(text).ok();
    let Some(document) = document else { return Map::new() };
    let mut metadata = Map::new();
    if let Some(description) = document.description {
        metadata.insert("description".to_owned(), json!(description));
    }
    let parameters: Map<String, Value> =
        document.parameters.into_iter().map(|(name, parameter)| (name, parameter.shown())).collect();
    metadata.insert("parameters".to_owned(), Value::Object(parameters));
    metadata
}

impl Parameter {
    /// As API §6.1 shows it.
    fn shown(self) -> Value {
        let mut shown = json!({ "type": self.r#type.unwrap_or_else(|| "Any".to_owned()) });
        if let Some(default) = self.default {
            shown["default_value"] = default;
        }
        if let Some(description) = self.description {
            shown["description"] = json!(description);
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_have_their_names_by_place_and_yaml_ones_tell_their_parameters() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("shop/plans/init.pp", "plan shop(Integer[1] $n = 3) {}");
        write("shop/plans/odd.pp", "plan shop::odd($n = @(END)) {}");
        write("shop/plans/deploy/web.pp", "plan shop::deploy::web() {}");
        write(
            "shop/plans/roll.yaml",
            "description: Rolls\nparameters:\n  nodes: {type: TargetSpec}\n  n: {default: 3}\nsteps: []\n",
        );
        write("shop/plans/broken.yaml", "a: [");
        write("shop/plans/README.md", "no plan");
        write("other/tasks/x.sh", "");
        let plans = list(&[root.path().to_owned()]).unwrap();
        let names: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
        assert_eq!(names, ["shop", "shop::broken", "shop::deploy::web", "shop::odd", "shop::roll"]);
        let told = json!({
            "description": "Rolls",
            "parameters": { "nodes": { "type": "TargetSpec" }, "n": { "type": "Any", "default_value": 3 } },
        });
        assert_eq!(Value::Object(plans[4].metadata.clone()), told);
        let told = json!({ "parameters": { "n": { "type": "Integer[1]", "default_value": 3 } } });
        assert_eq!(Value::Object(plans[0].metadata.clone()), told);
        assert_eq!(Value::Object(plans[2].metadata.clone()), json!({ "parameters": {} }));
        assert!(plans[1].metadata.is_empty() && plans[3].metadata.is_empty());
    }
}
