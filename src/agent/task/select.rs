//! Which file of a task is run on this node, how it gets its parameters, and which files it needs beside it.

use super::params::{Implementation, TaskParams};
use crate::wire::pxp::FileSpec;

/// What a node of ours can do.
const FEATURES: [&str; 2] = ["puppet-agent", "shell"];

/// How parameters reach the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InputMethod {
    Stdin,
    Environment,
    Both,
}

impl InputMethod {
    pub(super) fn uses_stdin(self) -> bool {
        matches!(self, Self::Stdin | Self::Both)
    }

    pub(super) fn uses_environment(self) -> bool {
        matches!(self, Self::Environment | Self::Both)
    }
}

/// What is run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chosen {
    /// The name of the executable among the files.
    pub(super) executable: String,
    pub(super) input_method: InputMethod,
    /// The names of the files that lie beside it; with any, it gets a directory.
    pub(super) beside: Vec<String>,
}

/// Chooses for this node; the error is what pxp-agent would say.
pub(super) fn choose(params: &TaskParams) -> Result<Chosen, String> {
    let metadata = params.effective_metadata();
    let mut features: Vec<&str> = FEATURES.to_vec();
    features.extend(metadata.features.iter().map(String::as_str));
    features.sort_unstable();
    features.dedup();
    let implementation = match metadata.implementations.as_slice() {
        [] => Implementation { name: params.files[0].filename.clone(), ..Implementation::default() },
        listed => listed
            .iter()
            .find(|one| one.requirements.iter().all(|feature| features.contains(&feature.as_str())))
            .cloned()
            .ok_or_else(|| format!("no implementations match supported features: {}", features.join(", ")))?,
    };
    if !params.files.iter().any(|file| file.filename == implementation.name) {
        return Err(format!("'{}' file requested by implementation is not in the list of files", implementation.name));
    }
    let method = implementation.input_method.or(metadata.input_method);
    let input_method = input_method(method.as_deref(), &implementation.name)?;
    let wanted: Vec<String> = metadata.files.into_iter().chain(implementation.files).collect();
    let beside = beside(params, &implementation.name, &wanted)?;
    Ok(Chosen { executable: implementation.name, input_method, beside })
}

fn input_method(name: Option<&str>, executable: &str) -> Result<InputMethod, String> {
    let by_default = if executable.ends_with(".ps1") { "powershell" } else { "both" };
    match name.unwrap_or(by_default) {
        "stdin" => Ok(InputMethod::Stdin),
        "environment" => Ok(InputMethod::Environment),
        "both" => Ok(InputMethod::Both),
        "powershell" => {
            Err("unsupported task input method: powershell (this node runs no PowerShell tasks)".to_owned())
        }
        other => Err(format!("unsupported task input method: {other}")),
    }
}

/// The files that are wanted by name, or by the directory that they lie in.
fn beside(params: &TaskParams, executable: &str, wanted: &[String]) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for name in wanted {
        let matches = |file: &&FileSpec| {
            if name.ends_with('/') { file.filename.starts_with(name.as_str()) } else { file.filename == *name }
        };
        let before = found.len();
        found.extend(params.files.iter().filter(matches).map(|file| file.filename.clone()));
        if found.len() == before && !name.ends_with('/') {
            return Err(format!("'{name}' file requested by additional metadata files is not in the list of files"));
        }
    }
    found.retain(|name| name != executable);
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

