//! Commands as the engine takes them: checked, typed, not yet resolved.

use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{CertName, DeployOptions, EnvironmentName, OnceKey, Origin, Owner, Reach, TaskName};

/// Which nodes a command is for (orchestrator API, §4.1).
#[derive(Debug, Clone, PartialEq)]
pub enum Scope {
    /// Exactly these; unknown ones are taken too and end `errored`.
    Nodes(Vec<CertName>),
    /// An application or one of its instances.
    Application(ApplicationTarget),
    /// Every node of the environment.
    WholeEnvironment,
    /// A PuppetDB query: PQL text or an AST array.
    Query(Value),
    /// A node group's id.
    NodeGroup(String),
}

/// `Type` or `Type[title]`, quotes around the title already stripped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationTarget {
    /// The application type; first letters of its segments compare without case.
    pub kind: String,
    /// One instance, or all of them.
    pub title: Option<String>,
}

/// A checked `POST /command/deploy`.
#[derive(Debug, Clone, PartialEq)]
pub struct DeployCommand {
    /// `None` where the request said `""`: no graph, no ordering, nothing enforced.
    pub environment: Option<EnvironmentName>,
    /// Whether agents must run in exactly that environment.
    pub enforce_environment: bool,
    /// The nodes.
    pub scope: Scope,
    /// Tiers of nodes (each `Nodes`, `Query` or `NodeGroup`) that follow each other; `None` is the environment's own.
    pub order: Option<Vec<Scope>>,
    /// What reaches `puppet agent`.
    pub run: DeployOptions,
    /// The rest.
    pub common: Common,
}

/// A checked `POST /command/task`.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskCommand {
    /// Where the task comes from.
    pub environment: EnvironmentName,
    /// The task.
    pub task: TaskName,
    /// Its parameters.
    pub params: Map<String, Value>,
    /// The nodes: only `Nodes`, `Query` and `NodeGroup`.
    pub scope: Scope,
    /// Whether to simulate; the task must support it.
    pub noop: bool,
    /// The rest.
    pub common: Common,
}

/// What every job-creating command has.
#[derive(Debug, Clone, PartialEq)]
pub struct Common {
    /// Who asks.
    pub owner: Owner,
    /// May be empty.
    pub description: String,
    /// The most nodes at once; `None` is unlimited.
    pub concurrency: Option<NonZeroU32>,
    /// The longest that one run may take; `None` is the server's default.
    pub timeout: Option<Duration>,
    /// Arbitrary data, echoed.
    pub userdata: Value,
    /// The normalized request, shown as the job's `options`.
    pub options: Value,
    /// The nodes on which its owner may act; a scope beyond it is refused.
    pub reach: Reach,
    /// What the job belongs to.
    pub origin: Origin,
    /// Set when a repeated command must not make a second job.
    pub once: Option<OnceKey>,
}
