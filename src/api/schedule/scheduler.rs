//! Gives the turns of scheduled jobs when they are due.
//!
//! A turn happens once, whatever crashes: its job is created under a key made of the schedule and the due time, and the
//! schedule is moved on afterwards. What was missed while the service was down is made up for once, late, if it is not
//! older than [`LATEST`]; what is older is skipped, and so is what was due before a backup was restored: nobody knows whether it
//! was given since the backup was made. A turn is skipped while the job of an earlier one goes on.

use std::time::Duration;

use bunraku_actors::model::JobId;
use bunraku_actors::ports::StoreError;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::turn::{at_turn, command_of};
use crate::api::accounts::AuditEntry;
use crate::api::error::ApiError;
use crate::api::records::{ScheduleRecord, Turn, TurnOutcome};
use crate::api::state::State;

/// How late a turn may be.
const LATEST: TimeDelta = TimeDelta::hours(1);
/// How often it is looked whether a turn is due; the wall clock may be set meanwhile.
const LOOK: Duration = Duration::from_secs(1);
/// How many turns are given between two looks.
const AT_ONCE: u32 = 100;

/// Gives turns until it is dropped.
pub struct Scheduler {
    state: State,
    /// The store's trouble is logged once.
    in_trouble: bool,
}

impl Scheduler {
    /// A scheduler over the state of the API.
    #[must_use]
    pub fn new(state: State) -> Self {
        Self { state, in_trouble: false }
    }

    /// Goes on until it is dropped.
    pub async fn run(mut self) {
        self.state.orchestrator.recovered().await;
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            match self.look().await {
                Ok(()) => self.in_trouble = false,
                Err(error) if self.in_trouble => tracing::debug!(%error, "scheduled jobs still wait"),
                Err(error) => {
                    self.in_trouble = true;
                    tracing::warn!(%error, "scheduled jobs wait until the store answers");
                }
            }
        }
    }

    /// Gives the turns that are due now.
    ///
    /// # Errors
    /// The store's; the turns are given later.
    pub async fn look(&self) -> Result<(), StoreError> {
        // A service that takes no commands gives no turns; they are made up for after it.
        if self.state.orchestrator.trouble().is_some() {
            return Ok(());
        }
        let now = self.state.now();
        let mut outcome = Ok(());
        let due = self.state.records.due(now, AT_ONCE).await?;
        let restored = if due.is_empty() { None } else { self.state.records.restored_at().await? };
        for schedule in due {
            // One that has to wait does not keep the others waiting.
            outcome = self.give(&schedule, restored, now).await.and(outcome);
        }
        outcome
    }

    async fn give(
        &self,
        schedule: &ScheduleRecord,
        restored: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let Some(due) = schedule.next_run else { return Ok(()) };
        let (spec, id) = (&schedule.spec, schedule.id);
        let next = match spec.recurrence.next(spec.start, now) {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(schedule = %id, %error, "a scheduled job will not come again");
                None
            }
        };
        if restored.is_some_and(|restored| due <= restored) {
            tracing::warn!(schedule = %id, %due, "a turn of a scheduled job is skipped: it may have been given after the backup");
            return self.state.records.turned(id, due, None, next).await;
        }
        if now - due > LATEST {
            tracing::warn!(schedule = %id, %due, "a turn of a scheduled job was missed and is too old to be made up for");
            return self.state.records.turned(id, due, None, next).await;
        }
        if spec.paused {
            tracing::info!(schedule = %id, %due, "a turn is passed over: the scheduled job is paused");
            metrics::counter!("bunraku_schedule_turns_total", "outcome" => "paused").increment(1);
            return self.state.records.turned(id, due, None, next).await;
        }
        if let Some(job) = self.still_going(schedule).await? {
            tracing::info!(schedule = %id, %due, %job, "a turn is skipped: the job of an earlier one goes on");
            metrics::counter!("bunraku_schedule_turns_total", "outcome" => "skipped").increment(1);
            return self.state.records.turned(id, due, None, next).await;
        }
        let outcome = match self.start(schedule, due).await {
            Ok(job) => TurnOutcome::Job(job),
            // Not a refusal of what is asked: the same turn is given at the next look.
            Err(error) if error.is_transient() => return Err(StoreError::Unavailable(error.to_string())),
            Err(error) => {
                tracing::warn!(schedule = %id, %due, %error, "a turn of a scheduled job was refused");
                TurnOutcome::Error(error.shown())
            }
        };
        let word = if matches!(outcome, TurnOutcome::Job(_)) { "started" } else { "refused" };
        metrics::counter!("bunraku_schedule_turns_total", "outcome" => word).increment(1);
        self.note(schedule, &outcome, now).await;
        self.state.records.turned(id, due, Some(Turn { at: due, outcome }), next).await
    }

    /// Notes a turn in the audit log, as a command of its owner.
    async fn note(&self, schedule: &ScheduleRecord, outcome: &TurnOutcome, now: DateTime<Utc>) {
        let (word, about) = match outcome {
            TurnOutcome::Job(job) => {
                let record = self.state.orchestrator.store().job(*job).await;
                let nodes = record.ok().flatten().map(|record| record.header.node_count);
                ("accepted", json!({ "job": job.0, "nodes": nodes }))
            }
            TurnOutcome::Error(error) => ("refused", json!({ "kind": error["kind"], "msg": error["msg"] })),
        };
        let entry = AuditEntry {
            at: now,
            login: schedule.spec.owner.login.clone(),
            address: String::new(),
            action: format!("scheduled job {}", schedule.id),
            outcome: word.to_owned(),
            about: about.as_object().cloned().unwrap_or_default(),
        };
        if let Err(error) = self.state.accounts.audit(entry).await {
            tracing::error!(%error, "a turn was not noted in the audit log");
        }
    }

    /// The job of the last turn, if it is not over.
    async fn still_going(&self, schedule: &ScheduleRecord) -> Result<Option<JobId>, StoreError> {
        let Some(Turn { outcome: TurnOutcome::Job(job), .. }) = &schedule.last else { return Ok(None) };
        let record = self.state.orchestrator.store().job(*job).await?;
        Ok(record.filter(|record| !record.state.is_terminal()).map(|_| *job))
    }

    /// Starts the turn's job with the rights that its owner has now.
    async fn start(&self, schedule: &ScheduleRecord, due: DateTime<Utc>) -> Result<JobId, ApiError> {
        let owner = &schedule.spec.owner;
        let rights = self.state.rights_of(owner).await?;
        let mut command = at_turn(command_of(&schedule.spec)?, schedule.id, due);
        command.permit(&self.state, &rights, &owner.login).await?;
        command.start(&self.state).await
    }
}
