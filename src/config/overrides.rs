//! Keys of a configuration file overridden by variables: `BUNRAKU_` and the key in capitals, `__` for the dot.

use std::ffi::OsString;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::scalar;
use super::yaml::ConfigError;

/// What every override begins with.
const PREFIX: &str = "BUNRAKU_";
/// Variables of that prefix which belong to the command line client, to tests, or to the runs of an agent.
const NOT_KEYS: [&str; 9] = [
    "BUNRAKU_URL",
    "BUNRAKU_TOKEN",
    "BUNRAKU_CA",
    "BUNRAKU_CONFIG",
    "BUNRAKU_JOB_ID",
    "BUNRAKU_LASTRUNREPORT",
    "BUNRAKU_LOG",
    "BUNRAKU_RENDER",
    "BUNRAKU_REQUIRE_ALL",
];

/// The configuration with every variable of the prefix applied.
///
/// # Errors
/// Names the variable that stands for no key, or whose value does not fit.
pub fn apply<T: Serialize + DeserializeOwned>(
    config: T,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<T, ConfigError> {
    let mut tree = serde_json::to_value(&config).expect("a configuration serializes");
    let mut changed = Vec::new();
    for (name, value) in variables {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
        if !name.starts_with(PREFIX) || NOT_KEYS.contains(&name) {
            continue;
        }
        let key = name[PREFIX.len()..].to_lowercase().replace("__", ".");
        let place = find(&mut tree, &key).ok_or_else(|| ConfigError::Variable {
            name: name.to_owned(),
            reason: format!("there is no key '{key}'"),
        })?;
        *place = scalar::from_text(value);
        changed.push(name.to_owned());
    }
    if changed.is_empty() {
        return Ok(config);
    }
    serde_json::from_value(tree)
        .map_err(|error| ConfigError::Variable { name: changed.join(", "), reason: error.to_string() })
}

/// The place of a dotted key in a tree of objects.
fn find<'tree>(tree: &'tree mut Value, key: &str) -> Option<&'tree mut Value> {
    key.split('.').try_fold(tree, |node, part| node.as_object_mut()?.get_mut(part))
}
