//! What the command line reads of the server's answers. Only the keys that it shows; every other key is ignored, and a
//! missing one is empty, so that a newer or older server is no problem.

use std::collections::BTreeMap;

use bunraku_actors::model::{Cause, JobState, NodeState, reason_of};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::error::CliError;

/// A job.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) state: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) options: Value,
    pub(crate) owner: Owner,
    pub(crate) description: String,
    pub(crate) started_timestamp: Option<String>,
    pub(crate) finished_timestamp: Option<String>,
    pub(crate) duration: Option<f64>,
    pub(crate) environment: Environment,
    pub(crate) node_count: u64,
    pub(crate) node_states: Option<BTreeMap<String, u64>>,
}

impl Default for Job {
    fn default() -> Self {
        Self {
            name: String::new(),
            state: String::new(),
            kind: String::new(),
            options: Value::Null,
            owner: Owner::default(),
            description: String::new(),
            started_timestamp: None,
            finished_timestamp: None,
            duration: None,
            environment: Environment::default(),
            node_count: 0,
            node_states: None,
        }
    }
}

impl Job {
    /// The state, where it is one that we know.
    pub(crate) fn state(&self) -> Option<JobState> {
        JobState::from_name(&self.state)
    }

    /// What runs, in a word or two: `puppet`, or the task's name.
    pub(crate) fn what(&self) -> &str {
        self.options.get("task").and_then(Value::as_str).unwrap_or(if self.kind == "deploy" {
            "puppet"
        } else {
            &self.kind
        })
    }

    /// `3 finished, 1 failed`, in the order of a node's life.
    pub(crate) fn states(&self) -> String {
        let states = self.node_states.clone().unwrap_or_default();
        let shown = NodeState::ALL.into_iter().filter_map(|state| {
            let count = *states.get(state.name())?;
            (count > 0).then(|| format!("{count} {}", state.name()))
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

/// Who created a job.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Owner {
    pub(crate) login: String,
}

/// The environment of a job.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Environment {
    pub(crate) name: String,
}

/// A node of a job.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) cause: Option<String>,
    pub(crate) duration: Option<f64>,
    pub(crate) details: NodeDetails,
    pub(crate) result: Value,
}

impl Node {
    /// State and cause as the exit code wants them; an unknown state counts as a failure without a known cause.
    pub(crate) fn end(&self) -> (NodeState, Option<Cause>) {
        let cause = self.cause.as_deref().and_then(Cause::from_name);
        (NodeState::from_name(&self.state).unwrap_or(NodeState::Errored), cause)
    }

    /// State and cause in words: `errored, not_connected`.
    pub(crate) fn end_in_words(&self) -> String {
        match &self.cause {
            Some(cause) => format!("{}, {cause}", self.state),
            None => self.state.clone(),
        }
    }

    /// Why the node did not finish, in the fewest words: what its result says, or else its message.
    pub(crate) fn reason(&self) -> &str {
        reason_of(&self.result, self.message())
    }

    /// The sentence that explains the node's state: its message, or else what its result says.
    pub(crate) fn message(&self) -> &str {
        match self.details.message.trim() {
            "" => reason_of(&self.result, ""),
            message => message,
        }
    }
}

/// The `details` of a node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NodeDetails {
    pub(crate) message: String,
}

/// An event of a job.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Event {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) timestamp: String,
    pub(crate) details: Value,
    pub(crate) message: String,
}

impl Event {
    /// Why its node did not finish: what its result says, or else its message.
    pub(crate) fn reason(&self) -> &str {
        let message = self.message.trim();
        self.details.get("detail").map_or(message, |detail| reason_of(detail, message))
    }

    /// The node that it is about.
    pub(crate) fn node(&self) -> Option<&str> {
        self.details.get("node")?.as_str()
    }
}

/// A time of an answer, where it is one.
pub(crate) fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.with_timezone(&Utc))
}

/// Reads an answer, or a part of one.
///
/// # Errors
/// When it has not the shape that the API promises.
pub(crate) fn read<'a, T: Deserialize<'a>>(value: &'a Value) -> Result<T, CliError> {
    T::deserialize(value).map_err(|error| CliError::Server(format!("the server's answer makes no sense: {error}")))
}

/// The text at a place such as `/job/name`; empty where there is none.
pub(crate) fn text<'a>(value: &'a Value, place: &str) -> &'a str {
    value.pointer(place).and_then(Value::as_str).unwrap_or_default()
}

/// The texts of an array, in one; empty where there is none.
pub(crate) fn joined(value: &Value, place: &str, separator: &str) -> String {
    let texts = value.pointer(place).and_then(Value::as_array).into_iter().flatten();
    texts.filter_map(Value::as_str).collect::<Vec<_>>().join(separator)
}

/// The number of the job that a command created.
///
/// # Errors
/// When the answer has none.
pub(crate) fn job_name(answer: &Value) -> Result<String, CliError> {
    let name = answer.pointer("/job/name").and_then(Value::as_str);
    name.map(str::to_owned).ok_or_else(|| CliError::Server("the server's answer names no job".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_job_is_read_with_and_without_its_optional_keys() {
        let value = json!({
            "name": "42", "state": "failed", "type": "task", "options": {"task": "shop::sync"},
            "owner": {"login": "ops", "email": ""}, "node_count": 3, "node_states": {"failed": 1, "finished": 2},
            "finished_timestamp": null, "duration": 1.5, "environment": {"name": "production"}, "unheard-of": 1
        });
        let job: Job = read(&value).unwrap();
        assert_eq!((job.what(), job.states().as_str()), ("shop::sync", "2 finished, 1 failed"));
        assert_eq!(job.state(), Some(JobState::Failed));
        let bare: Job = read(&json!({"name": "1", "type": "deploy", "node_states": null})).unwrap();
        assert_eq!((bare.what(), bare.states().as_str()), ("puppet", ""));
        assert!(read::<Job>(&json!({"name": 1})).is_err());
    }

    #[test]
    fn a_node_says_why() {
        let node: Node = read(&json!({
            "name": "a", "state": "errored", "cause": "not_connected", "details": {},
            "result": {"_error": {"msg": "a is not connected", "kind": "k"}}
        }))
        .unwrap();
        assert_eq!(node.message(), "a is not connected");
        assert_eq!(node.end(), (NodeState::Errored, Some(Cause::NotConnected)));
        let odd: Node = read(&json!({"name": "a", "state": "exploded", "cause": "sunspots"})).unwrap();
        assert_eq!(odd.end(), (NodeState::Errored, None));
    }

    #[test]
    fn the_created_job_is_found() {
        assert_eq!(job_name(&json!({"job": {"id": "u", "name": "7"}})).unwrap(), "7");
        assert!(job_name(&json!({})).is_err());
    }
}
