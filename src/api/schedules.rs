//! Scheduled jobs: `scheduled_jobs/environment_jobs`, and the older commands and list that are views of them (API §4.8, §7).

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use async_trait::async_trait;
use bunraku_actors::model::ScheduleId;
use bunraku_actors::ports::{Page, StoreError};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::auth::{Caller, Viewer};
use super::command::accepted;
use super::links::Links;
use super::once::{once, remembered};
use super::paged::{self, Collection, Listing};
use super::records::{Made, Records, ScheduleKind, ScheduleOrder, ScheduleQuery, ScheduleRecord, ScheduleSpec};
use super::request::{Body, Object, Query, changed_schedule, new_schedule, number, older_schedule, read_body};
use super::rights::Permission;
use super::schedule::command_of;
use super::state::State;
use super::types::{OlderSchedule, ScheduledJob, seconds};
use super::{Answer, ApiError, audit, json, ok};

const ORDERS: [(&str, ScheduleOrder); 5] = [
    ("next_run_time", ScheduleOrder::NextRun),
    ("environment", ScheduleOrder::Environment),
    ("owner", ScheduleOrder::Owner),
    ("name", ScheduleOrder::Name),
    ("type", ScheduleOrder::Kind),
];

const OLDER_ORDERS: [(&str, ScheduleOrder); 3] =
    [("next_run", ScheduleOrder::NextRun), ("scheduled_time", ScheduleOrder::NextRun), ("name", ScheduleOrder::Name)];

/// Keeps a scheduled job; 200 after it is committed.
pub(super) async fn create(req: HttpRequest, state: web::Data<State>, caller: Caller, body: Body) -> Answer {
    must_act(&caller)?;
    let body = read_body(body, &state.options).await?;
    let made = once(&req, &state, &caller, &body, async |key| {
        let (spec, enabled) = new_schedule(&body, caller.owner(), state.now())?;
        check(&state, &caller, &spec).await?;
        Ok(Made::Schedule(state.records.schedule(spec, enabled, key, state.now()).await?))
    });
    accepted(&req, &state, made.await?)
}

/// Replaces keys of a scheduled job; one that was disabled is not changed any more.
pub(super) async fn change(
    req: HttpRequest,
    state: web::Data<State>,
    caller: Caller,
    id: web::Path<String>,
    body: Body,
) -> Answer {
    must_act(&caller)?;
    let body = read_body(body, &state.options).await?;
    let made = once(&req, &state, &caller, &body, async |key| {
        let record = find(&state, &id).await?;
        permit(&caller, &record)?;
        if record.is_over() {
            return Err(ApiError::disabled_schedule(&record.id.to_string()));
        }
        let made = Made::Schedule(record.id);
        apply(&state, &caller, record, &body).await?;
        remembered(&state, key, made).await
    });
    accepted(&req, &state, made.await?)
}

async fn apply(state: &State, caller: &Caller, record: ScheduleRecord, body: &Object) -> Result<(), ApiError> {
    let (spec, enabled) = changed_schedule(body, record.spec.clone(), state.now())?;
    let asks_anew = spec.input != record.spec.input || spec.environment != record.spec.environment;
    let moved = (spec.start, &spec.recurrence) != (record.spec.start, &record.spec.recurrence);
    if asks_anew || moved {
        // With whose rights it runs does not change with who changes it: both must have them. To say when is to say that.
        check(state, caller, &spec).await?;
    }
    let next = if moved { Some(spec.start) } else { record.next_run };
    let next = match (record.enabled, enabled) {
        // For good: what has no turn is not enabled any more.
        (_, Some(false)) => None,
        (false, Some(true)) => {
            if !(asks_anew || moved) {
                check(state, caller, &spec).await?;
            }
            Some(turn_to_come(&spec, next, state.now())?)
        }
        (true, _) | (false, None) => next,
    };
    Ok(state.records.change_schedule(record.id, spec, enabled.unwrap_or(record.enabled), next).await?)
}

