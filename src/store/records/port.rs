//! The port itself: each call is one read, or one small change.

use async_trait::async_trait;
use bunraku_actors::model::{JobId, OnceKey, PlanId, ScheduleId};
use bunraku_actors::ports::{Page, StateSpan, StoreError};
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;

use super::{once, plans, schedules, targets, usage};
use crate::api::records::{
    Made, Once, PlanEvent, PlanQuery, PlanRecord, PlanSpec, PlanState, Records, ScheduleQuery, ScheduleRecord,
    ScheduleSpec, TaskTarget, Turn, Usage, UsageNotes,
};
use crate::store::Store;

#[async_trait]
impl Records for Store {
    async fn once(&self, owner: &str, key: &str, now: DateTime<Utc>) -> Result<Option<Once>, StoreError> {
        let (owner, key) = (owner.to_owned(), key.to_owned());
        self.read(move |connection, _| once::find(connection, &owner, &key, now)).await
    }

    async fn remember(&self, key: OnceKey, made: Made) -> Result<(), StoreError> {
        self.change(move |connection| once::keep(connection, Some(&key), &made)).await
    }

    async fn start_plan(&self, spec: PlanSpec, once: Option<OnceKey>) -> Result<PlanId, StoreError> {
        self.change(move |connection| plans::start(connection, &spec, once.as_ref())).await
    }

    async fn finish_plan(
        &self,
        plan: PlanId,
        state: PlanState,
        result: Value,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.change(move |connection| plans::finish(connection, plan, state, &result, at)).await
    }

    async fn plan(&self, plan: PlanId) -> Result<Option<PlanRecord>, StoreError> {
        self.read(move |connection, _| plans::one(connection, plan)).await
    }

    async fn plans(&self, query: PlanQuery) -> Result<Page<PlanRecord>, StoreError> {
        self.read(move |connection, _| plans::list(connection, &query)).await
    }

    async fn plan_events(&self, plan: PlanId, start: u64, limit: u32) -> Result<(Vec<PlanEvent>, bool), StoreError> {
        self.read(move |connection, _| plans::events(connection, plan, start, limit)).await
    }

    async fn plan_event(&self, seq: u64) -> Result<Option<PlanEvent>, StoreError> {
        self.read(move |connection, _| plans::one_event(connection, seq)).await
    }

    async fn last_plan_event(&self, plan: PlanId) -> Result<u64, StoreError> {
        self.read(move |connection, _| plans::last_event(connection, plan)).await
    }

    async fn plan_history(
        &self,
        plan: PlanId,
        after: JobId,
        limit: u32,
    ) -> Result<Vec<(JobId, Vec<StateSpan>)>, StoreError> {
        self.read(move |connection, _| plans::history(connection, plan, after, limit)).await
    }

    async fn silent_plans(&self, before: DateTime<Utc>) -> Result<Vec<PlanId>, StoreError> {
        self.read(move |connection, _| plans::silent(connection, before)).await
    }

    async fn schedule(
        &self,
        spec: ScheduleSpec,
        enabled: bool,
        once: Option<OnceKey>,
        now: DateTime<Utc>,
    ) -> Result<ScheduleId, StoreError> {
        self.change(move |connection| schedules::add(connection, &spec, enabled, once.as_ref(), now)).await
    }

    async fn change_schedule(
        &self,
        id: ScheduleId,
        spec: ScheduleSpec,
        enabled: bool,
        next_run: Option<DateTime<Utc>>,
    ) -> Result<(), StoreError> {
        self.change(move |connection| schedules::change(connection, id, &spec, enabled, next_run)).await
    }

    async fn scheduled(&self, id: ScheduleId) -> Result<Option<ScheduleRecord>, StoreError> {
        self.read(move |connection, _| schedules::one(connection, id)).await
    }

    async fn schedules(&self, query: ScheduleQuery) -> Result<Page<ScheduleRecord>, StoreError> {
        self.read(move |connection, _| schedules::list(connection, &query)).await
    }

    async fn due(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<ScheduleRecord>, StoreError> {
        self.read(move |connection, _| schedules::due(connection, now, limit)).await
    }

    async fn restored_at(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.read(|connection, _| schedules::restored_at(connection)).await
    }

    async fn turned(
        &self,
        id: ScheduleId,
        was_due: DateTime<Utc>,
        last: Option<Turn>,
        next_run: Option<DateTime<Utc>>,
    ) -> Result<(), StoreError> {
        self.change(move |connection| schedules::turned(connection, id, was_due, last.as_ref(), next_run)).await
    }

    async fn add_task_target(
        &self,
        target: TaskTarget,
        once: Option<OnceKey>,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        self.change(move |connection| targets::add(connection, &target, once.as_ref(), now)).await
    }

    async fn task_targets(&self) -> Result<Vec<(u64, TaskTarget)>, StoreError> {
        self.read(|connection, _| targets::all(connection)).await
    }

    async fn task_target(&self, id: u64) -> Result<Option<TaskTarget>, StoreError> {
        self.read(move |connection, _| targets::one(connection, id)).await
    }

    async fn note_usage(&self, notes: UsageNotes) -> Result<(), StoreError> {
        let rows = 2 * notes.nodes.len() + 2 * notes.changes.len() + 1;
        self.change_many(rows, move |connection| usage::add(connection, &notes)).await
    }

    async fn settle_usage(&self, before: NaiveDate) -> Result<bool, StoreError> {
        self.change_many(1_000, move |connection| usage::settle(connection, before)).await
    }

    async fn usage(&self, first: Option<NaiveDate>, last: Option<NaiveDate>) -> Result<Vec<Usage>, StoreError> {
        self.read(move |connection, _| usage::days(connection, first, last)).await
    }
}
