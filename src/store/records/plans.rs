//! Plan jobs and their events.

use bunraku_actors::model::{JobId, OnceKey, PlanId};
use bunraku_actors::ports::{Page, Refusal, StateSpan};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::{Value, json};

use super::{direction, next, once, whole};
use crate::api::records::{Made, PlanEvent, PlanOrder, PlanQuery, PlanRecord, PlanSpec, PlanState};
use crate::store::columns::{Db, Packed, behind_shown, get, get_opt, get_packed, pack};
use crate::store::fault::Fault;
use crate::store::rows;

/// The columns that [`read`] expects.
macro_rules! plan_columns {
    () => {
        "id, spec, state, result, changed_at, finished_at"
    };
}

/// Begins a plan job.
pub(in crate::store) fn start(
    connection: &Connection,
    spec: &PlanSpec,
    once: Option<&OnceKey>,
) -> Result<PlanId, Fault> {
    once::check(connection, once, spec.created_at)?;
    let id = PlanId(next(connection, "plan")?);
    connection
        .prepare_cached(
            "INSERT INTO plan_jobs (id, state, environment, owner, created_at, changed_at, spec) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6)",
        )?
        .execute(params![
            Db(id),
            Db(PlanState::Running),
            spec.environment.as_deref().unwrap_or_default(),
            spec.owner.login,
            Db(spec.created_at),
            pack(spec)?
        ])?;
    once::keep(connection, once, &Made::Plan(id))?;
    Ok(id)
}

/// Notes a job that a plan job runs, if that goes on.
pub(in crate::store) fn note_job(
    connection: &Connection,
    plan: PlanId,
    job: JobId,
    at: DateTime<Utc>,
) -> Result<(), Fault> {
    must_go_on(connection, plan)?;
    event(connection, plan, "task_start", at, &json!({ "job-id": job.0 }))?;
    connection
        .prepare_cached("UPDATE plan_jobs SET changed_at = ?2 WHERE id = ?1")?
        .execute(params![Db(plan), Db(at)])?;
    Ok(())
}

/// Ends a plan job.
pub(in crate::store) fn finish(
    connection: &Connection,
    plan: PlanId,
    state: PlanState,
    result: &Value,
    at: DateTime<Utc>,
) -> Result<(), Fault> {
    must_go_on(connection, plan)?;
    connection
        .prepare_cached(
            "UPDATE plan_jobs SET state = ?2, result = ?3, changed_at = ?4, finished_at = ?4 WHERE id = ?1",
        )?
        .execute(params![Db(plan), Db(state), pack(result)?, Db(at)])?;
    let kind = if state == PlanState::Success { "plan_finished" } else { "plan_failed" };
    event(connection, plan, kind, at, &json!({ "plan-id": plan.to_string(), "result": result }))
}

fn must_go_on(connection: &Connection, plan: PlanId) -> Result<(), Fault> {
    let state: Option<PlanState> = connection
        .prepare_cached("SELECT state FROM plan_jobs WHERE id = ?1")?
        .query_row([Db(plan)], |row| get(row, 0))
        .optional()?;
    match state {
        Some(PlanState::Running) => Ok(()),
        Some(_) => Err(Refusal::PlanOver(plan).into()),
        None => Err(Refusal::UnknownPlan(plan).into()),
    }
}

