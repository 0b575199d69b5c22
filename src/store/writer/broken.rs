//! The end of jobs that cannot be read: nobody could carry them on, and a job must not stay unfinished for ever.
//!
//! Their nodes' names are in what cannot be read, so the nodes get no events and no holds; rows, counts and the job's own
//! last event tell what became of it.

use bunraku_actors::model::{Cause, CauseCounts, EventKind, JobId, JobState, NodeCounts, NodeState};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};
use serde_json::json;

use super::group::Counters;
use crate::store::columns::{Db, get, get_opt};
use crate::store::fault::Fault;

/// What the job's own row says.
struct Row {
    stopping: bool,
    counts: NodeCounts,
    causes: Option<CauseCounts>,
    /// By SQLite's clock: the store has none of its own.
    now: DateTime<Utc>,
}

/// Ends the job in a transaction of its own.
pub(super) fn end(connection: &Connection, job: JobId, reason: &str) -> Result<(), Fault> {
    let transaction = connection.unchecked_transaction()?;
    let mut row = read(&transaction, job)?;
    let mut causes = row.causes.take().unwrap_or_default();
    for (from, to, cause) in [
        (NodeState::New, NodeState::Skipped, Cause::JobBroken),
        (NodeState::Ready, NodeState::Skipped, Cause::JobBroken),
        (NodeState::Running, NodeState::Errored, Cause::OutcomeUnknown),
    ] {
        let count = row.counts.get(from);
        row.counts.shift(from, to, count);
        causes.add(Some(cause), count);
        transaction
            .prepare_cached(
                "UPDATE job_nodes SET state = ?3, cause = ?4, changed_at = ?5, finished_at = iif(started_at IS NULL, \
                 NULL, ?5) WHERE job = ?1 AND state = ?2",
            )?
            .execute(params![Db(job), Db(from), Db(to), Db(cause), Db(row.now)])?;
    }
    let state = if row.stopping { JobState::Stopped } else { JobState::Failed };
    let message = format!("job {job} cannot be read and was ended: {reason}");
    let mut counters = Counters::load(&transaction)?;
    let seq = counters.next_event();
    counters.save(&transaction)?;
    transaction.prepare_cached("DELETE FROM decisions WHERE job = ?1")?.execute([Db(job)])?;
    transaction
        .prepare_cached("INSERT INTO events (seq, job, kind, at, message) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![Db(seq), Db(job), Db(EventKind::JobAborted), Db(row.now), message])?;
    transaction
        .prepare_cached("UPDATE job_states SET left = ?2 WHERE job = ?1 AND left IS NULL")?
        .execute(params![Db(job), Db(row.now)])?;
    transaction
        .prepare_cached(
            "INSERT INTO job_states (job, position, state, entered) \
             SELECT ?1, coalesce(max(position), -1) + 1, ?2, ?3 FROM job_states WHERE job = ?1",
        )?
        .execute(params![Db(job), Db(state), Db(row.now)])?;
    transaction
        .prepare_cached(
            "UPDATE jobs SET state = ?2, counts = ?3, causes = ?4, changed_at = ?5, finished_at = ?5 WHERE id = ?1",
        )?
        .execute(params![Db(job), Db(state), Db(row.counts), Db(&causes), Db(row.now)])?;
    transaction.commit()?;
    tracing::error!(%job, detail = %json!({ "counts": row.counts }), "a job that cannot be read was ended");
    Ok(())
}

fn read(connection: &Connection, job: JobId) -> rusqlite::Result<Row> {
    let sql =
        "SELECT stop, counts, causes, CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER) FROM jobs WHERE id = ?1";
    connection.prepare_cached(sql)?.query_row([Db(job)], |row| {
        Ok(Row {
            stopping: get_opt::<bunraku_actors::model::StopMode>(row, 0)?.is_some(),
            counts: get(row, 1)?,
            causes: get_opt(row, 2)?,
            now: get(row, 3)?,
        })
    })
}
