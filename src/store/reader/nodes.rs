//! Reads of a job's nodes, in pages, with outstanding decisions applied.
//!
//! A page is read in two steps: which nodes are on it, then those in full. In name order over rows that are all there,
//! the first step is a range of the primary key; else it looks at the few short columns of every node of the job.

use bunraku_actors::model::{JobHeader, JobId, JobSpec, LateAnswer, NodeIndex, NodeState, reason_of};
use bunraku_actors::ports::{BriefNode, NodeCursor, NodeOrder, NodePage, NodeQuery, NodeRecord};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Map, Value};

use super::{PAGE, PAGE_BYTES};
use crate::store::columns::{Db, get, get_packed, unpack};
use crate::store::decision::Pending;
use crate::store::fault::Fault;
use crate::store::rows::{NodeRow, each_node, missing_row, node_columns};
use crate::store::specs::{Specs, value_weight};

/// Where a node stands in an order: class, value, index. Classes keep nodes without a value before the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    class: u8,
    value: i64,
    node: NodeIndex,
}

/// A page of a job's nodes; empty for an unknown job.
pub(in crate::store) fn nodes(connection: &Connection, specs: &Specs, query: &NodeQuery) -> Result<NodePage, Fault> {
    let known = connection.prepare_cached("SELECT 1 FROM jobs WHERE id = ?1")?.exists([Db(query.job)])?;
    if !known {
        return Ok(NodePage { items: Vec::new(), next: None });
    }
    let header = specs.header(connection, query.job)?;
    let spec = specs.spec(connection, query.job)?;
    let pending = Pending::load(connection, query.job)?;
    let limit = query.limit.clamp(1, PAGE) as usize;
    let after = query.after.as_ref().map(parse_cursor).transpose()?;
    let keys = if let Some(only) = &query.only {
        let node = spec.index_of(only).filter(|_| query.offset == 0 && after.is_none());
        node.map(|node| Key { class: 0, value: 0, node }).into_iter().collect()
    } else if query.order == NodeOrder::Name && pending.is_empty() {
        name_range(connection, query, after, limit)?
    } else {
        sorted_range(connection, query, &header, after, limit)?
    };
    fill(connection, query, &spec, &pending, &keys, limit)
}

/// The keys on the page and one more, if there is one, by the primary key.
fn name_range(connection: &Connection, query: &NodeQuery, after: Option<Key>, limit: usize) -> Result<Vec<Key>, Fault> {
    let (compare, direction) = if query.descending { ("<", "DESC") } else { (">", "ASC") };
    let edge = if query.descending { i64::from(u32::MAX) + 1 } else { -1 };
    let from = after.map_or(edge, |key| i64::from(key.node.0));
    let skip = if after.is_some() { 0 } else { i64::try_from(query.offset).unwrap_or(i64::MAX) };
    let names: Vec<_> = query.states.iter().map(|state| format!("'{}'", state.name())).collect();
    let filter = if names.is_empty() { String::new() } else { format!(" AND state IN ({})", names.join(", ")) };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT node FROM job_nodes WHERE job = ?1 AND node {compare} ?2{filter} ORDER BY node {direction} \
         LIMIT ?3 OFFSET ?4"
    ))?;
    let wanted = i64::try_from(limit + 1).expect("a page is short");
    let keys = statement.query_map(params![Db(query.job), from, wanted, skip], |row| {
        Ok(Key { class: 0, value: 0, node: get(row, 0)? })
    })?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

/// The same by looking at every node.
fn sorted_range(
    connection: &Connection,
    query: &NodeQuery,
    header: &JobHeader,
    after: Option<Key>,
    limit: usize,
) -> Result<Vec<Key>, Fault> {
    let mut keys = Vec::new();
    each_node(connection, query.job, header.node_count, |node, row| {
        let wanted = query.states.is_empty() || query.states.contains(&row.state);
        let key = key_of(query.order, node, &row);
        let behind = after.is_none_or(|after| if query.descending { key < after } else { key > after });
        if wanted && behind {
            keys.push(key);
        }
    })?;
    if query.descending {
        keys.sort_unstable_by(|one, other| other.cmp(one));
    } else {
        keys.sort_unstable();
    }
    let skip = if after.is_some() { 0 } else { usize::try_from(query.offset).unwrap_or(usize::MAX) };
    Ok(keys.into_iter().skip(skip).take(limit + 1).collect())
}

