//! Values of sensitive parameters: in memory only, never written with what they belong to, overwritten at the end.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};
use zeroize::Zeroize as _;

/// Sensitive parameters by name. Cheap to clone; the texts are overwritten when the last clone goes.
#[derive(Clone, Default, PartialEq)]
pub struct Secrets(Option<Arc<Wiped>>);

#[derive(PartialEq)]
struct Wiped(Map<String, Value>);

impl Secrets {
    /// These values; none is the same as [`Secrets::default`].
    #[must_use]
    pub fn new(values: Map<String, Value>) -> Self {
        Self((!values.is_empty()).then(|| Arc::new(Wiped(values))))
    }

    /// The values, for whoever sends or seals them; `None` where there are none, or none any more.
    #[must_use]
    pub fn values(&self) -> Option<&Map<String, Value>> {
        self.0.as_deref().map(|wiped| &wiped.0)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Secrets(..)" } else { "Secrets(none)" })
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

/// Overwrites the texts of a value.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(entries) => entries.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn they_are_neither_shown_nor_left_behind() {
        let map = |value: Value| value.as_object().cloned().unwrap_or_default();
        let secrets = Secrets::new(map(json!({ "password": "hunter2", "deep": [{ "pin": "1234" }] })));
        assert_eq!(format!("{secrets:?}"), "Secrets(..)");
        assert_eq!(secrets.clone(), secrets);
        assert_eq!(Secrets::new(Map::new()), Secrets::default());
        let mut value = json!({ "password": "hunter2", "deep": [{ "pin": "1234" }], "n": 7 });
        wipe(&mut value);
        assert_eq!(value, json!({ "password": "", "deep": [{ "pin": "" }], "n": 7 }));
    }
}
