//! A JSON object with typed reads which name the key that is wrong. `null` counts as absent everywhere.

use serde_json::{Map, Value, json};

use super::common::ATTACHED_BYTES;
use crate::api::error::ApiError;

/// So many characters of an unknown key are shown.
const SHOWN: usize = 80;

/// A JSON object of a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Object {
    map: Map<String, Value>,
    /// What stands before a key in messages: empty, or `scope.`.
    prefix: &'static str,
}

impl Object {
    pub(crate) fn new(map: Map<String, Value>) -> Self {
        Self { map, prefix: "" }
    }

    /// An object inside another one; `prefix` stands before its keys in messages.
    pub(crate) fn within(map: Map<String, Value>, prefix: &'static str) -> Self {
        Self { map, prefix }
    }

    /// Whether the key is there, were it null.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// All of it, as it came.
    pub(crate) fn as_map(&self) -> &Map<String, Value> {
        &self.map
    }

    /// The keys that have a value, with it.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.map.iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.as_str(), value))
    }

    /// A key as messages name it.
    pub(crate) fn name(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The value of a key, absent when null.
    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// The keys that have a value.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries().map(|(key, _)| key)
    }

    /// Refuses keys that are none of these. For endpoints of our own, where a misspelled key would widen what is done.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        match self.map.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => {
                let key: String = self.name(key).chars().take(SHOWN).collect();
                Err(ApiError::invalid(&key, format!("there is no key '{key}': use {}", known.join(", "))))
            }
        }
    }

    /// Whether it has no key at all, not even one whose value is null.
    pub(crate) fn is_literally_empty(&self) -> bool {
        self.map.is_empty()
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| ApiError::wrong_type(&self.name(key), expected, value))
    }

    /// An optional text of at most [`ATTACHED_BYTES`]: it is kept, and shown in lists.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&str>, ApiError> {
        let text = self.typed(key, "a string", Value::as_str)?;
        if let Some(size) = text.map(str::len).filter(|size| *size > ATTACHED_BYTES) {
            let key = self.name(key);
            let msg = format!("{key} must be at most {ATTACHED_BYTES} bytes, not {size}");
            return Err(ApiError::validation(msg, json!({ "key": key, "size": size, "limit": ATTACHED_BYTES })));
        }
        Ok(text)
    }

    /// A text that must be there.
    pub(crate) fn required_text(&self, key: &str) -> Result<&str, ApiError> {
        self.text(key)?.ok_or_else(|| ApiError::missing(&self.name(key)))
    }

    /// An optional boolean.
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>, ApiError> {
        self.typed(key, "a boolean", Value::as_bool)
    }

    /// An optional integer of at least `min`.
    pub(crate) fn integer(&self, key: &str, min: u64) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let Value::Number(number) = value else {
            return Err(ApiError::wrong_type(&self.name(key), "an integer", value));
        };
        let fits = number.as_u64().filter(|number| *number >= min);
        fits.map(Some).ok_or_else(|| {
            let name = self.name(key);
            ApiError::invalid(&name, format!("{name} must be an integer of at least {min}, not {number}"))
        })
    }

    /// An optional array.
    pub(crate) fn array(&self, key: &str) -> Result<Option<&Vec<Value>>, ApiError> {
        self.typed(key, "an array", Value::as_array)
    }

    /// An optional object, as it came.
    pub(crate) fn map(&self, key: &str) -> Result<Option<&Map<String, Value>>, ApiError> {
        self.typed(key, "an object", Value::as_object)
    }

    /// An optional object whose keys are read one by one; `prefix` stands before them in messages.
    pub(crate) fn object(&self, key: &str, prefix: &'static str) -> Result<Option<Self>, ApiError> {
        Ok(self.map(key)?.map(|map| Self::within(map.clone(), prefix)))
    }
}