impl Chosen {
    /// The files to fetch: the executable first.
    pub(super) fn needed(&self, params: &TaskParams) -> Vec<FileSpec> {
        let names = std::iter::once(&self.executable).chain(&self.beside);
        names.filter_map(|name| params.files.iter().find(|file| file.filename == *name).cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn params(extra: Value) -> TaskParams {
        let file =
            |name: &str| json!({"filename": name, "sha256": "0".repeat(64), "uri": {"path": "/x", "params": {}}});
        let names = ["run.sh", "run.ps1", "run.rb", "lib/files/a.txt", "lib/files/b.txt", "lib/c.txt"];
        let mut all = json!({"task": "demo", "input": {}, "files": names.map(file)});
        for (key, value) in extra.as_object().unwrap() {
            all[key] = value.clone();
        }
        TaskParams::read(all.as_object().unwrap()).unwrap()
    }

    #[test]
    fn without_metadata_the_first_file_runs() {
        let chosen = choose(&params(json!({}))).unwrap();
        assert_eq!((chosen.executable.as_str(), chosen.input_method), ("run.sh", InputMethod::Both));
        let chosen = choose(&params(json!({"input_method": "stdin"}))).unwrap();
        assert_eq!(chosen.input_method, InputMethod::Stdin);
        // With metadata the ones outside are ignored.
        let chosen = choose(&params(json!({"input_method": "nope", "metadata": {}}))).unwrap();
        assert_eq!(chosen.input_method, InputMethod::Both);
    }

    #[test]
    fn the_first_implementation_whose_requirements_hold_runs() {
        let metadata = json!({
            "input_method": "stdin",
            "implementations": [
                {"name": "run.ps1", "requirements": ["powershell"]},
                {"name": "run.rb", "requirements": ["puppet-agent", "extra"], "input_method": "environment"},
                {"name": "run.sh", "requirements": ["shell"]},
            ],
        });
        let chosen = choose(&params(json!({"metadata": metadata}))).unwrap();
        assert_eq!((chosen.executable.as_str(), chosen.input_method), ("run.sh", InputMethod::Stdin));
        let mut with = metadata;
        with["features"] = json!(["extra"]);
        let chosen = choose(&params(json!({"metadata": with}))).unwrap();
        assert_eq!((chosen.executable.as_str(), chosen.input_method), ("run.rb", InputMethod::Environment));
    }

    #[test]
    fn refusals_are_worded_as_pxp_agent_words_them() {
        let refuse = |metadata: Value| choose(&params(json!({"metadata": metadata}))).unwrap_err();
        assert_eq!(
            refuse(json!({"implementations": [{"name": "run.ps1", "requirements": ["powershell"]}]})),
            "no implementations match supported features: puppet-agent, shell"
        );
        assert_eq!(refuse(json!({"input_method": "nope"})), "unsupported task input method: nope");
        assert!(refuse(json!({"implementations": [{"name": "run.ps1"}]})).contains("powershell"));
        assert!(refuse(json!({"implementations": [{"name": "gone.sh"}]})).contains("gone.sh"));
        assert!(refuse(json!({"files": ["gone.txt"]})).contains("gone.txt"));
    }

    #[test]
    fn files_are_taken_by_name_and_by_directory() {
        let metadata =
            json!({"files": ["lib/files/"], "implementations": [{"name": "run.sh", "files": ["lib/c.txt"]}]});
        let params = params(json!({"metadata": metadata}));
        let chosen = choose(&params).unwrap();
        assert_eq!(chosen.beside, ["lib/c.txt", "lib/files/a.txt", "lib/files/b.txt"]);
        assert_eq!(chosen.needed(&params).len(), 4);
    }

    proptest! {
        #[test]
        fn a_chosen_implementation_meets_its_requirements(
            features in proptest::collection::vec("[ab]", 0..3),
            requirements in proptest::collection::vec(proptest::collection::vec("[abc]", 0..3), 1..4),
        ) {
            let names = ["run.sh", "run.rb", "run.ps1"];
            let listed: Vec<Value> = requirements.iter().zip(names)
                .map(|(needs, name)| json!({"name": name, "requirements": needs, "input_method": "stdin"})).collect();
            let metadata = json!({"features": features, "implementations": listed});
            let first = requirements.iter().zip(names).find(|(needs, _)| needs.iter().all(|need| features.contains(need)));
            let chosen = choose(&params(json!({"metadata": metadata})));
            prop_assert_eq!(chosen.ok().map(|chosen| chosen.executable), first.map(|(_, name)| name.to_owned()));
        }
    }
}