/// The first turn of one that is enabled now: what it would have done meanwhile is not made up for.
fn turn_to_come(
    spec: &ScheduleSpec,
    next: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, ApiError> {
    if let Some(next) = next.filter(|next| *next > now) {
        return Ok(next);
    }
    let none_left = || ApiError::invalid_time("schedule.start_time", &seconds(spec.start));
    let next = spec.recurrence.next(spec.start, now);
    next.map_err(|error| ApiError::invalid("schedule.cron", error.to_string()))?.ok_or_else(none_left)
}

/// Disables a scheduled job (the older way); 204, also when it is disabled.
pub(super) async fn disable(state: web::Data<State>, caller: Caller, id: web::Path<String>) -> Answer {
    must_act(&caller)?;
    let record = find(&state, &id).await?;
    permit(&caller, &record)?;
    state.records.change_schedule(record.id, record.spec, false, None).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `schedule_deploy`, the older way.
pub(super) async fn older_deploy(req: HttpRequest, state: web::Data<State>, caller: Caller, body: Body) -> Answer {
    older(ScheduleKind::Deploy, &req, &state, &caller, body).await
}

/// `schedule_task`, the older way.
pub(super) async fn older_task(req: HttpRequest, state: web::Data<State>, caller: Caller, body: Body) -> Answer {
    older(ScheduleKind::Task, &req, &state, &caller, body).await
}

/// `schedule_plan`, the older way.
pub(super) async fn older_plan(req: HttpRequest, state: web::Data<State>, caller: Caller, body: Body) -> Answer {
    older(ScheduleKind::Plan, &req, &state, &caller, body).await
}

async fn older(kind: ScheduleKind, req: &HttpRequest, state: &State, caller: &Caller, body: Body) -> Answer {
    must_act(caller)?;
    let body = read_body(body, &state.options).await?;
    let made = once(req, state, caller, &body, async |key| {
        let spec = older_schedule(kind, &body, caller.owner(), state.now())?;
        check(state, caller, &spec).await?;
        Ok(Made::Schedule(state.records.schedule(spec, true, key, state.now()).await?))
    });
    let Made::Schedule(id) = made.await? else { return Err(ApiError::internal("the key made something else")) };
    audit::note(req, "scheduled_job", &id.to_string());
    let link = Links::of(req, &state.options).at(&format!("scheduled_jobs/{id}"));
    let reference = json!({ "id": link, "name": id.to_string() });
    let answer = match kind {
        // The documents show `job` here.
        ScheduleKind::Deploy => json!({ "scheduled_job": reference, "job": reference }),
        ScheduleKind::Task | ScheduleKind::Plan => json!({ "scheduled_job": reference }),
    };
    json(StatusCode::ACCEPTED, &answer)
}

/// What is scheduled must be possible today: a command that its owner may give, in an environment that there is.
async fn check(state: &State, caller: &Caller, spec: &ScheduleSpec) -> Result<(), ApiError> {
    if spec.kind == ScheduleKind::Plan {
        let name = spec.input.get("name").and_then(Value::as_str).unwrap_or_default();
        caller.must_with(Permission::RunPlans, name)?;
    }
    let mut command = command_of(spec)?;
    command.permit(state, &caller.rights, &caller.token.login).await?;
    // With the rights of whoever asks, on the nodes that there are today; at each turn with those that its owner has then.
    command.check(state).await
}

fn must_act(caller: &Caller) -> Result<(), ApiError> {
    let acting = [Permission::RunPuppet, Permission::RunTasks, Permission::RunPlans, Permission::EditSchedules];
    if acting.into_iter().any(|permission| caller.rights.may(permission)) {
        return Ok(());
    }
    caller.must(Permission::RunPuppet)
}

fn permit(caller: &Caller, record: &ScheduleRecord) -> Result<(), ApiError> {
    if caller.owns(&record.spec.owner) {
        return Ok(());
    }
    caller.must(Permission::EditSchedules)
}

async fn find(state: &State, id: &str) -> Result<ScheduleRecord, ApiError> {
    let found = match number("scheduled_job", id)? {
        Some(number) => state.records.scheduled(ScheduleId(number)).await?,
        None => None,
    };
    found.ok_or_else(|| ApiError::unknown_job(id))
}

/// One scheduled job.
pub(super) async fn one(req: HttpRequest, state: web::Data<State>, _: Viewer, id: web::Path<String>) -> Answer {
    ok(&ScheduledJob::new(&find(&state, &id).await?, &Links::of(&req, &state.options)))
}

/// The list.
pub(super) async fn list(req: HttpRequest, state: web::Data<State>, _: Viewer) -> Answer {
    listed(&req, &state, &ORDERS, |record, links, json| serde_json::to_writer(json, &ScheduledJob::new(record, links)))
        .await
}

/// The older list.
pub(super) async fn older_list(req: HttpRequest, state: web::Data<State>, _: Viewer) -> Answer {
    listed(&req, &state, &OLDER_ORDERS, |record, links, json| {
        serde_json::to_writer(json, &OlderSchedule::new(record, links))
    })
    .await
}

type Show = fn(&ScheduleRecord, &Links, &mut Vec<u8>) -> serde_json::Result<()>;

async fn listed(req: &HttpRequest, state: &State, orders: &[(&'static str, ScheduleOrder)], show: Show) -> Answer {
    let query = Query::of(req);
    let Listing { order, descending, pagination } = Listing::of(&query, orders, ScheduleOrder::NextRun, false)?;
    let kinds = ScheduleKind::ALL.map(|kind| (kind.name(), kind));
    let query = ScheduleQuery { order, descending, offset: 0, limit: 0, kind: query.choice("type", &kinds)? };
    let links = Links::of(req, &state.options);
    paged::respond(Schedules { records: Arc::clone(&state.records), query, links, show }, pagination).await
}

struct Schedules {
    records: Arc<dyn Records>,
    query: ScheduleQuery,
    links: Links,
    show: Show,
}

#[async_trait(?Send)]
impl Collection for Schedules {
    type Item = ScheduleRecord;
    /// Each may name many nodes.
    const AT_ONCE: u64 = 50;

    async fn read(&self, offset: u64, limit: u64) -> Result<Page<ScheduleRecord>, StoreError> {
        self.records.schedules(ScheduleQuery { offset, limit, ..self.query.clone() }).await
    }

    fn number(record: &ScheduleRecord) -> u64 {
        record.id.0
    }

    fn show(&self, record: &ScheduleRecord, json: &mut Vec<u8>) -> serde_json::Result<()> {
        (self.show)(record, &self.links, json)
    }
}
