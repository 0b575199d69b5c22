//! What writer and readers load alike: job records, node rows with decisions applied, whole jobs for recovery.

use std::sync::Arc;
use std::time::Duration;

use bunraku_actors::model::{
    Action, Attempt, Cause, CauseCounts, DeployAction, DeployOptions, EnvironmentName, EventSeq, JobHeader, JobId,
    JobKind, JobSpec, NodeCounts, NodeIndex, NodeState, Origin, Owner, Secrets, TaskAction, TaskName, TransactionId,
};
use bunraku_actors::ports::{JobRecord, StateSpan, StoredNode, UnfinishedJob};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, Row};
use serde_json::{Map, json};

use super::columns::{Db, get, get_opt};
use super::decision::Pending;
use super::fault::Fault;
use super::specs::Specs;

/// One node as its row says, decisions applied.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NodeRow {
    pub(super) state: NodeState,
    pub(super) cause: Option<Cause>,
    pub(super) attempt: Option<Attempt>,
    pub(super) transaction: Option<TransactionId>,
    pub(super) started_at: Option<DateTime<Utc>>,
    pub(super) finished_at: Option<DateTime<Utc>>,
    pub(super) changed_at: DateTime<Utc>,
    pub(super) deadline: Option<DateTime<Utc>>,
    pub(super) accepted: bool,
    pub(super) spool: Option<String>,
    pub(super) transaction_uuid: Option<String>,
    pub(super) latest_event: EventSeq,
}

/// The columns that [`NodeRow::read`] expects first, in its order; the table is called `n`.
macro_rules! node_columns {
    () => {
        "n.state, n.cause, n.attempt, n.transaction_id, n.started_at, n.finished_at, n.changed_at, n.deadline, \
         n.accepted, n.spool, n.transaction_uuid, n.latest_event"
    };
}
pub(super) use node_columns;

impl NodeRow {
    /// A node as it is at creation.
    pub(super) fn fresh(ready: bool, at: DateTime<Utc>) -> Self {
        Self {
            state: if ready { NodeState::Ready } else { NodeState::New },
            cause: None,
            attempt: None,
            transaction: None,
            started_at: None,
            finished_at: None,
            changed_at: at,
            deadline: None,
            accepted: false,
            spool: None,
            transaction_uuid: None,
            latest_event: EventSeq(0),
        }
    }

    /// Reads `node_columns!()` from the start of a row.
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            state: get(row, 0)?,
            cause: get_opt(row, 1)?,
            attempt: get_opt(row, 2)?,
            transaction: get_opt(row, 3)?,
            started_at: get_opt(row, 4)?,
            finished_at: get_opt(row, 5)?,
            changed_at: get(row, 6)?,
            deadline: get_opt(row, 7)?,
            accepted: row.get(8)?,
            spool: row.get(9)?,
            transaction_uuid: row.get(10)?,
            latest_event: get(row, 11)?,
        })
    }

    fn into_stored(self) -> StoredNode {
        StoredNode {
            state: self.state,
            cause: self.cause,
            attempt: self.attempt,
            started_at: self.started_at,
            deadline: self.deadline,
            accepted: self.accepted,
            spool: self.spool,
        }
    }
}

/// Says which node lacks its row.
pub(super) fn missing_row(job: JobId, node: NodeIndex) -> Fault {
    Fault::Inconsistent(format!("node {} of job {job} has no row", node.0))
}

/// Hands every node of a job to `visit`, by index, decisions applied.
pub(super) fn each_node(
    connection: &Connection,
    job: JobId,
    node_count: u32,
    mut visit: impl FnMut(NodeIndex, NodeRow),
) -> Result<(), Fault> {
    let pending = Pending::load(connection, job)?;
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        node_columns!(),
        ", n.node FROM job_nodes n WHERE n.job = ?1 ORDER BY n.node"
    ))?;
    let mut rows = statement.query([Db(job)])?;
    let mut next_row = None;
    for node in (0..node_count).map(NodeIndex) {
        if next_row.is_none() {
            next_row = match rows.next()? {
                Some(row) => Some((get::<NodeIndex>(row, 12)?, NodeRow::read(row)?)),
                None => None,
            };
        }
        let own = next_row.take_if(|(index, _)| *index == node).map(|(_, row)| row);
        visit(node, pending.apply(own, node).ok_or_else(|| missing_row(job, node))?);
    }
    Ok(())
}

