//! What is told about a value that does not fit.
//!
//! Texts for people only; what fits is decided by `check`.

use serde_json::Value;

use super::check::{Failure, Problem, Step, has_secrets};
use super::cut;

/// The first part of a value that does not fit. Holds parts of the value: only [`Mismatch::describe`] keeps secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The way from the top of the value, such as `[2].name`; empty at the top.
    pub path: String,
    /// The type at that place, or that of the keys for [`Found::WrongKey`].
    pub expected: String,
    /// What is at that place instead.
    pub found: Found,
    /// Whether the type itself says that a secret is at that place, with `Sensitive`.
    pub secret: bool,
}

/// What is wrong at the place of a mismatch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The value does not fit.
    Value {
        /// What it is, such as `this string`.
        kind: &'static str,
        /// The value as JSON, cut if it is long.
        shown: String,
    },
    /// A `Struct` demands this key.
    MissingKey(String),
    /// A `Struct` does not have this key.
    UnknownKey(String),
    /// A `Hash` does not allow this key.
    WrongKey(String),
}

impl Mismatch {
    /// Says what is wrong with a parameter. Of a secret one no value and no key is repeated, nor of what is
    /// `Sensitive` by its type.
    #[must_use]
    pub fn describe(&self, parameter: &str, secret: bool) -> String {
        let Self { path, expected, found, .. } = self;
        let secret = secret || self.secret;
        let place = match (secret, path.is_empty()) {
            // The keys on the way may be part of the secret.
            (true, false) => format!("a value in parameter {parameter}"),
            (true, true) | (false, _) => format!("parameter {parameter}{path}"),
        };
        match found {
            Found::Value { kind, .. } if secret => format!("{place} must match {expected}, not {kind}"),
            Found::Value { shown, .. } => format!("{place} must match {expected}, not {shown}"),
            Found::MissingKey(key) => format!("{place} lacks the key {}", shown_key(key)),
            Found::UnknownKey(_) if secret => format!("{place} has an unknown key"),
            Found::UnknownKey(key) => format!("{place} has the unknown key {}", shown_key(key)),
            Found::WrongKey(_) if secret => format!("{place} has a key that does not match {expected}"),
            Found::WrongKey(key) => format!("{place} has the key {}, which does not match {expected}", shown_key(key)),
        }
    }
}

impl From<Failure<'_>> for Mismatch {
    fn from(failure: Failure<'_>) -> Self {
        let path = failure.steps.iter().rev().map(shown_step).collect();
        let found = match failure.problem {
            Problem::Value(value) => Found::Value { kind: kind(value), shown: cut(&value.to_string()) },
            Problem::Missing(key) => Found::MissingKey(key.to_owned()),
            Problem::Unknown(key) => Found::UnknownKey(key.to_owned()),
            Problem::Key(key) => Found::WrongKey(key.to_owned()),
        };
        let secret = failure.secret || has_secrets(failure.wanted);
        Self { path, expected: failure.wanted.to_string(), found, secret }
    }
}

fn shown_step(step: &Step<'_>) -> String {
    match step {
        Step::Index(index) => format!("[{index}]"),
        Step::Key(key) if is_simple(key) => format!(".{}", shown_key(key)),
        Step::Key(key) => format!("[{}]", shown_key(key)),
    }
}

fn shown_key(key: &str) -> String {
    let key = cut(key);
    if is_simple(&key) { key } else { Value::from(key).to_string() }
}

fn is_simple(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "this boolean",
        Value::Number(_) => "this number",
        Value::String(_) => "this string",
        Value::Array(_) => "this array",
        Value::Object(_) => "this object",
    }
}
