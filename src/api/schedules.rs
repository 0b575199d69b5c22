//! Scheduled jobs: `scheduled_jobs/environment_jobs`, and the older commands and list that are views of them (API §4.8, §7).

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use async_trait::async_trait;
use bunraku_actors::ports::StoreError;
use serde_json::{Value, json};

use super::auth::{Caller, Viewer};
use super::command::accepted;
use super::document::{Document, Page, Pages, render};
use super::links::Links;
use super::once::once;
use super::records::{Made, Records, ScheduleKind, ScheduleOrder, ScheduleQuery, ScheduleRecord, ScheduleSpec};
use super::request::{Body, Object, Query, changed_schedule, new_schedule, number, older_schedule, read_body};
use super::rights::Permission;
use super::schedule::command_of;
use super::state::State;
use super::types::{OlderSchedule, Pagination, ScheduledJob};
use super::{Answer, ApiError, audit, json, ok};

/// Scheduled jobs per page of the store: each may name many nodes.
const SCHEDULE_PAGE: u64 = 50;

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
        let spec = new_schedule(&body, caller.owner(), state.now())?;
        check(&state, &caller, &spec).await?;
        Ok(Made::Schedule(state.records.schedule(spec, key, state.now()).await?))
    });
    accepted(&req, &state, made.await?)
}

/// Replaces keys of a scheduled job; one that is disabled is not changed any more.
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
        if !record.enabled {
            return Err(ApiError::disabled_schedule(&record.id.to_string()));
        }
        let made = Made::Schedule(record.id);
        apply(&state, &caller, record, &body).await?;
        if let Some(key) = key {
            state.records.remember(key, made.clone()).await?;
        }
        Ok(made)
    });
    accepted(&req, &state, made.await?)
}

async fn apply(state: &State, caller: &Caller, record: ScheduleRecord, body: &Object) -> Result<(), ApiError> {
    let (spec, enabled) = changed_schedule(body, record.spec.clone(), state.now())?;
    let asks_anew = spec.input != record.spec.input || spec.environment != record.spec.environment;
    if asks_anew {
        // With whose rights it runs does not change with who changes it: both must have them.
        check(state, caller, &spec).await?;
    }
    let moved = (spec.start, &spec.recurrence) != (record.spec.start, &record.spec.recurrence);
    let next = if moved { Some(spec.start) } else { record.next_run };
    let enabled = enabled.unwrap_or(true);
    Ok(state.records.change_schedule(record.id, spec, enabled, next.filter(|_| enabled)).await?)
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
        Ok(Made::Schedule(state.records.schedule(spec, key, state.now()).await?))
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
    command.permit(&caller.rights, &caller.token.login)?;
    Ok(state.orchestrator.check_environment(command.environment()).await?)
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
        Some(number) => state.records.scheduled(bunraku_actors::model::ScheduleId(number)).await?,
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
    listed(&req, &state, &ORDERS, |record, links| serde_json::to_string(&ScheduledJob::new(record, links))).await
}

/// The older list.
pub(super) async fn older_list(req: HttpRequest, state: web::Data<State>, _: Viewer) -> Answer {
    listed(&req, &state, &OLDER_ORDERS, |record, links| serde_json::to_string(&OlderSchedule::new(record, links))).await
}

type RenderOne = fn(&ScheduleRecord, &Links) -> serde_json::Result<String>;

async fn listed(
    req: &HttpRequest,
    state: &web::Data<State>,
    orders: &'static [(&'static str, ScheduleOrder)],
    render_one: RenderOne,
) -> Answer {
    let query = Query::of(req);
    let paging = query.paging(orders)?;
    let order = paging.order_by.unwrap_or(ScheduleOrder::NextRun);
    let descending = paging.descending.unwrap_or(false);
    let kinds = ScheduleKind::ALL.map(|kind| (kind.name(), kind));
    let mut pagination = Pagination {
        limit: paging.limit,
        offset: paging.offset,
        total: 0,
        order_by: query.text("order_by").unwrap_or(orders[0].0).to_owned(),
        order: if descending { "desc" } else { "asc" }.to_owned(),
        kind: query.text("type").unwrap_or_default().to_owned(),
    };
    let asked =
        ScheduleQuery { order, descending, offset: paging.offset, limit: 0, kind: query.choice("type", &kinds)? };
    let links = Links::of(req, &state.options);
    let records = Arc::clone(&state.records);
    let mut pages = SchedulePages { records, query: asked, left: paging.limit, total: 0, links, render_one };
    let first = pages.next().await?;
    pagination.total = pages.total;
    let tail = format!("],\"pagination\":{}}}", render(&pagination)?);
    Document::default().text("{\"items\":[").list(first, pages).text(tail).respond()
}

struct SchedulePages {
    records: Arc<dyn Records>,
    query: ScheduleQuery,
    left: Option<u64>,
    total: u64,
    links: Links,
    render_one: RenderOne,
}

#[async_trait(?Send)]
impl Pages for SchedulePages {
    async fn next(&mut self) -> Result<Page, StoreError> {
        self.query.limit = self.left.map_or(SCHEDULE_PAGE, |left| left.min(SCHEDULE_PAGE));
        let page = self.records.schedules(self.query.clone()).await?;
        let got = page.items.len() as u64;
        self.total = page.total;
        self.query.offset = self.query.offset.saturating_add(got);
        self.left = self.left.map(|left| left.saturating_sub(got));
        let last = got == 0 || self.left == Some(0) || self.query.offset >= page.total;
        let shown = page.items.iter().map(|record| (self.render_one)(record, &self.links));
        let shown = shown.collect::<Result<Vec<_>, _>>();
        let shown =
            shown.map_err(|error| StoreError::Failed(format!("a scheduled job cannot be rendered: {error}")))?;
        Ok(Page { json: shown.join(",").into_bytes(), last })
    }
}
