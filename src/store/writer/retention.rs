//! Removes what is too old: one small transaction after each batch of other work, until a pass is done.
//!
//! A job goes at once, for everybody: its row in `jobs` is deleted first. What else it has follows in pieces, also after a
//! restart. Output is replaced by a note of its removal, run by run, so that every answer is true by itself.

use bunraku_actors::model::{EventSeq, JobId, LateAnswer, NodeIndex};
use bunraku_actors::ports::StoreError;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::Writer;
use crate::store::columns::{Db, get, get_packed, pack};
use crate::store::fault::Fault;
use crate::store::request::Reply;
use crate::store::retention::{Cutoffs, Pruned, pruned_result};

/// Rows of one table that one transaction removes or changes.
const PIECE: u32 = 500;
/// Jobs that one transaction takes out of sight.
const JOBS: u32 = 50;
/// Rows of what is kept beside jobs that one transaction removes; a plan job has many events.
const BESIDE: u32 = 100;
/// Pages that one step gives back to the file system.
const PAGES: u32 = 256;
/// So many free pages are kept for what comes.
const SPARE_PAGES: i64 = 256;

/// Tables with rows of a job, and how a piece of them is deleted. Deleting an event deletes its result.
const DELETIONS: [&str; 6] = [
    "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE job = ?1 ORDER BY seq LIMIT ?2)",
    "DELETE FROM job_nodes WHERE job = ?1 AND node IN (SELECT node FROM job_nodes WHERE job = ?1 LIMIT ?2)",
    "DELETE FROM late_answers WHERE rowid IN (SELECT rowid FROM late_answers WHERE job = ?1 LIMIT ?2)",
    "DELETE FROM decisions WHERE id IN (SELECT id FROM decisions WHERE job = ?1 LIMIT ?2)",
    "DELETE FROM job_states WHERE job = ?1 AND position IN (SELECT position FROM job_states WHERE job = ?1 LIMIT ?2)",
    "DELETE FROM job_specs WHERE job = ?1 AND ?2 > 0",
];

/// Where the removal of a job's output stands.
#[derive(Debug, Clone, Copy)]
enum Cursor {
    /// Results of events behind this one.
    Results(JobId, EventSeq),
    /// Late answers of nodes from this one on.
    Late(JobId, NodeIndex),
}

/// A pass in progress.
#[derive(Debug, Default)]
struct Pass {
    cutoffs: Cutoffs,
    pruned: Pruned,
    output: Option<Cursor>,
    replies: Vec<Reply<Pruned>>,
}

/// The work that is left; nothing most of the time.
#[derive(Debug, Default)]
pub(super) struct Retention(Option<Pass>);

/// What a step came to.
enum Step {
    More,
    Done,
}

impl Retention {
    /// Goes on with what an earlier process began to remove.
    pub(super) fn left(connection: &Connection) -> rusqlite::Result<Self> {
        let any = connection.prepare_cached("SELECT 1 FROM pruned_jobs")?.exists([])?;
        Ok(Self(any.then(Pass::default)))
    }

    pub(super) fn is_at_work(&self) -> bool {
        self.0.is_some()
    }

    /// Begins a pass, or widens the one in progress.
    pub(super) fn begin(&mut self, cutoffs: Cutoffs, reply: Reply<Pruned>) {
        let pass = self.0.get_or_insert_default();
        pass.cutoffs = cutoffs;
        pass.replies.push(reply);
    }

    /// The store is being closed: the rest is for the next start.
    pub(super) fn refuse(&mut self, error: &StoreError) {
        for reply in self.0.take().into_iter().flat_map(|pass| pass.replies) {
            // Nobody waiting is fine.
            let _ = reply.send(Err(error.clone()));
        }
    }
}

