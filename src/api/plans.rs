//! Plan jobs: plans that run elsewhere and tell of themselves here (API §4.3, §4.6, §4.7, §6, §9.1).
//!
//! This service runs no plans. Bolt does, and reports what it does by `plan_start`, `plan_task` and `plan_finish`.

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use async_trait::async_trait;
use bunraku_actors::model::{EnvironmentName, JobId, PlanId, Reach};
use bunraku_actors::ports::{self, PlanSummary, Refusal, StoreError};
use chrono::{DateTime, Utc};
use serde_json::json;

use super::auth::{Caller, Viewer};
use super::command::{self, JobCommand, accepted};
use super::document::{Document, PAGE, Page, Pages, render};
use super::links::Links;
use super::once::{once, remembered};
use super::paged::{self, Collection, Listing};
use super::records::{Made, PlanOrder, PlanQuery, PlanRecord, PlanState, Records};
use super::request::{
    Body, Query, environment_plan_run, number, plan_finish, plan_id, plan_name, plan_of, plan_run, plan_start,
    plan_task, read_body,
};
use super::rights::Permission;
use super::state::State;
use super::types::{EnvironmentRef, PlanEventView, PlanItem, PlanJob, PlanView, StatusEntry};
use super::{Answer, ApiError, ok, tasks};

const ORDERS: [(&str, PlanOrder); 5] = [
    ("owner", PlanOrder::Owner),
    ("timestamp", PlanOrder::Timestamp),
    ("environment", PlanOrder::Environment),
    ("name", PlanOrder::Name),
    ("state", PlanOrder::State),
];

/// Begins a plan job; 202 after it is committed.
pub(super) async fn start(req: HttpRequest, state: web::Data<State>, caller: Caller, body: Body) -> Answer {
    caller.must(Permission::RunPlans)?;
    let body = read_body(body, &state.options).await?;
    let made = once(&req, &state, &caller, &body, async |key| {
        let spec = plan_start(&body, caller.owner(), state.now())?;
        caller.must_with(Permission::RunPlans, &spec.plan)?;
        refuse_when_unable(&state)?;
        Ok(Made::Plan(state.records.start_plan(spec, key).await?))
    });
    accepted(&req, &state, made.await?)
}

/// Starts a task of a plan job; 202 after the job is committed.
pub(super) async fn task(req: HttpRequest, state: web::Data<State>, caller: Caller, body: Body) -> Answer {
    caller.must(Permission::RunTasks)?;
    let body = read_body(body, &state.options).await?;
    let made = once(&req, &state, &caller, &body, async |key| {
        let command = plan_task(&body, caller.owner())?;
        if let Some(plan) = command.common.origin.plan {
            permit(&caller, &find(&state, plan).await?, "go on with")?;
        }
        command::start(&state, &caller, JobCommand::Task(command), key).await
    });
    accepted(&req, &state, made.await?)
}

/// Ends a plan job as its runner says; 202.
pub(super) async fn finish(req: HttpRequest, state: web::Data<State>, caller: Caller, body: Body) -> Answer {
    caller.must(Permission::RunPlans)?;
    let body = read_body(body, &state.options).await?;
    let made = once(&req, &state, &caller, &body, async |key| {
        let (plan, outcome, result) = plan_finish(&body)?;
        permit(&caller, &find(&state, plan).await?, "finish")?;
        state.records.finish_plan(plan, outcome, result, state.now()).await?;
        remembered(&state, key, Made::PlanOver(plan)).await
    });
    accepted(&req, &state, made.await?)
}

/// Ends a plan job for its runner, who is told at the next call; 202, also when it is over.
pub(super) async fn stop(req: HttpRequest, state: web::Data<State>, caller: Caller, body: Body) -> Answer {
    caller.must(Permission::View)?;
    let body = read_body(body, &state.options).await?;
    let made = once(&req, &state, &caller, &body, async |key| {
        let plan = plan_of(&body)?;
        let record = find(&state, plan).await?;
        permit(&caller, &record, "stop")?;
        let result = json!({ "_error": {
            "kind": "puppetlabs.orchestrator/plan-stopped",
            "msg": format!("The plan was stopped by {}", caller.token.login),
            "details": { "login": caller.token.login },
        }});
        match state.records.finish_plan(plan, PlanState::Failure, result, state.now()).await {
            Err(StoreError::Refused(Refusal::PlanOver(_))) => {}
            other => other?,
        }
        remembered(&state, key, Made::PlanOver(plan)).await
    });
    accepted(&req, &state, made.await?)
}

