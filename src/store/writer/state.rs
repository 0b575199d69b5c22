//! Writes about jobs as a whole: states, stops, ends. The texts of job events stand here and nowhere else.

use bunraku_actors::model::{EventKind, JobId, JobState, NodeCounts, StopMode};
use chrono::{DateTime, Utc};
use rusqlite::params;
use serde_json::{Map, Value, json};

use super::group::{Group, NewEvent};
use super::live::LiveJob;
use crate::store::columns::Db;
use crate::store::fault::Fault;
use crate::store::sealed;

impl Group<'_> {
    pub(super) fn job_state(&mut self, job: JobId, state: JobState, at: DateTime<Utc>) -> Result<(), Fault> {
        let current = self.open_job(job)?.state;
        let forward = matches!(state, JobState::Ready | JobState::Running) && state > current;
        if !forward {
            return Err(impossible(job, current, state));
        }
        self.enter(job, state, at)
    }

    pub(super) fn stop_accepted(&mut self, job: JobId, mode: StopMode, at: DateTime<Utc>) -> Result<(), Fault> {
        let live = self.open_job(job)?;
        let first = live.state != JobState::Stopping;
        if first || live.stop != Some(StopMode::Force) {
            live.stop = Some(mode);
            self.connection
                .prepare_cached("UPDATE jobs SET stop = ?2 WHERE id = ?1")?
                .execute(params![Db(job), Db(mode)])?;
        }
        if !first {
            return Ok(());
        }
        let message = stopping_message(job, mode);
        self.job_event(job, EventKind::JobStopping, at, json!({}), message)?;
        self.enter(job, JobState::Stopping, at)
    }

    pub(super) fn job_ended(&mut self, job: JobId, state: JobState, at: DateTime<Utc>) -> Result<(), Fault> {
        let counts = self.check_over(job, state)?;
        let detail = json!({ "state": state.name(), "nodes": counts_object(&counts) });
        self.job_event(job, EventKind::JobFinished, at, detail, format!("Job {job} {}", state.name()))?;
        self.enter(job, state, at)
    }

    pub(super) fn job_aborted(
        &mut self,
        job: JobId,
        state: JobState,
        at: DateTime<Utc>,
        message: &str,
    ) -> Result<(), Fault> {
        self.check_over(job, state)?;
        let detail = json!({ "message": message });
        self.job_event(job, EventKind::JobAborted, at, detail, message.to_owned())?;
        self.enter(job, state, at)
    }

    /// Refuses to end a job of which anything is outstanding: nothing may follow its last event.
    fn check_over(&mut self, job: JobId, state: JobState) -> Result<NodeCounts, Fault> {
        let live = self.open_job(job)?;
        let (current, counts) = (live.state, live.counts);
        if !state.is_terminal() {
            return Err(impossible(job, current, state));
        }
        if !counts.all_over() {
            let open: u32 = counts.iter().filter(|(state, _)| !state.is_terminal()).map(|(_, count)| count).sum();
            return Err(Fault::Refused(format!(
                "job {job} cannot be {}: {open} of its nodes are not over",
                state.name()
            )));
        }
        if LiveJob::is_unsettled(self.connection, job)? {
            return Err(Fault::Refused(format!(
                "job {job} cannot be {}: rows of an earlier decision are outstanding",
                state.name()
            )));
        }
        Ok(counts)
    }

    fn job_event(
        &mut self,
        job: JobId,
        kind: EventKind,
        at: DateTime<Utc>,
        detail: Value,
        message: String,
    ) -> Result<(), Fault> {
        self.event(NewEvent { job, kind, at, node: None, cause: None, detail, message }).map(drop)
    }

    /// Closes the open entry of the state history and opens the next.
    fn enter(&mut self, job: JobId, state: JobState, at: DateTime<Utc>) -> Result<(), Fault> {
        let live = self.open_job(job)?;
        live.state = state;
        let position = live.spans;
        live.spans += 1;
        self.connection
            .prepare_cached("UPDATE job_states SET left = ?3 WHERE job = ?1 AND position = ?2")?
            .execute(params![Db(job), position - 1, Db(at)])?;
        self.insert_span(job, position, state, at)?;
        if state.is_terminal() && sealed::wipe(self.connection, job)? {
            self.specs.forget(job);
        }
        let finished_at = state.is_terminal().then_some(Db(at));
        self.connection
            .prepare_cached("UPDATE jobs SET state = ?2, changed_at = ?3, finished_at = ?4 WHERE id = ?1")?
            .execute(params![Db(job), Db(state), Db(at), finished_at])?;
        Ok(())
    }

    pub(super) fn insert_span(
        &mut self,
        job: JobId,
        position: u32,
        state: JobState,
        at: DateTime<Utc>,
    ) -> Result<(), Fault> {
        self.connection
            .prepare_cached("INSERT INTO job_states (job, position, state, entered) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![Db(job), position, Db(state), Db(at)])?;
        Ok(())
    }
}

fn impossible(job: JobId, from: JobState, to: JobState) -> Fault {
    Fault::Refused(format!("job {job} is {}: it cannot become {} by this write", from.name(), to.name()))
}

fn stopping_message(job: JobId, mode: StopMode) -> String {
    match mode {
        StopMode::Plain => format!("Stopping job {job}: running nodes finish, no other starts"),
        StopMode::Force => format!("Stopping job {job} by force: running nodes are ended, no other starts"),
    }
}

/// State → count, only states that occur.
fn counts_object(counts: &NodeCounts) -> Value {
    let occurring = counts.iter().filter(|(_, count)| *count > 0);
    Value::Object(occurring.map(|(state, count)| (state.name().to_owned(), json!(count))).collect::<Map<_, _>>())
}
