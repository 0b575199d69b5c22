//! Newtypes for everything that could be swapped by accident; parsed once, at the edge.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a text is no name of the kind asked for. Shows the text, never more than 80 characters of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} '{value}' is not valid: {rule}")]
pub struct InvalidName {
    /// The kind of name, as users call it.
    pub what: &'static str,
    /// The refused text, shortened.
    pub value: String,
    /// The rule which it breaks.
    pub rule: &'static str,
}

impl InvalidName {
    fn new(what: &'static str, value: &str, rule: &'static str) -> Self {
        Self { what, value: value.chars().take(80).collect(), rule }
    }
}

/// A job's number: increasing from 1, gap-free but for the recorded jump after a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An event's number: one increasing sequence shared by all jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventSeq(pub u64);

impl EventSeq {
    /// The number that follows.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for EventSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A node's place in its job: nodes of a job are sorted by certname, so this order is name order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeIndex(pub u32);

impl NodeIndex {
    /// The index into a slice with one entry per node of the job.
    #[must_use]
    pub fn at(self) -> usize {
        self.0 as usize
    }
}

/// How often a node has been started in its job: 1 for the first start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(pub u32);

impl Attempt {
    /// The first attempt of every node.
    pub const FIRST: Self = Self(1);
}

/// 128 random bits committed with a job; the root of all its transaction ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunKey(pub Uuid);

/// The PXP transaction id of one attempt on one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TransactionId(pub Uuid);

impl TransactionId {
    /// UUIDv5 of run key, certname and attempt: a restored or copied database can never reuse an id for other work.
    #[must_use]
    pub fn derive(run_key: RunKey, node: &CertName, attempt: Attempt) -> Self {
        let name = format!("{}/{}", node.as_str(), attempt.0);
        Self(Uuid::new_v5(&run_key.0, name.as_bytes()))
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A node's certificate name. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CertName(Arc<str>);

impl CertName {
    /// Accepts 1 to 255 printable ASCII characters without blank, `/`, `*`, quotes or backslash.
    ///
    /// # Errors
    /// Refuses every other text.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        const RULE: &str = "1 to 255 printable ASCII characters without blank, slash, asterisk, quote or backslash";
        let fits = (1..=255).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"/*\"'\\".contains(&byte));
        if fits { Ok(Self(text.into())) } else { Err(InvalidName::new("certname", text, RULE)) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CertName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for CertName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        Self::parse(&text)
    }
}

impl From<CertName> for String {
    fn from(name: CertName) -> Self {
        name.as_str().to_owned()
    }
}

/// The name of an environment: `^[a-z0-9_]+$`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvironmentName(Arc<str>);

impl EnvironmentName {
    /// Accepts lower-case letters, digits and underscore.
    ///
    /// # Errors
    /// Refuses every other text, the empty one included.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let fits = !text.is_empty()
            && text.len() <= 255
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName::new("environment", text, "lower-case letters, digits and underscore only"))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnvironmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for EnvironmentName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        Self::parse(&text)
    }
}

impl From<EnvironmentName> for String {
    fn from(name: EnvironmentName) -> Self {
        name.as_str().to_owned()
    }
}

/// The name of a task: `module` or `module::task`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskName(Arc<str>);

impl TaskName {
    /// Accepts `^[a-z][a-z0-9_]*(::[a-z][a-z0-9_]*)?$`; `module::init` is written `module`.
    ///
    /// # Errors
    /// Refuses every other text.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let segment = |part: &str| {
            part.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        let mut parts = text.split("::");
        let fits = text.len() <= 255
            && parts.next().is_some_and(segment)
            && parts.next().is_none_or(segment)
            && parts.next().is_none();
        if !fits {
            return Err(InvalidName::new(
                "task",
                text,
                "module or module::task, lower-case letters, digits, underscore",
            ));
        }
        Ok(Self(text.strip_suffix("::init").unwrap_or(text).into()))
    }

    /// The name as text, without `::init`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The module and the task within it (`init` for the module's own task).
    #[must_use]
    pub fn parts(&self) -> (&str, &str) {
        self.0.split_once("::").unwrap_or((&self.0, "init"))
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TaskName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        Self::parse(&text)
    }
}

impl From<TaskName> for String {
    fn from(name: TaskName) -> Self {
        name.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_grammars() {
        for good in ["a", "web1.example.com", "UPPER-ok_1"] {
            assert_eq!(CertName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a/b", "*", "ä", "a\n"] {
            assert!(CertName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(EnvironmentName::parse("prod_1").is_ok());
        assert!(EnvironmentName::parse("bad-name").is_err());
        assert_eq!(TaskName::parse("exec::init").unwrap().as_str(), "exec");
        assert_eq!(TaskName::parse("exec::run").unwrap().parts(), ("exec", "run"));
        for bad in ["", "Exec", "a::b::c", "a::", "::a", "1a"] {
            assert!(TaskName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn transaction_ids_differ_by_key_node_and_attempt() {
        let (one, two) = (RunKey(Uuid::from_u128(1)), RunKey(Uuid::from_u128(2)));
        let (a, b) = (CertName::parse("a").unwrap(), CertName::parse("b").unwrap());
        let ids = [
            TransactionId::derive(one, &a, Attempt(1)),
            TransactionId::derive(one, &a, Attempt(2)),
            TransactionId::derive(one, &b, Attempt(1)),
            TransactionId::derive(two, &a, Attempt(1)),
        ];
        let distinct: std::collections::BTreeSet<_> = ids.into_iter().collect();
        assert_eq!(distinct.len(), ids.len());
        assert_eq!(ids[0], TransactionId::derive(one, &a, Attempt(1)), "the same input gives the same id");
    }
}
