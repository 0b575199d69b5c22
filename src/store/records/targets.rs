//! Task targets.

use bunraku_actors::model::OnceKey;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{next, once, whole};
use crate::api::records::{Made, TaskTarget};
use crate::store::columns::{Packed, pack};
use crate::store::fault::Fault;

/// Keeps a task target.
pub(in crate::store) fn add(
    connection: &Connection,
    target: &TaskTarget,
    once: Option<&OnceKey>,
    now: DateTime<Utc>,
) -> Result<u64, Fault> {
    once::check(connection, once, now)?;
    let id = next(connection, "task_target")?;
    let write = "INSERT INTO task_targets (id, spec) VALUES (?1, ?2)";
    connection.prepare_cached(write)?.execute(params![whole(id), pack(target)?])?;
    once::keep(connection, once, &Made::TaskTarget(id))?;
    Ok(id)
}

/// All of them, oldest first.
pub(in crate::store) fn all(connection: &Connection) -> Result<Vec<(u64, TaskTarget)>, Fault> {
    let mut statement = connection.prepare_cached("SELECT id, spec FROM task_targets ORDER BY id")?;
    Ok(statement.query_map([], read)?.collect::<rusqlite::Result<_>>()?)
}

/// One of them.
pub(in crate::store) fn one(connection: &Connection, id: u64) -> Result<Option<TaskTarget>, Fault> {
    let mut statement = connection.prepare_cached("SELECT id, spec FROM task_targets WHERE id = ?1")?;
    Ok(statement.query_row([whole(id)], read).optional()?.map(|(_, target)| target))
}

fn read(row: &Row<'_>) -> rusqlite::Result<(u64, TaskTarget)> {
    let id: i64 = row.get(0)?;
    let Packed(target) = row.get(1)?;
    Ok((id.unsigned_abs(), target))
}