impl Writer {
    /// One step of the pass in progress, if there is one and the store is not in trouble.
    pub(super) fn next_piece(&mut self) {
        if self.shared.trouble().is_some() {
            return;
        }
        let Some(mut pass) = self.retention.0.take() else { return };
        match self.step(&mut pass) {
            Ok(Step::More) => self.retention.0 = Some(pass),
            Ok(Step::Done) => {
                metrics::counter!("bunraku_store_pruned_jobs_total").increment(pass.pruned.jobs);
                for reply in pass.replies {
                    // Nobody waiting is fine.
                    let _ = reply.send(Ok(pass.pruned));
                }
            }
            // What was begun is gone on with by the next pass. Tried again at once, a file system that is all but full would
            // keep the thread busy with this alone: small writes go well there, and end the trouble each time.
            Err(fault) => {
                let error = StoreError::from(fault);
                for reply in pass.replies {
                    // Nobody waiting is fine.
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }

    fn step(&mut self, pass: &mut Pass) -> Result<Step, Fault> {
        let going = "SELECT job FROM pruned_jobs ORDER BY job LIMIT 1";
        let going = self.connection.prepare_cached(going)?.query_row([], |row| get(row, 0)).optional()?;
        if let Some(job) = going {
            return self.piecemeal(|connection| remove_piece(connection, job)).map(|()| Step::More);
        }
        if self.hide_jobs(pass)? || self.prune_output(pass)? || self.prune_beside(pass)? || self.give_back_pages()? {
            return Ok(Step::More);
        }
        Ok(Step::Done)
    }

    fn piecemeal<T>(&mut self, body: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        self.transaction(|writer, _| body(&writer.connection)).map(|(value, _)| value)
    }

    /// Takes jobs out of sight that ended before the cutoff and have no hold.
    fn hide_jobs(&mut self, pass: &mut Pass) -> Result<bool, Fault> {
        let Some(cutoff) = pass.cutoffs.jobs else { return Ok(false) };
        let find = "SELECT id FROM jobs WHERE finished_at < ?1 \
                    AND NOT EXISTS (SELECT 1 FROM holds WHERE holds.job = jobs.id) ORDER BY finished_at LIMIT ?2";
        let old: Vec<JobId> = self
            .connection
            .prepare_cached(find)?
            .query_map(params![Db(cutoff), JOBS], |row| get(row, 0))?
            .collect::<rusqlite::Result<_>>()?;
        if old.is_empty() {
            return Ok(false);
        }
        // With them, the row would take all that the job has along, in one transaction.
        self.connection.pragma_update(None, "foreign_keys", false)?;
        let hidden = self.piecemeal(|connection| {
            for job in &old {
                connection.prepare_cached("INSERT INTO pruned_jobs (job) VALUES (?1)")?.execute([Db(*job)])?;
                connection.prepare_cached("DELETE FROM jobs WHERE id = ?1")?.execute([Db(*job)])?;
            }
            Ok(())
        });
        self.connection.pragma_update(None, "foreign_keys", true)?;
        hidden?;
        old.iter().for_each(|job| self.shared.specs.forget(*job));
        pass.pruned.jobs += old.len() as u64;
        Ok(true)
    }

    /// Replaces a piece of output that is too old.
    fn prune_output(&mut self, pass: &mut Pass) -> Result<bool, Fault> {
        let Some(cutoff) = pass.cutoffs.output else { return Ok(false) };
        let cursor = match pass.output {
            Some(cursor) => cursor,
            None => {
                let find =
                    "SELECT id FROM jobs WHERE finished_at < ?1 AND output_pruned = 0 ORDER BY finished_at LIMIT 1";
                let mut find = self.connection.prepare_cached(find)?;
                let Some(job) = find.query_row([Db(cutoff)], |row| get(row, 0)).optional()? else { return Ok(false) };
                Cursor::Results(job, EventSeq(0))
            }
        };
        pass.output = self.piecemeal(|connection| match cursor {
            Cursor::Results(job, after) => prune_results(connection, job, after),
            Cursor::Late(job, from) => prune_late(connection, job, from),
        })?;
        pass.pruned.outputs += u64::from(pass.output.is_none());
        Ok(true)
    }

    /// Deletes a piece of what is kept beside jobs and is too old. A plan job goes with its events.
    fn prune_beside(&mut self, pass: &mut Pass) -> Result<bool, Fault> {
        let Cutoffs { jobs, audit, keys, .. } = pass.cutoffs;
        let pieces = [
            ("DELETE FROM plan_jobs WHERE id IN (SELECT id FROM plan_jobs WHERE finished_at < ?1 LIMIT ?2)", jobs),
            (
                "DELETE FROM tokens WHERE id IN (SELECT id FROM tokens WHERE role = '' \
                 AND min(coalesce(revoked_at, expires_at), coalesce(expires_at, revoked_at)) < ?1 LIMIT ?2)",
                jobs,
            ),
            ("DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE at < ?1 LIMIT ?2)", audit),
            (
                "DELETE FROM once_keys WHERE (owner, key) IN \
                 (SELECT owner, key FROM once_keys WHERE until < ?1 LIMIT ?2)",
                keys,
            ),
        ];
        for (delete, cutoff) in pieces {
            let Some(cutoff) = cutoff else { continue };
            let deleted = self.piecemeal(|connection| {
                Ok(connection.prepare_cached(delete)?.execute(params![Db(cutoff), BESIDE])?)
            })?;
            if deleted > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lets the file shrink a little, while many of its pages are free.
    fn give_back_pages(&mut self) -> Result<bool, Fault> {
        let free: i64 = self.connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
        if free <= SPARE_PAGES {
            return Ok(false);
        }
        let mut vacuum = self.connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
        let mut rows = vacuum.query([])?;
        // Each row that is asked for frees a page.
        while rows.next()?.is_some() {}
        Ok(true)
    }
}

/// Deletes rows of a job that nobody sees any more; with the last of them, the note of it.
fn remove_piece(connection: &Connection, job: JobId) -> Result<(), Fault> {
    for deletion in DELETIONS {
        if connection.prepare_cached(deletion)?.execute(params![Db(job), PIECE])? > 0 {
            return Ok(());
        }
    }
    connection.prepare_cached("DELETE FROM pruned_jobs WHERE job = ?1")?.execute([Db(job)])?;
    Ok(())
}

fn prune_results(connection: &Connection, job: JobId, after: EventSeq) -> Result<Option<Cursor>, Fault> {
    let find = "SELECT r.seq FROM events e JOIN results r ON r.seq = e.seq \
                WHERE e.job = ?1 AND e.seq > ?2 ORDER BY e.seq LIMIT ?3";
    let found: Vec<EventSeq> = connection
        .prepare_cached(find)?
        .query_map(params![Db(job), Db(after), PIECE], |row| get(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    let Some(last) = found.last() else { return Ok(Some(Cursor::Late(job, NodeIndex(0)))) };
    let note = pack(&pruned_result())?;
    let replace = "UPDATE results SET result = iif(result IS NULL, NULL, ?2), resource_events = NULL WHERE seq = ?1";
    let mut replace = connection.prepare_cached(replace)?;
    for seq in &found {
        replace.execute(params![Db(*seq), note])?;
    }
    Ok(Some(Cursor::Results(job, *last)))
}

/// `None` when the job's output is removed to the last.
fn prune_late(connection: &Connection, job: JobId, from: NodeIndex) -> Result<Option<Cursor>, Fault> {
    let find = "SELECT node, answer FROM late_answers WHERE job = ?1 AND node >= ?2 ORDER BY node LIMIT ?3";
    let found: Vec<(NodeIndex, Option<LateAnswer>)> = connection
        .prepare_cached(find)?
        .query_map(params![Db(job), Db(from), PIECE], |row| Ok((get(row, 0)?, get_packed(row, 1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let Some((last, _)) = found.last() else {
        connection.prepare_cached("UPDATE jobs SET output_pruned = 1 WHERE id = ?1")?.execute([Db(job)])?;
        return Ok(None);
    };
    let next = Cursor::Late(job, NodeIndex(last.0 + 1));
    let mut replace = connection.prepare_cached("UPDATE late_answers SET answer = ?3 WHERE job = ?1 AND node = ?2")?;
    for (node, answer) in found {
        let Some(mut answer) = answer else { continue };
        answer.result = pruned_result();
        replace.execute(params![Db(job), Db(node), pack(&answer)?])?;
    }
    Ok(Some(next))
}
