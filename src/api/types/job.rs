//! A job, and the answers to commands (API §4, §5.3).

use bunraku_actors::handle::LiveJob;
use bunraku_actors::model::{JobId, JobState, JobType, NodeCounts, NodeState, Owner, Shown};
use bunraku_actors::ports::{JobRecord, StateSpan};
use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{EnvironmentRef, Link, duration, seconds};
use crate::api::accounts::Role;
use crate::api::links::Links;

/// One job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    pub id: String,
    /// Its number as text.
    pub name: String,
    pub state: String,
    pub command: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// The normalized request.
    #[schema(value_type = Object)]
    pub options: Shown,
    pub owner: OwnerView,
    pub description: String,
    /// The last state change.
    pub timestamp: String,
    pub started_timestamp: Option<String>,
    pub finished_timestamp: Option<String>,
    /// Seconds, so far or in all; null until started.
    pub duration: Option<f64>,
    pub environment: EnvironmentRef,
    pub node_count: u32,
    /// Only the states that occur; null for a job without nodes.
    pub node_states: Option<IndexMap<String, u32>>,
    /// Nodes that did not finish, by cause; an addition of ours.
    pub causes: IndexMap<String, u32>,
    pub nodes: Link,
    pub report: Link,
    pub events: Link,
    /// Oldest first.
    pub status: Vec<StatusEntry>,
    pub userdata: Value,
    /// The job of which it runs nodes again; absent for most. An addition of ours, as the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<JobRef>,
    /// The jobs that run nodes of this one again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retried_by: Vec<JobRef>,
}

/// One entry of a job's state history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusEntry {
    pub state: String,
    pub enter_time: String,
    pub exit_time: Option<String>,
}

/// Who created a job, with every key that the accounts of Puppet Enterprise have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnerView {
    pub id: String,
    pub login: String,
    pub display_name: String,
    pub email: String,
    pub is_revoked: bool,
    pub is_remote: bool,
    pub is_superuser: bool,
    pub is_group: bool,
    pub last_login: Option<String>,
    pub role_ids: Vec<u32>,
    pub inherited_role_ids: Vec<u32>,
    pub group_ids: Vec<String>,
}

/// A job by URL and name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobRef {
    pub id: String,
    pub name: String,
}

/// The answer to a command that created a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Started {
    pub job: JobRef,
}

/// The answer to a stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stopped {
    pub job: StoppedJob,
}

/// The stopped job with its nodes by state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoppedJob {
    pub id: String,
    pub name: String,
    pub nodes: IndexMap<String, u32>,
}

/// The committed state of a job at this moment, and the limit that keeps it from starting more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LiveView {
    pub state: String,
    pub counts: IndexMap<String, u32>,
    /// Null when nothing waits.
    pub binding: Value,
    /// When the last of the nodes that are not connected is given up; null when the job waits for none.
    pub away_until: Option<String>,
}

impl Job {
    pub(crate) fn new(record: &JobRecord, now: DateTime<Utc>, links: &Links) -> Self {
        let header = &record.header;
        let started = Some(header.created_at).filter(|_| !matches!(record.state, JobState::New | JobState::Ready));
        let finished = record.finished_at;
        let changed = record.history.last().map_or(header.created_at, |span| span.entered);
        let kind = header.job_type().name();
        Self {
            id: links.job(record.id),
            name: record.id.to_string(),
            state: record.state.name().to_owned(),
            command: kind.to_owned(),
            kind: kind.to_owned(),
            options: header.options.clone(),
            owner: OwnerView::from(&header.owner),
            description: header.description.clone(),
            timestamp: seconds(changed),
            started_timestamp: started.map(seconds),
            finished_timestamp: finished.map(seconds),
            duration: started.map(|start| duration(finished.unwrap_or(now) - start)),
            environment: EnvironmentRef::named(header.environment.as_ref().map_or("", |name| name.as_str())),
            node_count: header.node_count,
            node_states: occurring(&record.counts),
            causes: record.causes.iter().map(|(cause, count)| (cause.name().to_owned(), count)).collect(),
            nodes: links.of_job(record.id, "nodes"),
            report: links.of_job(record.id, "report"),
            events: links.of_job(record.id, "events"),
            status: record.history.iter().map(StatusEntry::from).collect(),
            userdata: header.userdata.clone(),
            retry_of: header.origin.retry_of.map(|job| JobRef::new(job, links)),
            retried_by: record.retries.iter().map(|job| JobRef::new(*job, links)).collect(),
        }
    }
}

