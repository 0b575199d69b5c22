//! Reads of jobs: the list, recovery, holds.

use std::sync::Arc;

use bunraku_actors::model::{Cause, CertName, JobId, JobKind, JobSpec, JobType, NodeIndex};
use bunraku_actors::ports::{Held, JobOrder, JobQuery, JobRecord, Page, UnfinishedJob};
use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};

use crate::store::columns::{Db, behind_shown, get, get_opt};
use crate::store::fault::{Fault, leave_out};
use crate::store::rows;
use crate::store::specs::{Specs, header_weight};

/// A page of the job list ends early when what its jobs carry reaches this size.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// A part of the job list; shorter than asked for when its jobs are large, but never empty while any follow.
pub(in crate::store) fn jobs(
    connection: &Connection,
    specs: &Specs,
    query: &JobQuery,
) -> Result<Page<JobRecord>, Fault> {
    let filter = Filter::of(query);
    let mut statement = connection.prepare_cached(&format!("SELECT count(*) FROM jobs{}", filter.sql()))?;
    let total: u32 = statement.query_row(params_from_iter(filter.values.iter()), |row| row.get(0))?;
    let limit = query.limit.map_or(i64::MAX, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
    let offset = i64::try_from(query.offset).unwrap_or(i64::MAX);
    let sql = format!("SELECT id FROM jobs{} ORDER BY {} LIMIT {limit} OFFSET {offset}", filter.sql(), order(query));
    // Not cached: limit and offset stand in the text.
    let mut statement = connection.prepare(&sql)?;
    let ids = statement.query_map(params_from_iter(filter.values.iter()), |row| get::<JobId>(row, 0))?;
    let mut items = Vec::new();
    let mut bytes = 0;
    for id in ids {
        let id = id?;
        let record = match rows::job_record(connection, specs, id) {
            Ok(Some(record)) => record,
            Ok(None) => continue,
            Err(fault) => {
                leave_out(id, fault)?;
                continue;
            }
        };
        bytes += header_weight(&record.header);
        items.push(record);
        if bytes >= PAGE_BYTES {
            break;
        }
    }
    Ok(Page { items, total: u64::from(total) })
}

/// Every job that is not over and can be read, oldest first; of the others the log tells.
pub(in crate::store) fn unfinished(connection: &Connection, specs: &Specs) -> Result<Vec<UnfinishedJob>, Fault> {
    let mut jobs = Vec::new();
    for id in rows::unfinished_ids(connection)? {
        match rows::whole_job(connection, specs, id) {
            Ok(job) => jobs.extend(job),
            Err(fault) => leave_out(id, fault)?,
        }
    }
    Ok(jobs)
}

/// Every hold that has not ended and can be read, in order of its end.
pub(in crate::store) fn holds(connection: &Connection, specs: &Specs) -> Result<Vec<Held>, Fault> {
    let mut statement = connection
        .prepare_cached("SELECT transaction_id, job, node, until FROM holds ORDER BY until, transaction_id")?;
    let mut rows = statement.query([])?;
    let mut holds = Vec::new();
    while let Some(row) = rows.next()? {
        let read = || Ok((get(row, 0)?, get(row, 1)?, get::<CertName>(row, 2)?, get(row, 3)?));
        let (transaction, job, node, until) = match read() {
            Ok(read) => read,
            Err::<_, rusqlite::Error>(error) => {
                tracing::error!(%error, "a hold cannot be read, and keeps nothing");
                continue;
            }
        };
        let (action, (spool, accepted, cause)) = match specs.spec(connection, job) {
            Ok(spec) => (Arc::clone(&spec.action), start_and_end(connection, job, spec.index_of(&node))?),
            Err(fault) if fault.advice().is_some() => return Err(fault),
            // It keeps its node all the same.
            Err(_) => (Arc::new(rows::stand_in(connection, job)?), (None, false, None)),
        };
        holds.push(Held { transaction, job, node, action, spool, accepted, cause, until });
    }
    Ok(holds)
}

/// The spool that a node's agent named at the start, whether it said that it has the request, and the cause of the end.
fn start_and_end(
    connection: &Connection,
    job: JobId,
    node: Option<NodeIndex>,
) -> Result<(Option<String>, bool, Option<Cause>), Fault> {
    let Some(node) = node else { return Ok((None, false, None)) };
    let read = "SELECT spool, accepted, cause FROM job_nodes WHERE job = ?1 AND node = ?2";
    let mut statement = connection.prepare_cached(read)?;
    let found =
        statement.query_row((Db(job), Db(node)), |row| Ok((row.get(0)?, row.get(1)?, get_opt(row, 2)?))).optional()?;
    Ok(found.unwrap_or_default())
}

/// The specifications of these jobs.
pub(in crate::store) fn specs_of(
    connection: &Connection,
    specs: &Specs,
    jobs: &[JobId],
) -> Result<Vec<Arc<JobSpec>>, Fault> {
    jobs.iter().map(|job| specs.spec(connection, *job)).collect()
}

/// Texts of a job by which people look for it, on lines of their own.
const SEARCH: &str = "instr(lower(concat_ws(char(10), task, owner, environment, id, description)), ?) > 0";

/// Conditions with their values, in the same order.
#[derive(Default)]
struct Filter {
    conditions: Vec<&'static str>,
    values: Vec<Box<dyn ToSql>>,
}

impl Filter {
    fn of(query: &JobQuery) -> Self {
        let mut filter = Self::default();
        if let Some(kind) = query.kind {
            match kind {
                JobType::Deploy => filter.add("kind = ?", Db(JobKind::Deploy)),
                JobType::Task => filter.add("kind = ? AND plan_job IS NULL", Db(JobKind::Task)),
                JobType::PlanTask => filter.add("kind = ? AND plan_job IS NOT NULL", Db(JobKind::Task)),
            }
        }
        if let Some(task) = &query.task {
            filter.add("instr(task, ?) > 0", task.clone());
        }
        if let Some(min) = query.min_finished {
            filter.add("finished_at >= ?", Db(min));
        }
        if let Some(max) = query.max_finished {
            filter.add("finished_at < ?", Db(behind_shown(max)));
        }
        if let Some(state) = query.state {
            filter.add("state = ?", Db(state));
        }
        if let Some(owner) = &query.owner {
            filter.add("owner = ?", owner.clone());
        }
        if let Some(environment) = &query.environment {
            filter.add("environment = ?", environment.clone());
        }
        if let Some(part) = &query.search {
            filter.add(SEARCH, part.to_lowercase());
        }
        filter
    }

    fn add(&mut self, condition: &'static str, value: impl ToSql + 'static) {
        self.conditions.push(condition);
        self.values.push(Box::new(value));
    }

    fn sql(&self) -> String {
        if self.conditions.is_empty() { String::new() } else { format!(" WHERE {}", self.conditions.join(" AND ")) }
    }
}

fn order(query: &JobQuery) -> String {
    let direction = if query.descending { "DESC" } else { "ASC" };
    let column = match query.order {
        JobOrder::Name => return format!("id {direction}"),
        JobOrder::Owner => "owner",
        JobOrder::Timestamp => "changed_at",
        JobOrder::Environment => "environment",
        JobOrder::State => "state",
    };
    format!("{column} {direction}, id {direction}")
}
