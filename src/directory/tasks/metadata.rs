//! A task's metadata file: what we read of it. The rest is handed on as it is.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use serde_json::{Map, Value};

/// The largest metadata file that is read.
const MAX_BYTES: u64 = 1024 * 1024;

/// Parsed metadata.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Metadata {
    /// The whole content, an object.
    pub(super) value: Value,
    /// The files of the tasks directory that `implementations` names. `None` without the key: the executable is found
    /// by its name then.
    pub(super) implementations: Option<Vec<String>>,
    /// Shared files of the task and of all its implementations, each once, in the order in which they are named.
    pub(super) shared: Vec<String>,
}

impl Metadata {
    /// `description`, empty when there is none.
    pub(super) fn description(&self) -> String {
        self.value.get("description").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// `private`, false when there is none.
    pub(super) fn private(&self) -> bool {
        self.value.get("private").and_then(Value::as_bool).unwrap_or(false)
    }

    /// Whether an implementation is this file.
    pub(super) fn implements_with(&self, file: &str) -> bool {
        self.implementations.iter().flatten().any(|name| name == file)
    }
}

/// Reads a metadata file. The error says what is wrong, for a sentence that begins with the file's name.
pub(super) fn read(path: &Path) -> Result<Metadata, String> {
    let file = fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut text = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(|error| format!("cannot be read: {error}"))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("is larger than {MAX_BYTES} bytes"));
    }
    parse(&text)
}

/// Parses and checks the keys that decide which files a task needs.
pub(super) fn parse(text: &[u8]) -> Result<Metadata, String> {
    let value: Value = serde_json::from_slice(text).map_err(|error| format!("is not valid JSON: {error}"))?;
    let Value::Object(object) = &value else { return Err("is not a JSON object".to_owned()) };
    let mut shared = texts(object, "files", "files")?;
    let mut implementations = None;
    if let Some(entries) = object.get("implementations") {
        let entries = entries.as_array().ok_or("has implementations that are not a list")?;
        if entries.is_empty() {
            return Err("has an empty list of implementations".to_owned());
        }
        let mut checked = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            checked.push(implementation(index, entry, &mut shared)?);
        }
        implementations = Some(checked);
    }
    let mut once = Vec::with_capacity(shared.len());
    for name in shared {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    Ok(Metadata { value, implementations, shared: once })
}

/// The name of one implementation; its shared files go to `shared`.
fn implementation(index: usize, entry: &Value, shared: &mut Vec<String>) -> Result<String, String> {
    let key = format!("implementations[{index}]");
    let object = entry.as_object().ok_or_else(|| format!("has a key {key} that is not an object"))?;
    let name = object.get("name").and_then(Value::as_str).ok_or_else(|| format!("has no text in {key}.name"))?;
    texts(object, "requirements", &format!("{key}.requirements"))?;
    shared.extend(texts(object, "files", &format!("{key}.files"))?);
    Ok(name.to_owned())
}

/// A list of texts, empty when the key is missing.
fn texts(object: &Map<String, Value>, key: &str, shown: &str) -> Result<Vec<String>, String> {
    let Some(value) = object.get(key) else { return Ok(Vec::new()) };
    let refuse = || format!("has a key {shown} that is not a list of texts");
    let entries = value.as_array().ok_or_else(refuse)?;
    entries.iter().map(|entry| entry.as_str().map(str::to_owned).ok_or_else(refuse)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shared_files_come_once_the_tasks_own_first() {
        let metadata = parse(
            br#"{"files": ["a/lib/x", "b/files/y"], "implementations": [
                {"name": "i.sh", "files": ["b/files/y", "c/files/z"]}, {"name": "j.rb", "requirements": ["ruby"]}]}"#,
        )
        .unwrap();
        assert_eq!(metadata.shared, ["a/lib/x", "b/files/y", "c/files/z"]);
        assert!(metadata.implements_with("j.rb") && !metadata.implements_with("k.rb"));
        assert_eq!((metadata.description().as_str(), metadata.private()), ("", false));
    }

    #[test]
    fn errors_name_the_key() {
        let cases = [
            ("{", "is not valid JSON: "),
            ("[]", "is not a JSON object"),
            (r#"{"files": "a"}"#, "has a key files that is not a list of texts"),
            (r#"{"implementations": {}}"#, "has implementations that are not a list"),
            (r#"{"implementations": []}"#, "has an empty list of implementations"),
            (r#"{"implementations": [1]}"#, "has a key implementations[0] that is not an object"),
            (r#"{"implementations": [{"name": "a"}, {}]}"#, "has no text in implementations[1].name"),
            (r#"{"implementations": [{"name": "a", "requirements": "x"}]}"#, "implementations[0].requirements"),
        ];
        for (text, expected) in cases {
            let problem = parse(text.as_bytes()).unwrap_err();
            assert!(problem.contains(expected), "{text}: {problem}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn whatever_is_accepted_is_an_object_with_its_content(description in ".{0,40}", private in any::<bool>()) {
            let written = serde_json::json!({"description": description, "private": private, "x": [1]});
            let metadata = parse(written.to_string().as_bytes()).unwrap();
            prop_assert_eq!(&metadata.value, &written);
            prop_assert_eq!((metadata.description(), metadata.private()), (description, private));
        }
    }
}
