//! Scalars as people write them: durations ("30s", "5m"), sizes ("64 MiB"), and texts that become JSON values.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Serde for durations: `#[serde(with = "scalar::duration")]`.
pub mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes `5m`.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*value))
    }

    /// Reads `5m`, `30s`, `1h 30m`; a bare number has no unit and is refused.
    ///
    /// # Errors
    /// When the text is no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text)
            .map_err(|error| D::Error::custom(format!("'{text}' is not a duration like 30s or 5m: {error}")))
    }
}

/// Serde for durations that may be left out: `#[serde(with = "scalar::optional_duration")]`, `null` for none.
pub mod optional_duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Given(#[serde(with = "super::duration")] Duration);

    /// Writes `5m` or `null`.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(Given).serialize(serializer)
    }

    /// Reads what [`serialize`] writes.
    ///
    /// # Errors
    /// When the text is no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Given>::deserialize(deserializer)?.map(|Given(duration)| duration))
    }
}

/// Serde for sizes in bytes: `#[serde(with = "scalar::size")]`.
pub mod size {
    use bytesize::ByteSize;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes `64 MiB`, or the plain number where no unit fits exactly.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        for (unit, name) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
            if *value >= unit && value.is_multiple_of(unit) {
                return serializer.collect_str(&format_args!("{} {name}", value / unit));
            }
        }
        serializer.collect_str(value)
    }

    /// Reads `64 MiB`, `500 kB`, `1024`.
    ///
    /// # Errors
    /// When the text is no size.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        let size: ByteSize =
            text.parse().map_err(|error| D::Error::custom(format!("'{text}' is not a size like 64 MiB: {error}")))?;
        Ok(size.as_u64())
    }
}

/// Reads a section; one whose keys are all commented out is `null` in YAML and means the default.
///
/// # Errors
/// The section's own.
pub fn section<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The value that a variable's text stands for: JSON where it is JSON (numbers, booleans, null, lists), else the text.
#[must_use]
pub fn from_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
