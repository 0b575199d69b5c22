//! The sections of an environment file as they are written; what is right about them is decided in `check`.

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_saphyr::Spanned;

/// A text and where it stands.
pub(super) type Text = Spanned<String>;

/// A key whose lines are all commented out is null to YAML; it means the same as no key.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Document {
    #[serde(deserialize_with = "or_default")]
    pub(super) nodes: Vec<Text>,
    pub(super) modulepath: Option<Vec<Text>>,
    pub(super) manifest: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) settings: Settings,
    #[serde(deserialize_with = "or_default")]
    pub(super) applications: Vec<Application>,
    #[serde(deserialize_with = "or_default")]
    pub(super) order: Vec<Spanned<TierSection>>,
}

/// A tier; exactly one of its keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TierSection {
    pub(super) group: Option<String>,
    pub(super) query: Option<Value>,
    pub(super) nodes: Option<Vec<Text>>,
}

/// Settings of Puppet that clients show; they change nothing here.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    pub(super) environment_timeout: i64,
    pub(super) config_version: String,
}

/// An application type with its instances.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Application {
    #[serde(rename = "type")]
    pub(super) kind: Text,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) parameters: IndexMap<String, Spanned<Value>>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) instances: Vec<InstanceSection>,
}

/// One instance of an application.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InstanceSection {
    pub(super) title: Text,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) components: Vec<ComponentSection>,
}

/// One component of an instance.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ComponentSection {
    #[serde(rename = "type")]
    pub(super) kind: Text,
    pub(super) title: Text,
    pub(super) node: Option<Text>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) produces: Vec<Text>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) consumes: Vec<Text>,
}
