//! Reads of events. The detail of a node's end is its result, which is kept once.

use bunraku_actors::model::{EventKind, EventRecord, EventSeq, JobId, NodeIndex};
use bunraku_actors::ports::EventPage;
use rusqlite::{Connection, OptionalExtension as _, Row, Rows, params};
use serde_json::Value;

use super::{PAGE, PAGE_BYTES};
use crate::store::columns::{Db, get, get_opt, get_packed};
use crate::store::fault::Fault;
use crate::store::specs::{Specs, value_weight};
use crate::store::writer::derived_detail;

/// The columns that [`read`] expects.
macro_rules! event_columns {
    () => {
        "e.seq, e.job, e.kind, e.at, e.node, e.detail, e.message, r.result, \
         iif(e.kind = 'node_running', NULL, n.cause) FROM events e LEFT JOIN results r ON r.seq = e.seq \
         LEFT JOIN job_nodes n ON n.job = e.job AND n.node = e.node"
    };
}

/// Events of a job from `start` on; fewer than asked for where they are large, but never none while any follow.
pub(in crate::store) fn events(
    connection: &Connection,
    specs: &Specs,
    job: JobId,
    start: EventSeq,
    limit: u32,
) -> Result<EventPage, Fault> {
    let sql = concat!("SELECT ", event_columns!(), " WHERE e.job = ?1 AND e.seq >= ?2 ORDER BY e.seq LIMIT ?3");
    let mut statement = connection.prepare_cached(sql)?;
    let limit = limit.min(PAGE);
    // One more, which tells whether any follow.
    page(connection, specs, limit, statement.query(params![Db(job), within(start), limit + 1])?)
}

/// The events of one node of a job. They are few, but found among all events of the job.
pub(in crate::store) fn events_of(
    connection: &Connection,
    specs: &Specs,
    job: JobId,
    node: NodeIndex,
) -> Result<Vec<EventRecord>, Fault> {
    let sql = concat!("SELECT ", event_columns!(), " WHERE e.job = ?1 AND e.node = ?2 ORDER BY e.seq LIMIT ?3");
    let mut statement = connection.prepare_cached(sql)?;
    Ok(page(connection, specs, PAGE, statement.query(params![Db(job), Db(node), PAGE])?)?.items)
}

/// The same, of all jobs; those that were removed are gone.
pub(in crate::store) fn all_events(
    connection: &Connection,
    specs: &Specs,
    start: EventSeq,
    limit: u32,
) -> Result<EventPage, Fault> {
    let sql = concat!(
        "SELECT ",
        event_columns!(),
        " WHERE e.seq >= ?1 AND EXISTS (SELECT 1 FROM jobs j WHERE j.id = e.job) ORDER BY e.seq LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(sql)?;
    let limit = limit.min(PAGE);
    page(connection, specs, limit, statement.query(params![within(start), limit + 1])?)
}

/// A start as SQLite takes it.
fn within(start: EventSeq) -> Db<EventSeq> {
    Db(EventSeq(start.0.min(i64::MAX as u64)))
}

fn page(connection: &Connection, specs: &Specs, limit: u32, mut rows: Rows<'_>) -> Result<EventPage, Fault> {
    let mut items = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        if items.len() == limit as usize || bytes >= PAGE_BYTES {
            return Ok(EventPage { items, more: true });
        }
        let event = match read_named(connection, specs, row) {
            Ok(event) => event,
            Err(fault) if fault.advice().is_some() => return Err(fault),
            // Nobody who follows the events may be stopped for good by a damaged one.
            Err(fault) => {
                tracing::error!(event = row.get::<_, i64>(0)?, error = %fault, "an event cannot be read and is left out");
                continue;
            }
        };
        bytes += event.message.len() + value_weight(&event.detail);
        items.push(event);
    }
    Ok(EventPage { items, more: false })
}

fn read_named(connection: &Connection, specs: &Specs, row: &Row<'_>) -> Result<EventRecord, Fault> {
    let (mut event, node) = read(row)?;
    if let Some(node) = node {
        let job = event.job;
        let spec = specs.spec(connection, job)?;
        let name = spec.nodes.get(node.at());
        let name = name.ok_or_else(|| Fault::Inconsistent(format!("job {job} has no node {}", node.0)))?;
        event.node = Some(name.clone());
    }
    Ok(event)
}

/// The last event number of all, 0 when there is none.
pub(in crate::store) fn newest_event(connection: &Connection) -> Result<EventSeq, Fault> {
    let mut statement = connection.prepare_cached("SELECT seq FROM events ORDER BY seq DESC LIMIT 1")?;
    Ok(statement.query_row([], |row| get(row, 0)).optional()?.unwrap_or_default())
}

/// The last event number of a job, 0 when it has none.
pub(in crate::store) fn last_event(connection: &Connection, job: JobId) -> Result<EventSeq, Fault> {
    let mut statement = connection.prepare_cached("SELECT seq FROM events WHERE job = ?1 ORDER BY seq DESC LIMIT 1")?;
    Ok(statement.query_row([Db(job)], |row| get(row, 0)).optional()?.unwrap_or_default())
}

/// The event without its node's name, and the node.
fn read(row: &Row<'_>) -> Result<(EventRecord, Option<NodeIndex>), Fault> {
    let (job, kind): (JobId, EventKind) = (get(row, 1)?, get(row, 2)?);
    let message: String = row.get(6)?;
    let detail = match row.get::<_, Option<String>>(5)? {
        Some(text) => serde_json::from_str(&text)
            .map_err(|error| Fault::Inconsistent(format!("the detail of an event of job {job}: {error}")))?,
        None => derived_detail(get_packed::<Value>(row, 7)?, &message),
    };
    let cause = get_opt(row, 8)?;
    let event = EventRecord { seq: get(row, 0)?, job, kind, at: get(row, 3)?, node: None, cause, detail, message };
    Ok((event, get_opt(row, 4)?))
}