/// Running nodes have no duration that could be compared without a clock: they follow the others, longest last.
fn key_of(order: NodeOrder, node: NodeIndex, row: &NodeRow) -> Key {
    let micros = |at: chrono::DateTime<chrono::Utc>| at.timestamp_micros();
    let (class, value) = match order {
        NodeOrder::Name => (0, 0),
        NodeOrder::State => (0, alphabetical(row.state)),
        NodeOrder::Started => row.started_at.map_or((0, 0), |at| (1, micros(at))),
        NodeOrder::Finished => row.finished_at.map_or((0, 0), |at| (1, micros(at))),
        NodeOrder::Duration => match (row.started_at, row.finished_at) {
            (Some(started), Some(finished)) => (1, micros(finished) - micros(started)),
            (Some(started), None) => (2, -micros(started)),
            (None, _) => (0, 0),
        },
    };
    Key { class, value, node }
}

fn alphabetical(state: NodeState) -> i64 {
    let before = NodeState::ALL.into_iter().filter(|other| other.name() < state.name()).count();
    i64::try_from(before).expect("there are few states")
}

fn parse_cursor(cursor: &NodeCursor) -> Result<Key, Fault> {
    let parse = || {
        let mut parts = cursor.0.split('.');
        let (class, value, node) = (parts.next()?, parts.next()?, parts.next()?);
        let key = Key { class: class.parse().ok()?, value: value.parse().ok()?, node: NodeIndex(node.parse().ok()?) };
        parts.next().is_none().then_some(key)
    };
    parse().ok_or_else(|| Fault::Refused(format!("'{}' is no place in a list of nodes", cursor.0)))
}

/// Nodes of a job in brief, by index from `from` on; none of an unknown job.
pub(in crate::store) fn brief(
    connection: &Connection,
    specs: &Specs,
    job: JobId,
    from: NodeIndex,
    limit: u32,
) -> Result<Vec<BriefNode>, Fault> {
    let known = connection.prepare_cached("SELECT 1 FROM jobs WHERE id = ?1")?.exists([Db(job)])?;
    if !known {
        return Ok(Vec::new());
    }
    let spec = specs.spec(connection, job)?;
    let pending = Pending::load(connection, job)?;
    let end = spec.nodes.len().min(from.at().saturating_add(limit.min(PAGE) as usize));
    let end = u32::try_from(end).expect("a job has fewer than 2^32 nodes");
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        node_columns!(),
        ", n.node, iif(n.cause IS NULL, NULL, e.message), iif(n.cause IS NULL, NULL, r.result) FROM job_nodes n \
         LEFT JOIN events e ON e.seq = n.latest_event LEFT JOIN results r ON r.seq = n.latest_event WHERE n.job = ?1 AND n.node >= ?2 AND n.node < ?3 ORDER BY n.node"
    ))?;
    let mut rows = statement.query(params![Db(job), from.0, end])?;
    let (mut found, mut next_row) = (Vec::with_capacity((end.saturating_sub(from.0)) as usize), None);
    for node in (from.0..end).map(NodeIndex) {
        if next_row.is_none() {
            next_row = match rows.next()? {
                Some(row) => {
                    let (message, result): (Option<String>, Option<Vec<u8>>) = (row.get(13)?, row.get(14)?);
                    // One that cannot be read says no more than the message.
                    let result = result.and_then(|bytes| unpack::<Value>(&bytes).ok()).unwrap_or_default();
                    let reason = message.map(|message| reason_of(&result, &message).to_owned());
                    Some((get::<NodeIndex>(row, 12)?, NodeRow::read(row)?, reason))
                }
                None => None,
            };
        }
        let own = next_row.take_if(|(index, _, _)| *index == node);
        let (row, reason) = own.map_or((None, None), |(_, row, reason)| (Some(row), reason));
        let row = pending.apply(row, node).ok_or_else(|| missing_row(job, node))?;
        let reason = pending.skip_message(node, spec.node(node)).or(reason);
        found.push(BriefNode {
            node,
            state: row.state,
            cause: row.cause,
            started_at: row.started_at,
            finished_at: row.finished_at,
            reason: reason.unwrap_or_default(),
        });
    }
    Ok(found)
}

