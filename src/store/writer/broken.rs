//! The end of jobs that cannot be read: nobody could carry them on, and a job must not stay unfinished for ever.
//!
//! Their nodes get no events: rows, counts and the job's own last event tell what became of it. Runs that were going on
//! leave holds, as far as the nodes' names can still be read.

use bunraku_actors::model::{
    Cause, CauseCounts, CertName, EventKind, JobId, JobState, NodeCounts, NodeIndex, NodeState, StopMode, TransactionId,
};
use bunraku_actors::ports::JobRecord;
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Deserialize;
use serde_json::json;

use super::group::Counters;
use crate::store::columns::{Db, get, get_opt, get_packed};
use crate::store::fault::Fault;
use crate::store::sealed;

/// What the job's own row says.
struct Row {
    stopping: bool,
    counts: NodeCounts,
    causes: Option<CauseCounts>,
    /// By SQLite's clock: the store has none of its own.
    now: DateTime<Utc>,
}

/// What of a specification tells whose nodes they are. A release that cannot read the rest may still read this.
#[derive(Deserialize)]
struct Names {
    nodes: Vec<CertName>,
}

/// Writes counts that were not those of the nodes. Not vital: they are counted at each start.
pub(super) fn correct_counts(connection: &Connection, counted: &JobRecord) {
    let update = "UPDATE jobs SET counts = ?2, causes = ?3 WHERE id = ?1 AND (counts, causes) IS NOT (?2, ?3)";
    let written = connection
        .prepare_cached(update)
        .and_then(|mut update| update.execute(params![Db(counted.id), Db(counted.counts), Db(&counted.causes)]));
    if let Err(error) = written {
        tracing::warn!(job = %counted.id, %error, "the counts of a job could not be put right");
    }
}

/// Ends the job in a transaction of its own. Runs that go on are held for as long as said.
pub(super) fn end(connection: &Connection, job: JobId, reason: &str, held_for: TimeDelta) -> Result<(), Fault> {
    let transaction = connection.unchecked_transaction()?;
    let mut row = read(&transaction, job)?;
    let until = row.now.checked_add_signed(held_for).unwrap_or(DateTime::<Utc>::MAX_UTC);
    hold_running(&transaction, job, until)?;
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
    sealed::wipe(&transaction, job)?;
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
            "UPDATE jobs SET state = ?2, counts = ?3, causes = ?4, changed_at = ?5, finished_at = ?5, \
             stop = iif(stop IS NULL OR stop IN ('plain', 'force'), stop, 'plain') WHERE id = ?1",
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
        let counts: Option<NodeCounts> = get(row, 1).ok();
        Ok(Row {
            stopping: !matches!(get_opt::<StopMode>(row, 0), Ok(None)),
            counts: counts.map_or_else(|| count(connection, job), Ok)?,
            causes: get_opt(row, 2).unwrap_or_default(),
            now: get(row, 3)?,
        })
    })
}

/// Counts the rows that say how their node is.
fn count(connection: &Connection, job: JobId) -> rusqlite::Result<NodeCounts> {
    let read = "SELECT state, count(*) FROM job_nodes WHERE job = ?1 GROUP BY state";
    let mut statement = connection.prepare_cached(read)?;
    let mut rows = statement.query([Db(job)])?;
    let mut counts = NodeCounts::default();
    while let Some(row) = rows.next()? {
        if let Ok(state) = get(row, 0) {
            counts.add(state, row.get(1)?);
        }
    }
    Ok(counts)
}

fn hold_running(connection: &Connection, job: JobId, until: DateTime<Utc>) -> Result<(), Fault> {
    let running = "SELECT node, transaction_id FROM job_nodes WHERE job = ?1 AND state = 'running'";
    let mut statement = connection.prepare_cached(running)?;
    let mut rows = statement.query([Db(job)])?;
    let mut running: Vec<(NodeIndex, TransactionId)> = Vec::new();
    while let Some(row) = rows.next()? {
        // What is damaged in them is what brought us here; the others are held all the same.
        match (get(row, 0), get(row, 1)) {
            (Ok(node), Ok(transaction)) => running.push((node, transaction)),
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(%job, %error, "a run may be going on that cannot be held");
            }
        }
    }
    if running.is_empty() {
        return Ok(());
    }
    let read = "SELECT spec FROM job_specs WHERE job = ?1";
    let names = connection.prepare_cached(read)?.query_row([Db(job)], |row| get_packed::<Names>(row, 0)).optional();
    let names = names.ok().flatten().flatten().map_or_else(Vec::new, |names| names.nodes);
    let insert = "INSERT OR REPLACE INTO holds (transaction_id, job, node, until) VALUES (?1, ?2, ?3, ?4)";
    let mut insert = connection.prepare_cached(insert)?;
    for (node, transaction) in running {
        match names.get(node.at()) {
            Some(name) => drop(insert.execute(params![Db(transaction), Db(job), name.as_str(), Db(until)])?),
            None => {
                tracing::error!(%job, node = node.0, %transaction, "a run may be going on, on a node whose name is lost")
            }
        }
    }
    Ok(())
}
