//! Scheduled jobs.

use bunraku_actors::model::{OnceKey, ScheduleId};
use bunraku_actors::ports::Page;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{direction, next, once, whole};
use crate::api::records::{Made, ScheduleOrder, ScheduleQuery, ScheduleRecord, ScheduleSpec, Turn};
use crate::store::columns::{Db, Packed, get, get_opt, get_packed, pack};
use crate::store::fault::Fault;

/// The columns that [`read`] expects.
macro_rules! schedule_columns {
    () => {
        "id, spec, enabled, next_run, last"
    };
}

/// Keeps a scheduled job.
pub(in crate::store) fn add(
    connection: &Connection,
    spec: &ScheduleSpec,
    enabled: bool,
    once: Option<&OnceKey>,
    now: DateTime<Utc>,
) -> Result<ScheduleId, Fault> {
    once::check(connection, once, now)?;
    let id = ScheduleId(next(connection, "schedule")?);
    connection
        .prepare_cached(
            "INSERT INTO schedules (id, kind, environment, owner, enabled, next_run, spec) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            Db(id),
            Db(spec.kind),
            spec.environment,
            spec.owner.login,
            enabled,
            Db(spec.start),
            pack(spec)?
        ])?;
    once::keep(connection, once, &Made::Schedule(id))?;
    Ok(id)
}

/// Replaces what is asked.
pub(in crate::store) fn change(
    connection: &Connection,
    id: ScheduleId,
    spec: &ScheduleSpec,
    enabled: bool,
    next_run: Option<DateTime<Utc>>,
) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "UPDATE schedules SET kind = ?2, environment = ?3, owner = ?4, enabled = ?5, next_run = ?6, spec = ?7 \
             WHERE id = ?1",
        )?
        .execute(params![
            Db(id),
            Db(spec.kind),
            spec.environment,
            spec.owner.login,
            enabled,
            next_run.map(Db),
            pack(spec)?
        ])?;
    Ok(())
}

/// Notes a turn, unless the schedule was changed meanwhile.
pub(in crate::store) fn turned(
    connection: &Connection,
    id: ScheduleId,
    was_due: DateTime<Utc>,
    last: Option<&Turn>,
    next_run: Option<DateTime<Utc>>,
) -> Result<(), Fault> {
    let last = last.map(pack).transpose()?;
    connection
        .prepare_cached(
            "UPDATE schedules SET next_run = ?3, last = coalesce(?4, last) WHERE id = ?1 AND next_run = ?2",
        )?
        .execute(params![Db(id), Db(was_due), next_run.map(Db), last])?;
    Ok(())
}

/// One scheduled job.
pub(in crate::store) fn one(connection: &Connection, id: ScheduleId) -> Result<Option<ScheduleRecord>, Fault> {
    let sql = concat!("SELECT ", schedule_columns!(), " FROM schedules WHERE id = ?1");
    Ok(connection.prepare_cached(sql)?.query_row([Db(id)], read).optional()?)
}

/// A part of the list. Those without a next turn come last, whichever the direction.
pub(in crate::store) fn list(connection: &Connection, query: &ScheduleQuery) -> Result<Page<ScheduleRecord>, Fault> {
    let kind = query.kind.map(Db);
    let count = "SELECT count(*) FROM schedules WHERE ?1 IS NULL OR kind = ?1";
    let total: u32 = connection.prepare_cached(count)?.query_row([kind], |row| row.get(0))?;
    let by = match query.order {
        ScheduleOrder::NextRun => "next_run",
        ScheduleOrder::Environment => "environment",
        ScheduleOrder::Owner => "owner",
        ScheduleOrder::Name => "id",
        ScheduleOrder::Kind => "kind",
    };
    let direction = direction(query.descending);
    let columns = schedule_columns!();
    let sql = format!(
        "SELECT {columns} FROM schedules WHERE ?1 IS NULL OR kind = ?1 \
         ORDER BY {by} {direction} NULLS LAST, id {direction} LIMIT ?2 OFFSET ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_map(params![kind, whole(query.limit), whole(query.offset)], read)?;
    Ok(Page { items: found.collect::<rusqlite::Result<_>>()?, total: u64::from(total) })
}

/// Those whose turn has come.
pub(in crate::store) fn due(
    connection: &Connection,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<ScheduleRecord>, Fault> {
    let sql = concat!(
        "SELECT ",
        schedule_columns!(),
        " FROM schedules WHERE enabled = 1 AND next_run <= ?1 ORDER BY next_run, id LIMIT ?2"
    );
    let found =
        connection.prepare_cached(sql)?.query_map(params![Db(now), limit], read)?.collect::<rusqlite::Result<_>>();
    Ok(found?)
}

/// When the numbers jumped last, which is when a backup was put in place.
pub(in crate::store) fn restored_at(connection: &Connection) -> Result<Option<DateTime<Utc>>, Fault> {
    let sql = "SELECT max(at) FROM number_jumps";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| get_opt(row, 0))?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<ScheduleRecord> {
    let Packed(spec) = row.get(1)?;
    Ok(ScheduleRecord {
        id: get(row, 0)?,
        spec,
        enabled: row.get(2)?,
        next_run: get_opt(row, 3)?,
        last: get_packed(row, 4)?,
    })
}