/// Reads the nodes of a page in full.
fn fill(
    connection: &Connection,
    query: &NodeQuery,
    spec: &JobSpec,
    pending: &Pending,
    keys: &[Key],
    limit: usize,
) -> Result<NodePage, Fault> {
    let mut items = Vec::with_capacity(limit.min(keys.len()));
    let mut bytes = 0;
    for key in keys.iter().take(limit) {
        let (record, size) = node_record(connection, query, spec, pending, key.node)?;
        items.push(record);
        bytes += size;
        if bytes >= PAGE_BYTES {
            break;
        }
    }
    let last = items.len().checked_sub(1).and_then(|last| keys.get(last));
    let more = items.len() < keys.len();
    let next = last.filter(|_| more).map(|key| NodeCursor(format!("{}.{}.{}", key.class, key.value, key.node.0)));
    Ok(NodePage { items, next })
}

/// What joins a node's row: the message of its last event and what the run left behind, still packed.
#[derive(Default)]
struct Joined {
    message: String,
    details: Option<Vec<u8>>,
    result: Option<Vec<u8>>,
    resource_events: Option<Vec<u8>>,
}

/// One node, and the size of what its run left behind.
fn node_record(
    connection: &Connection,
    query: &NodeQuery,
    spec: &JobSpec,
    pending: &Pending,
    node: NodeIndex,
) -> Result<(NodeRecord, usize), Fault> {
    let (job, name) = (query.job, spec.node(node).clone());
    let (row, mut joined) = match joined_row(connection, job, node, query.with_results)? {
        Some((row, joined)) => (Some(row), joined),
        None => (None, Joined::default()),
    };
    let row = pending.apply(row, node).ok_or_else(|| missing_row(job, node))?;
    if let Some(message) = pending.skip_message(node, &name) {
        joined.message = message;
    }
    let read = |bytes: Option<Vec<u8>>, empty: Value| match bytes {
        Some(bytes) => unpack::<Value>(&bytes)
            .map_err(|reason| Fault::Inconsistent(format!("the result of {name} in job {job}: {reason}"))),
        None => Ok(empty),
    };
    let details = read(joined.details, Value::Object(Map::new()))?;
    let result = read(joined.result, Value::Null)?;
    let resource_events = match read(joined.resource_events, Value::Null)? {
        Value::Array(events) => events,
        _ => Vec::new(),
    };
    let carried = [&details, &result].into_iter().chain(&resource_events);
    let size = carried.map(value_weight).sum();
    let late = match row.cause {
        Some(cause) if cause.leaves_hold() => late_answer(connection, job, node)?,
        _ => None,
    };
    let record = NodeRecord {
        node,
        name,
        state: row.state,
        started_at: row.started_at,
        finished_at: row.finished_at,
        changed_at: row.changed_at,
        transaction: row.transaction,
        cause: row.cause,
        message: joined.message,
        transaction_uuid: row.transaction_uuid,
        result,
        details,
        resource_events,
        late,
        latest_event: row.latest_event,
    };
    Ok((record, size))
}

fn late_answer(connection: &Connection, job: JobId, node: NodeIndex) -> Result<Option<LateAnswer>, Fault> {
    let mut statement = connection.prepare_cached("SELECT answer FROM late_answers WHERE job = ?1 AND node = ?2")?;
    let found = statement.query_row(params![Db(job), Db(node)], |row| get_packed(row, 0)).optional()?;
    Ok(found.flatten())
}

fn joined_row(
    connection: &Connection,
    job: JobId,
    node: NodeIndex,
    with_results: bool,
) -> Result<Option<(NodeRow, Joined)>, Fault> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        node_columns!(),
        ", e.message, r.details, iif(?3, r.result, NULL), iif(?3, r.resource_events, NULL) FROM job_nodes n \
         LEFT JOIN events e ON e.seq = n.latest_event LEFT JOIN results r ON r.seq = n.latest_event \
         WHERE n.job = ?1 AND n.node = ?2"
    ))?;
    let found = statement.query_row(params![Db(job), Db(node), with_results], |row| {
        let joined = Joined {
            message: row.get::<_, Option<String>>(12)?.unwrap_or_default(),
            details: row.get(13)?,
            result: row.get(14)?,
            resource_events: row.get(15)?,
        };
        Ok((NodeRow::read(row)?, joined))
    });
    Ok(found.optional()?)
}
