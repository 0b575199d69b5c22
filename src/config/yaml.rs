//! Reading a YAML file into a typed structure, with errors that name file, line and key.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    /// The place, when the parser knows it, stands in `place` as `:line:column`.
    #[error("{path}{place}: {reason}")]
    Parse { path: PathBuf, place: String, reason: String },
    #[error("{path}: {key} {reason}")]
    Invalid { path: PathBuf, key: String, reason: String },
    #[error("the environment variable {name} does not fit: {reason}")]
    Variable { name: String, reason: String },
}

/// Reads one document; an empty file is the default.
///
/// # Errors
/// When the file cannot be read or is not of the wanted shape; unknown keys are refused by the types.
pub fn read<T: DeserializeOwned + Default>(path: &Path) -> Result<T, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    parse(path, &text)
}

/// As [`read`], from text.
///
/// # Errors
/// As [`read`].
pub fn parse<T: DeserializeOwned + Default>(path: &Path, text: &str) -> Result<T, ConfigError> {
    let has_content =
        text.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#') && line != "---");
    if !has_content {
        return Ok(T::default());
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().map(|at| format!(":{}:{}", at.line(), at.column())).unwrap_or_default();
        // The first line is the reason; what follows draws the place with the user's text, which may hold secrets.
        let full = error.without_snippet().to_string();
        let reason = full.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        ConfigError::Parse { path: path.to_owned(), place, reason }
    })
}