/// Refuses a plan run: 404 `unknown-plan` for a checked request, because this service runs no plans.
pub(super) async fn run(state: web::Data<State>, caller: Caller, body: Body) -> Answer {
    caller.must(Permission::RunPlans)?;
    refuse_run(&state, &caller, plan_run(&read_body(body, &state.options).await?)?).await
}

/// As [`run`], for the form with typed parameters.
pub(super) async fn run_in_environment(state: web::Data<State>, caller: Caller, body: Body) -> Answer {
    caller.must(Permission::RunPlans)?;
    refuse_run(&state, &caller, environment_plan_run(&read_body(body, &state.options).await?)?).await
}

async fn refuse_run(state: &State, caller: &Caller, (plan, environment): (String, EnvironmentName)) -> Answer {
    caller.must_with(Permission::RunPlans, &plan)?;
    state.orchestrator.check_environment(Some(&environment)).await?;
    Err(ApiError::unknown_plan(&plan))
}

/// A service that takes no new jobs takes no new plans.
fn refuse_when_unable(state: &State) -> Result<(), ApiError> {
    state.orchestrator.trouble().map_or(Ok(()), |trouble| Err(ApiError::unavailable(trouble)))
}

/// A plan job is its owner's; others need the permission to stop jobs, on whatever nodes.
fn permit(caller: &Caller, record: &PlanRecord, verb: &str) -> Result<(), ApiError> {
    let may_stop_all = || caller.rights.reach(Permission::StopJobs, None, None) == Some(Reach::All);
    if caller.owns(&record.spec.owner) || may_stop_all() {
        return Ok(());
    }
    let (login, owner) = (&caller.token.login, &record.spec.owner.login);
    let msg = format!("{login} may not {verb} plan job {}, which is {owner}'s", record.id);
    Err(ApiError::not_permitted(msg, json!({ "permission": Permission::StopJobs.name(), "owner": owner })))
}

async fn find(state: &State, plan: PlanId) -> Result<PlanRecord, ApiError> {
    state.records.plan(plan).await?.ok_or_else(|| ApiError::unknown_job(&plan.to_string()))
}

/// The plans of an environment. Permitted are those that the caller may tell of: none is run here.
pub(super) async fn list(req: HttpRequest, state: web::Data<State>, Viewer(caller): Viewer) -> Answer {
    let environment = tasks::environment(&req, &state).await?;
    let plans = state.orchestrator.directory().plans(&environment).await?;
    let links = Links::of(&req, &state.options);
    let permitted = |plan: &PlanSummary| caller.rights.may_with(Permission::RunPlans, &plan.name);
    let items: Vec<_> = plans.iter().map(|plan| PlanItem::new(plan, permitted(plan), &links)).collect();
    ok(&json!({ "environment": EnvironmentRef::with_code_id(&environment), "items": items }))
}

/// One plan, with its parameters where its source tells them.
pub(super) async fn one(
    req: HttpRequest,
    state: web::Data<State>,
    Viewer(caller): Viewer,
    path: web::Path<(String, String)>,
) -> Answer {
    let environment = tasks::environment(&req, &state).await?;
    let name = plan_name("plan", &format!("{}::{}", path.0, path.1))?;
    let plans = state.orchestrator.directory().plans(&environment).await?;
    let found = plans.iter().find(|known| known.name == name).ok_or_else(|| ApiError::no_such_plan(&name))?;
    let permitted = caller.rights.may_with(Permission::RunPlans, &name);
    ok(&PlanView::new(found, &environment, permitted, &Links::of(&req, &state.options)))
}

/// The list of plan jobs.
pub(super) async fn jobs(req: HttpRequest, state: web::Data<State>, _: Viewer) -> Answer {
    let query = Query::of(&req);
    // As for jobs: newest first when nothing is said, else ascending (API §1.7, §15, 45).
    let Listing { order, descending, mut pagination } = Listing::of(&query, &ORDERS, PlanOrder::Timestamp, true)?;
    // There is but one type.
    pagination.kind.clear();
    let with_result = query.choice("results", &[("include", true), ("exclude", false)])?.unwrap_or(true);
    let query = PlanQuery {
        order,
        descending,
        offset: 0,
        limit: 0,
        min_finished: query.time("min_finish_timestamp")?,
        max_finished: query.time("max_finish_timestamp")?,
    };
    let records = Arc::clone(&state.records);
    let plans = Plans { records, query, with_result, now: state.now(), links: Links::of(&req, &state.options) };
    paged::respond(plans, pagination).await
}