fn event(connection: &Connection, plan: PlanId, kind: &str, at: DateTime<Utc>, detail: &Value) -> Result<(), Fault> {
    let seq = next(connection, "plan_event")?;
    connection
        .prepare_cached("INSERT INTO plan_events (seq, plan, kind, at, detail) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![whole(seq), Db(plan), kind, Db(at), pack(detail)?])?;
    Ok(())
}

/// One plan job.
pub(in crate::store) fn one(connection: &Connection, plan: PlanId) -> Result<Option<PlanRecord>, Fault> {
    let sql = concat!("SELECT ", plan_columns!(), " FROM plan_jobs WHERE id = ?1");
    Ok(connection.prepare_cached(sql)?.query_row([Db(plan)], read).optional()?)
}

/// A part of the list.
pub(in crate::store) fn list(connection: &Connection, query: &PlanQuery) -> Result<Page<PlanRecord>, Fault> {
    let filter = "(?1 IS NULL OR finished_at >= ?1) AND (?2 IS NULL OR finished_at < ?2)";
    let (min, max) = (query.min_finished.map(Db), query.max_finished.map(behind_shown).map(Db));
    let count = format!("SELECT count(*) FROM plan_jobs WHERE {filter}");
    let total: u32 = connection.prepare_cached(&count)?.query_row(params![min, max], |row| row.get(0))?;
    let by = match query.order {
        PlanOrder::Owner => "owner",
        PlanOrder::Timestamp => "changed_at",
        PlanOrder::Environment => "environment",
        PlanOrder::Name => "id",
        PlanOrder::State => "state",
    };
    let direction = direction(query.descending);
    let columns = plan_columns!();
    let sql = format!(
        "SELECT {columns} FROM plan_jobs WHERE {filter} ORDER BY {by} {direction}, id {direction} LIMIT ?3 OFFSET ?4"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_map(params![min, max, whole(query.limit), whole(query.offset)], read)?;
    Ok(Page { items: found.collect::<rusqlite::Result<_>>()?, total: u64::from(total) })
}

fn read(row: &Row<'_>) -> rusqlite::Result<PlanRecord> {
    let Packed(spec) = row.get(1)?;
    Ok(PlanRecord {
        id: get(row, 0)?,
        spec,
        state: get(row, 2)?,
        result: get_packed(row, 3)?,
        changed_at: get(row, 4)?,
        finished_at: get_opt(row, 5)?,
    })
}

/// Events from `start` on, and whether more follow.
pub(in crate::store) fn events(
    connection: &Connection,
    plan: PlanId,
    start: u64,
    limit: u32,
) -> Result<(Vec<PlanEvent>, bool), Fault> {
    let sql = "SELECT seq, plan, kind, at, detail FROM plan_events WHERE plan = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_map(params![Db(plan), whole(start), limit + 1], read_event)?;
    let mut events = found.collect::<rusqlite::Result<Vec<_>>>()?;
    let more = events.len() > limit as usize;
    events.truncate(limit as usize);
    Ok((events, more))
}

/// One event.
pub(in crate::store) fn one_event(connection: &Connection, seq: u64) -> Result<Option<PlanEvent>, Fault> {
    let sql = "SELECT seq, plan, kind, at, detail FROM plan_events WHERE seq = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([whole(seq)], read_event).optional()?)
}

/// The number of the last event, 0 when there is none.
pub(in crate::store) fn last_event(connection: &Connection, plan: PlanId) -> Result<u64, Fault> {
    let sql = "SELECT coalesce(max(seq), 0) FROM plan_events WHERE plan = ?1";
    let last: i64 = connection.prepare_cached(sql)?.query_row([Db(plan)], |row| row.get(0))?;
    Ok(last.unsigned_abs())
}

fn read_event(row: &Row<'_>) -> rusqlite::Result<PlanEvent> {
    let Packed(detail) = row.get(4)?;
    let seq: i64 = row.get(0)?;
    Ok(PlanEvent { seq: seq.unsigned_abs(), plan: get(row, 1)?, kind: row.get(2)?, at: get(row, 3)?, detail })
}

/// The jobs of a plan job with their histories.
pub(in crate::store) fn history(
    connection: &Connection,
    plan: PlanId,
    after: JobId,
    limit: u32,
) -> Result<Vec<(JobId, Vec<StateSpan>)>, Fault> {
    let sql = "SELECT id FROM jobs WHERE plan_job = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
    let jobs: Vec<JobId> = connection
        .prepare_cached(sql)?
        .query_map(params![Db(plan), Db(after), limit], |row| get(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    let with_history = jobs.into_iter().map(|job| Ok((job, rows::history(connection, job)?)));
    with_history.collect()
}

/// Plan jobs that go on without a sign since `before`.
pub(in crate::store) fn silent(connection: &Connection, before: DateTime<Utc>) -> Result<Vec<PlanId>, Fault> {
    let sql = "SELECT id FROM plan_jobs WHERE finished_at IS NULL AND changed_at < ?1 AND NOT EXISTS \
               (SELECT 1 FROM jobs WHERE jobs.plan_job = plan_jobs.id \
                AND (jobs.finished_at IS NULL OR jobs.finished_at >= ?1)) LIMIT 100";
    let found =
        connection.prepare_cached(sql)?.query_map([Db(before)], |row| get(row, 0))?.collect::<rusqlite::Result<_>>();
    Ok(found?)
}