fn occurring(counts: &NodeCounts) -> Option<IndexMap<String, u32>> {
    let states: IndexMap<_, _> =
        counts.iter().filter(|(_, count)| *count > 0).map(|(state, count)| (state.name().to_owned(), count)).collect();
    Some(states).filter(|states| !states.is_empty())
}

impl From<&StateSpan> for StatusEntry {
    fn from(span: &StateSpan) -> Self {
        Self {
            state: span.state.name().to_owned(),
            enter_time: seconds(span.entered),
            exit_time: span.left.map(seconds),
        }
    }
}

impl From<&Owner> for OwnerView {
    fn from(owner: &Owner) -> Self {
        let roles: Vec<_> = owner.role.split(',').filter_map(Role::from_name).collect();
        Self {
            id: owner.id.clone(),
            login: owner.login.clone(),
            display_name: owner.display_name.clone(),
            email: String::new(),
            is_revoked: false,
            is_remote: false,
            is_superuser: roles.contains(&Role::Admin),
            is_group: false,
            last_login: None,
            role_ids: roles.into_iter().map(role_id).collect(),
            inherited_role_ids: Vec::new(),
            group_ids: Vec::new(),
        }
    }
}

/// The number that Puppet Enterprise gives to its role of the same rights.
fn role_id(role: Role) -> u32 {
    match role {
        Role::Admin => 1,
        Role::Operator => 2,
        Role::Viewer => 3,
    }
}

impl JobRef {
    fn new(job: JobId, links: &Links) -> Self {
        Self { id: links.job(job), name: job.to_string() }
    }
}

impl Started {
    pub(crate) fn new(job: JobId, links: &Links) -> Self {
        Self { job: JobRef::new(job, links) }
    }
}

impl Stopped {
    pub(crate) fn new(job: JobId, counts: &NodeCounts, links: &Links) -> Self {
        // The documented six states are always there; `ready` only when it occurs.
        let nodes = counts
            .iter()
            .filter(|(state, count)| *state != NodeState::Ready || *count > 0)
            .map(|(state, count)| (state.name().to_owned(), count))
            .collect();
        Self { job: StoppedJob { id: links.job(job), name: job.to_string(), nodes } }
    }
}

impl LiveView {
    pub(crate) fn new(record: &JobRecord, live: Option<&LiveJob>) -> Self {
        live.map_or_else(|| Self::from(record), Self::from)
    }

    fn of(state: JobState, counts: &NodeCounts) -> Self {
        Self {
            state: state.name().to_owned(),
            counts: counts.iter().map(|(state, count)| (state.name().to_owned(), count)).collect(),
            binding: Value::Null,
            away_until: None,
        }
    }
}

impl From<&JobRecord> for LiveView {
    /// Of a job that is over, or that has no actor at the moment.
    fn from(record: &JobRecord) -> Self {
        Self::of(record.state, &record.counts)
    }
}

impl From<&LiveJob> for LiveView {
    fn from(live: &LiveJob) -> Self {
        Self {
            binding: json!(live.binding),
            away_until: live.away_until.map(seconds),
            ..Self::of(live.state, &live.counts)
        }
    }
}

/// How many names a short job has of those that its scope lists.
const NAMES: usize = 20;

/// A job for lists that are looked at: of the nodes that its scope lists, which may be thousands, only some.
pub(crate) fn short(job: &Job) -> Value {
    let mut shown = json!(job);
    if let Some(nodes) = shown.pointer_mut("/options/scope/nodes").and_then(Value::as_array_mut) {
        nodes.truncate(NAMES);
    }
    shown
}

/// The words by which `type` filters jobs, those of later job types included.
pub(crate) const JOB_TYPES: [(&str, Option<JobType>); 9] = [
    ("deploy", Some(JobType::Deploy)),
    ("task", Some(JobType::Task)),
    ("plan_task", Some(JobType::PlanTask)),
    ("plan_script", None),
    ("plan_upload", None),
    ("plan_command", None),
    ("plan_wait", None),
    ("plan_apply", None),
    ("plan_apply_prep", None),
];
