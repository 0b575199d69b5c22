//! `GET /jobs` and `GET /jobs/<id>` (API §5.1–5.3).

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use async_trait::async_trait;
use bunraku_actors::model::JobState;
use bunraku_actors::ports::{JobOrder, JobQuery, JobRecord, JobStore, Page, StoreError};
use chrono::{DateTime, Utc};

use super::auth::Viewer;
use super::links::Links;
use super::paged::{self, Collection, Listing};
use super::request::{Query, job_id};
use super::state::State;
use super::types::{JOB_TYPES, Job, Pagination, short};
use super::{Answer, ApiError, observe, ok};

const ORDERS: [(&str, JobOrder); 5] = [
    ("owner", JobOrder::Owner),
    ("timestamp", JobOrder::Timestamp),
    ("environment", JobOrder::Environment),
    ("name", JobOrder::Name),
    ("state", JobOrder::State),
];

/// One job.
pub(super) async fn one(req: HttpRequest, state: web::Data<State>, _: Viewer, id: web::Path<String>) -> Answer {
    let record = find(&req, &state, &id).await?;
    ok(&Job::new(&record, state.now(), &Links::of(&req, &state.options)))
}

/// The job of a path.
///
/// # Errors
/// 400 when the id is no number, 404 when there is no such job.
pub(super) async fn find(req: &HttpRequest, state: &State, id: &str) -> Result<JobRecord, ApiError> {
    let job = job_id(id)?;
    observe::note_job(req, job);
    state.orchestrator.store().job(job).await?.ok_or_else(|| ApiError::unknown_job(id))
}

/// The list of jobs.
pub(super) async fn list(req: HttpRequest, state: web::Data<State>, _: Viewer) -> Answer {
    let (query, pagination) = parse(&Query::of(&req))?;
    let store = Arc::clone(state.orchestrator.store());
    let in_short = Query::of(&req).choice("short", &[("true", true), ("false", false)])?.unwrap_or_default();
    let links = Links::of(&req, &state.options);
    paged::respond(Jobs { store, query, now: state.now(), links, in_short }, pagination).await
}

fn parse(query: &Query) -> Result<(Option<JobQuery>, Pagination), ApiError> {
    let Listing { order, descending, pagination } = Listing::of(query, &ORDERS, JobOrder::Timestamp, true)?;
    let kind = query.choice("type", &JOB_TYPES)?;
    let task = query.text("task").filter(|task| !task.is_empty());
    if task.is_some() && query.text("type") == Some("deploy") {
        return Err(ApiError::invalid("task", "task cannot be combined with type=deploy: such jobs run no task"));
    }
    let text = |key: &str| query.text(key).map(str::to_owned);
    let jobs = JobQuery {
        offset: pagination.offset,
        limit: pagination.limit,
        kind: kind.flatten(),
        task: task.map(str::to_owned),
        min_finished: query.time("min_finish_timestamp")?,
        max_finished: query.time("max_finish_timestamp")?,
        state: query.choice("state", &JobState::ALL.map(|state| (state.name(), state)))?,
        owner: text("owner").filter(|owner| !owner.is_empty()),
        environment: text("environment"),
        search: text("search").filter(|search| !search.trim().is_empty()),
        ..JobQuery::all(order, descending)
    };
    // A type of which we have no jobs matches none.
    Ok((Some(jobs).filter(|_| kind != Some(None)), pagination))
}

struct Jobs {
    store: Arc<dyn JobStore>,
    /// `None` matches nothing.
    query: Option<JobQuery>,
    now: DateTime<Utc>,
    links: Links,
    /// Of long lists of nodes only the beginning is shown.
    in_short: bool,
}

#[async_trait(?Send)]
impl Collection for Jobs {
    type Item = JobRecord;
    /// Each may carry a long list of nodes in its options.
    const AT_ONCE: u64 = 100;

    async fn read(&self, offset: u64, limit: u64) -> Result<Page<JobRecord>, StoreError> {
        let Some(query) = self.query.clone() else { return Ok(Page { items: Vec::new(), total: 0 }) };
        self.store.jobs(JobQuery { offset, limit: Some(limit), ..query }).await
    }

    fn number(record: &JobRecord) -> u64 {
        record.id.0
    }

    fn show(&self, record: &JobRecord, json: &mut Vec<u8>) -> serde_json::Result<()> {
        let job = Job::new(record, self.now, &self.links);
        if self.in_short { serde_json::to_writer(json, &short(&job)) } else { serde_json::to_writer(json, &job) }
    }
}
