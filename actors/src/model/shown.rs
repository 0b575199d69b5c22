//! JSON that is only shown: kept as the text that it is, so that showing it again and again costs a copy of bytes.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// A JSON value nobody looks into. Cheap to clone, however large it is.
#[derive(Clone)]
pub struct Shown(Arc<RawValue>);

impl Shown {
    /// Its text.
    #[must_use]
    pub fn as_text(&self) -> &str {
        self.0.get()
    }
}

impl From<&Value> for Shown {
    fn from(value: &Value) -> Self {
        let text = RawValue::from_string(value.to_string()).expect("what a value is written as is JSON");
        Self(text.into())
    }
}

impl From<Value> for Shown {
    fn from(value: Value) -> Self {
        Self::from(&value)
    }
}

impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        self.as_text() == other.as_text()
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_text())
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Shown {
    /// Only from JSON text.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_written_as_the_value_and_read_back_as_it_was() {
        let value = json!({ "b": [1, "ü\"\n"], "a": null });
        let shown = Shown::from(&value);
        assert_eq!(serde_json::to_string(&shown).unwrap(), value.to_string());
        assert_eq!(serde_json::to_value(&shown).unwrap(), value);
        assert_eq!(serde_json::from_str::<Shown>(&value.to_string()).unwrap(), shown);
        assert_ne!(shown, Shown::from(Value::Null));
    }
}