/// One job, or `None`.
pub(super) fn job_record(connection: &Connection, specs: &Specs, job: JobId) -> Result<Option<JobRecord>, Fault> {
    let mut statement = connection
        .prepare_cached("SELECT state, stop, counts, finished_at, causes, retries FROM jobs WHERE id = ?1")?;
    let found = statement
        .query_row([Db(job)], |row| {
            let retries: Option<String> = row.get(5)?;
            // Counts that cannot be read are counted again: no list must fail for them.
            Ok((
                get(row, 0)?,
                get_opt(row, 1)?,
                get(row, 2).ok(),
                get_opt(row, 3)?,
                get_opt(row, 4).unwrap_or(None),
                retries,
            ))
        })
        .optional()?;
    let Some((state, stop, counts, finished_at, causes, retries)) = found else { return Ok(None) };
    let counts: Option<NodeCounts> = counts;
    let history = history(connection, job)?;
    let header = match specs.header(connection, job) {
        Ok(header) => header,
        Err(fault) if fault.advice().is_some() => return Err(fault),
        Err(fault) => {
            tracing::error!(%job, error = %fault, "what was asked of a job cannot be read");
            let node_count =
                counts.as_ref().map_or_else(|| count_rows(connection, job), |counts| Ok(counts.total()))?;
            Arc::new(bare_header(connection, job, node_count, &history)?)
        }
    };
    let counts = match counts {
        Some(counts) => counts,
        None => count_states(connection, job, header.node_count)?,
    };
    let causes = match causes {
        Some(causes) => causes,
        None => count_causes(connection, job, header.node_count)?,
    };
    let retries = retries.map(|text| serde_json::from_str(&text)).transpose().unwrap_or_else(|error| {
        tracing::error!(%job, %error, "the jobs that run nodes of a job again cannot be read");
        None
    });
    let retries = retries.unwrap_or_default();
    Ok(Some(JobRecord { id: job, header, state, counts, causes, history, finished_at, stop, retries }))
}

/// The counts by cause of a job from before they were kept.
fn count_causes(connection: &Connection, job: JobId, node_count: u32) -> Result<CauseCounts, Fault> {
    let mut causes = CauseCounts::default();
    each_node(connection, job, node_count, |_, row| causes.add(row.cause, 1))?;
    Ok(causes)
}

/// The counts by state of a job whose own cannot be read.
fn count_states(connection: &Connection, job: JobId, node_count: u32) -> Result<NodeCounts, Fault> {
    tracing::error!(%job, "the counts of a job cannot be read: its nodes are counted");
    let mut counts = NodeCounts::default();
    each_node(connection, job, node_count, |_, row| counts.add(row.state, 1))?;
    Ok(counts)
}

fn count_rows(connection: &Connection, job: JobId) -> rusqlite::Result<u32> {
    let count = "SELECT count(*) FROM job_nodes WHERE job = ?1";
    connection.prepare_cached(count)?.query_row([Db(job)], |row| row.get(0))
}

/// What is known of a job whose header cannot be read: a list must not fail because of one of its jobs.
fn bare_header(
    connection: &Connection,
    job: JobId,
    node_count: u32,
    history: &[StateSpan],
) -> rusqlite::Result<JobHeader> {
    let mut statement =
        connection.prepare_cached("SELECT kind, task, environment, owner, changed_at FROM jobs WHERE id = ?1")?;
    statement.query_row([Db(job)], |row| {
        let (task, environment): (Option<String>, String) = (row.get(1)?, row.get(2)?);
        Ok(JobHeader {
            kind: get(row, 0)?,
            task: task.and_then(|name| TaskName::parse(&name).ok()),
            environment: EnvironmentName::parse(&environment).ok(),
            options: json!({}).into(),
            owner: Owner { id: String::new(), login: row.get(3)?, display_name: String::new(), role: String::new() },
            description: "what was asked of this job cannot be read: see the log of the service".to_owned(),
            userdata: json!({}),
            created_at: history.first().map_or(get(row, 4)?, |span| span.entered),
            concurrency: None,
            run_timeout: Duration::ZERO,
            node_count,
            origin: Origin::default(),
        })
    })
}

