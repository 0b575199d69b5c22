//! What runs on the nodes of a job.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{JobKind, Secrets, TaskName};

/// What runs on every node of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A Puppet run.
    Deploy(DeployAction),
    /// A task.
    Task(TaskAction),
}

impl Action {
    /// Deploy or task.
    #[must_use]
    pub fn kind(&self) -> JobKind {
        match self {
            Self::Deploy(_) => JobKind::Deploy,
            Self::Task(_) => JobKind::Task,
        }
    }

    /// Whether the run only simulates, which `node_running` events tell.
    #[must_use]
    pub fn noop(&self) -> bool {
        match self {
            Self::Deploy(deploy) => deploy.options.noop,
            Self::Task(task) => task.noop,
        }
    }
}

/// A Puppet run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeployAction {
    /// The environment that agents are told to run in; `None` lets them use their own.
    pub enforced_environment: Option<String>,
    /// The options that become flags.
    pub options: DeployOptions,
}

impl DeployAction {
    /// The flags for `puppet agent` (API §16), flag and value as separate elements.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let mut flags = Vec::new();
        if let Some(environment) = &self.enforced_environment {
            flags.extend(["--environment".to_owned(), environment.clone(), "--strict_environment_mode".to_owned()]);
        }
        self.options.push_flags(&mut flags);
        flags
    }
}

/// The options of a deploy that reach `puppet agent` (API §4.1, §16).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeployOptions {
    pub noop: bool,
    pub no_noop: bool,
    pub debug: bool,
    pub trace: bool,
    pub evaltrace: bool,
    pub filetimeout: Option<u64>,
    pub http_connect_timeout: Option<u64>,
    pub http_keepalive_timeout: Option<u64>,
    pub http_read_timeout: Option<u64>,
    pub ordering: Option<String>,
    pub skip_tags: Option<String>,
    pub tags: Option<String>,
    pub use_cached_catalog: Option<bool>,
    pub usecacheonfailure: Option<bool>,
}

impl DeployOptions {
    fn push_flags(&self, flags: &mut Vec<String>) {
        let switches = [
            ("--noop", self.noop),
            ("--no-noop", self.no_noop),
            ("--debug", self.debug),
            ("--trace", self.trace),
            ("--evaltrace", self.evaltrace),
        ];
        flags.extend(switches.into_iter().filter(|(_, on)| *on).map(|(flag, _)| flag.to_owned()));
        let numbers = [
            ("--filetimeout", self.filetimeout),
            ("--http_connect_timeout", self.http_connect_timeout),
            ("--http_keepalive_timeout", self.http_keepalive_timeout),
            ("--http_read_timeout", self.http_read_timeout),
        ];
        let texts = [("--ordering", &self.ordering), ("--skip_tags", &self.skip_tags), ("--tags", &self.tags)];
        let values = numbers
            .into_iter()
            .filter_map(|(flag, number)| Some((flag, number?.to_string())))
            .chain(texts.into_iter().filter_map(|(flag, text)| Some((flag, text.clone()?))));
        for (flag, value) in values {
            flags.extend([flag.to_owned(), value]);
        }
        // Unset means a fresh catalog on every node, whatever puppet.conf says (API §16).
        let cached = if self.use_cached_catalog == Some(true) { "--" } else { "--no-" };
        flags.push(format!("{cached}use_cached_catalog"));
        let on_failure = if self.usecacheonfailure == Some(true) { "--" } else { "--no-" };
        flags.push(format!("{on_failure}usecacheonfailure"));
    }
}

/// A task, its files pinned by content when the job was created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskAction {
    /// Its name.
    pub task: TaskName,
    /// The parameters, defaults filled in, without the sensitive ones.
    pub input: Map<String, Value>,
    /// The names of those that are sensitive and were given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sensitive: Vec<String>,
    /// Their values, while the job is not over.
    #[serde(skip)]
    pub secrets: Secrets,
    /// The task's metadata as its JSON file says.
    pub metadata: Value,
    /// Its files, the executable or the implementations first.
    pub files: Vec<TaskFile>,
    /// Whether the task only simulates (`_noop` in its input).
    pub noop: bool,
    /// The environment that the task comes from.
    pub environment: String,
}

/// One file of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFile {
    /// The name that metadata and implementations use.
    pub filename: String,
    /// SHA-256 of its content, lower-case hex.
    pub sha256: String,
    /// Its size.
    pub size_bytes: u64,
    /// The path under which agents fetch it.
    pub path: String,
}

/// How parameters reach a task (PXP §11.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputMethod {
    /// One JSON object on standard input.
    Stdin,
    /// Variables `PT_<name>`.
    Environment,
    /// Both of them.
    Both,
    /// Named arguments of a PowerShell script; refused on the nodes we run on.
    Powershell,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_those_of_the_reference() {
        let action = DeployAction {
            enforced_environment: Some("production".into()),
            options: DeployOptions {
                noop: true,
                filetimeout: Some(7),
                tags: Some("a,b".into()),
                usecacheonfailure: Some(true),
                ..DeployOptions::default()
            },
        };
        let expected = "--environment production --strict_environment_mode --noop --filetimeout 7 --tags a,b \
                        --no-use_cached_catalog --usecacheonfailure";
        assert_eq!(action.flags().join(" "), expected);
        let bare = DeployAction { enforced_environment: None, options: DeployOptions::default() };
        assert_eq!(bare.flags(), ["--no-use_cached_catalog", "--no-usecacheonfailure"]);
    }
}