struct Plans {
    records: Arc<dyn Records>,
    query: PlanQuery,
    with_result: bool,
    now: DateTime<Utc>,
    links: Links,
}

#[async_trait(?Send)]
impl Collection for Plans {
    type Item = PlanRecord;
    /// Each may carry a large result.
    const AT_ONCE: u64 = 50;

    async fn read(&self, offset: u64, limit: u64) -> Result<ports::Page<PlanRecord>, StoreError> {
        self.records.plans(PlanQuery { offset, limit, ..self.query.clone() }).await
    }

    fn number(record: &PlanRecord) -> u64 {
        record.id.0
    }

    fn show(&self, record: &PlanRecord, json: &mut Vec<u8>) -> serde_json::Result<()> {
        serde_json::to_writer(json, &PlanJob::new(record, self.with_result, self.now, &self.links))
    }
}

/// One plan job, with the histories of its jobs.
pub(super) async fn job(req: HttpRequest, state: web::Data<State>, _: Viewer, id: web::Path<String>) -> Answer {
    let record = find(&state, plan_id(&id)?).await?;
    let links = Links::of(&req, &state.options);
    let shown = render(&PlanJob::new(&record, true, state.now(), &links))?;
    // The object goes on with its last key.
    let head = format!("{},\"status\":{{", shown.strip_suffix('}').unwrap_or(&shown));
    let mut pages = History { records: Arc::clone(&state.records), plan: record.id, after: JobId(0) };
    let first = pages.next().await?;
    Document::default().text(head).list(first, pages).text("}}").respond()
}

struct History {
    records: Arc<dyn Records>,
    plan: PlanId,
    after: JobId,
}

#[async_trait(?Send)]
impl Pages for History {
    async fn next(&mut self) -> Result<Page, StoreError> {
        let found = self.records.plan_history(self.plan, self.after, PAGE).await?;
        let last = found.len() < PAGE as usize;
        if let Some((job, _)) = found.last() {
            self.after = *job;
        }
        let mut json = Vec::new();
        for (job, spans) in found {
            let entries: Vec<_> = spans.iter().map(StatusEntry::from).collect();
            let entries = serde_json::to_string(&entries)
                .map_err(|error| StoreError::Failed(format!("a history cannot be rendered: {error}")))?;
            let comma = if json.is_empty() { "" } else { "," };
            json.extend_from_slice(format!("{comma}\"{job}\":{entries}").as_bytes());
        }
        Ok(Page { json, last })
    }
}

/// The events of a plan job.
pub(super) async fn events(req: HttpRequest, state: web::Data<State>, _: Viewer, id: web::Path<String>) -> Answer {
    let start = Query::of(&req).number("start")?;
    let plan = find(&state, plan_id(&id)?).await?.id;
    let last = state.records.last_plan_event(plan).await?;
    let next = start.filter(|start| *start > last).unwrap_or(last + 1);
    let link = Links::of(&req, &state.options).at(&format!("plan_jobs/{plan}/events?start={next}"));
    let head = render(&json!({ "id": link, "event": next.to_string() }))?;
    let mut pages = PlanEvents { records: Arc::clone(&state.records), plan, cursor: start.unwrap_or(0), last };
    let first = pages.next().await?;
    Document::default().text(format!("{{\"next-events\":{head},\"items\":[")).list(first, pages).text("]}").respond()
}

struct PlanEvents {
    records: Arc<dyn Records>,
    plan: PlanId,
    cursor: u64,
    last: u64,
}

#[async_trait(?Send)]
impl Pages for PlanEvents {
    async fn next(&mut self) -> Result<Page, StoreError> {
        if self.cursor > self.last {
            return Ok(Page::end());
        }
        let (found, more) = self.records.plan_events(self.plan, self.cursor, PAGE).await?;
        self.cursor = found.last().map_or(self.last, |event| event.seq) + 1;
        let shown = found.iter().filter(|event| event.seq <= self.last);
        Page::of(shown.map(PlanEventView::from), !more || self.cursor > self.last)
    }
}

/// One event of a plan job, whole.
pub(super) async fn event(state: web::Data<State>, _: Viewer, path: web::Path<(String, String)>) -> Answer {
    let (id, event) = path.into_inner();
    let plan = find(&state, plan_id(&id)?).await?.id;
    let found = match number("event", &event)? {
        Some(seq) => state.records.plan_event(seq).await?.filter(|found| found.plan == plan),
        None => None,
    };
    ok(&PlanEventView::from(&found.ok_or_else(|| ApiError::mismatched_event(&id, &event))?))
}