/// The states of a job that can be read, oldest first.
pub(super) fn history(connection: &Connection, job: JobId) -> rusqlite::Result<Vec<StateSpan>> {
    let mut statement =
        connection.prepare_cached("SELECT state, entered, left FROM job_states WHERE job = ?1 ORDER BY position")?;
    let mut rows = statement.query([Db(job)])?;
    let mut spans = Vec::new();
    while let Some(row) = rows.next()? {
        let span = || Ok(StateSpan { state: get(row, 0)?, entered: get(row, 1)?, left: get_opt(row, 2)? });
        match span() {
            Ok(span) => spans.push(span),
            Err::<_, rusqlite::Error>(error) => tracing::error!(%job, %error, "a state of a job cannot be read"),
        }
    }
    Ok(spans)
}

/// One job with all its nodes, or `None`. Where its counts are not those of its nodes, the nodes are right.
pub(super) fn whole_job(connection: &Connection, specs: &Specs, job: JobId) -> Result<Option<UnfinishedJob>, Fault> {
    let Some(mut record) = job_record(connection, specs, job)? else { return Ok(None) };
    let spec: Arc<JobSpec> = specs.whole_spec(connection, job)?;
    let mut nodes = Vec::with_capacity(spec.nodes.len());
    let node_count = record.header.node_count;
    if usize::try_from(node_count).ok() != Some(spec.nodes.len()) {
        let named = spec.nodes.len();
        return Err(Fault::Inconsistent(format!("job {job} has {node_count} nodes, and its specification {named}")));
    }
    let states = "SELECT count(*) FROM job_states WHERE job = ?1";
    let states: u32 = connection.prepare_cached(states)?.query_row([Db(job)], |row| row.get(0))?;
    // The next one is written behind them.
    if states == 0 || states as usize != record.history.len() {
        return Err(Fault::Inconsistent(format!("the states of job {job} cannot be read")));
    }
    let (mut counts, mut causes) = (NodeCounts::default(), CauseCounts::default());
    each_node(connection, job, node_count, |_, row| {
        counts.add(row.state, 1);
        causes.add(row.cause, 1);
        nodes.push(row.into_stored());
    })?;
    if counts != record.counts || causes != record.causes {
        tracing::error!(%job, kept = ?record.counts, counted = ?counts, "the counts of a job are not those of its nodes");
        (record.counts, record.causes) = (counts, causes);
    }
    let read = "SELECT restored FROM jobs WHERE id = ?1";
    let restoration = connection.prepare_cached(read)?.query_row([Db(job)], |row| get(row, 0))?;
    Ok(Some(UnfinishedJob { record, spec, nodes, restoration }))
}

/// What a job ran whose specification cannot be read, as far as its row tells.
pub(super) fn stand_in(connection: &Connection, job: JobId) -> Result<Action, Fault> {
    let read = "SELECT kind, task, environment FROM jobs WHERE id = ?1";
    let (kind, task, environment) = connection.prepare_cached(read)?.query_row([Db(job)], |row| {
        Ok((get::<JobKind>(row, 0)?, row.get::<_, Option<String>>(1)?, row.get::<_, String>(2)?))
    })?;
    let task = task.and_then(|name| TaskName::parse(&name).ok());
    Ok(match (kind, task) {
        (JobKind::Task, Some(task)) => Action::Task(TaskAction {
            task,
            input: Map::new(),
            sensitive: Vec::new(),
            secrets: Secrets::default(),
            metadata: json!({}),
            files: Vec::new(),
            noop: false,
            environment,
        }),
        (JobKind::Task, None) => return Err(Fault::Inconsistent(format!("job {job} is of a task without a name"))),
        (JobKind::Deploy, _) => {
            Action::Deploy(DeployAction { enforced_environment: None, options: DeployOptions::default() })
        }
    })
}

/// A setting, if it was ever written.
pub(super) fn setting(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    let mut statement = connection.prepare_cached("SELECT value FROM settings WHERE name = ?1")?;
    statement.query_row([name], |row| row.get(0)).optional()
}

/// The numbers of all jobs that are not over, oldest first.
pub(super) fn unfinished_ids(connection: &Connection) -> rusqlite::Result<Vec<JobId>> {
    let mut statement = connection.prepare_cached("SELECT id FROM jobs WHERE finished_at IS NULL ORDER BY id")?;
    statement.query_map([], |row| get(row, 0))?.collect()
}

/// The number and the counts of every job that is not over, oldest first.
pub(super) fn open_jobs(connection: &Connection) -> rusqlite::Result<Vec<(JobId, NodeCounts)>> {
    let mut statement =
        connection.prepare_cached("SELECT id, counts FROM jobs WHERE finished_at IS NULL ORDER BY id")?;
    statement.query_map([], |row| Ok((get(row, 0)?, get(row, 1)?)))?.collect()
}
