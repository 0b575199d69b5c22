//! `GET /jobs` and `GET /jobs/<id>` (API §5.1–5.3).

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::{HttpRequest, web};
use async_trait::async_trait;
use bunraku_actors::model::JobId;
use bunraku_actors::ports::{JobOrder, JobQuery, JobRecord, JobStore, StoreError};
use chrono::{DateTime, Utc};

use super::auth::Viewer;
use super::document::{Document, Page, Pages, render};
use super::links::Links;
use super::request::{Query, job_id};
use super::state::State;
use super::types::{JOB_TYPES, Job, Pagination};
use super::{Answer, ApiError, observe, ok};

/// Jobs per page of the store: each may carry a long list of nodes in its options.
const JOB_PAGE: u64 = 100;

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
    let (query, mut pagination) = parse(&Query::of(&req))?;
    let mut pages = JobPages {
        store: Arc::clone(state.orchestrator.store()),
        left: pagination.limit,
        query,
        total: 0,
        seen: BTreeSet::new(),
        now: state.now(),
        links: Links::of(&req, &state.options),
    };
    let first = pages.next().await?;
    pagination.total = pages.total;
    let tail = format!("],\"pagination\":{}}}", render(&pagination)?);
    Document::default().text("{\"items\":[").list(first, pages).text(tail).respond()
}

fn parse(query: &Query) -> Result<(Option<JobQuery>, Pagination), ApiError> {
    let paging = query.paging(&ORDERS)?;
    // Nothing said: newest first. An explicit order without a direction ascends (API §1.7).
    let order = paging.order_by.unwrap_or(JobOrder::Timestamp);
    let descending = paging.descending.unwrap_or(paging.order_by.is_none());
    let word = |wanted: JobOrder| ORDERS.iter().find(|(_, order)| *order == wanted).map_or("", |(word, _)| *word);
    let kind = query.choice("type", &JOB_TYPES)?;
    let task = query.text("task").filter(|task| !task.is_empty());
    if task.is_some() && query.text("type") == Some("deploy") {
        return Err(ApiError::invalid("task", "task cannot be combined with type=deploy: such jobs run no task"));
    }
    let pagination = Pagination {
        limit: paging.limit,
        offset: paging.offset,
        total: 0,
        order_by: word(order).to_owned(),
        order: if descending { "desc" } else { "asc" }.to_owned(),
        kind: query.text("type").unwrap_or_default().to_owned(),
    };
    let jobs = JobQuery {
        order,
        descending,
        offset: paging.offset,
        limit: paging.limit,
        kind: kind.flatten(),
        task: task.map(str::to_owned),
        min_finished: query.time("min_finish_timestamp")?,
        max_finished: query.time("max_finish_timestamp")?,
    };
    // A type of which we have no jobs matches none.
    Ok((Some(jobs).filter(|_| kind != Some(None)), pagination))
}

/// Pages of the job list. Jobs that arrive meanwhile shift those behind them: what was shown is not shown again.
struct JobPages {
    store: Arc<dyn JobStore>,
    /// `None` matches nothing.
    query: Option<JobQuery>,
    left: Option<u64>,
    total: u64,
    seen: BTreeSet<JobId>,
    now: DateTime<Utc>,
    links: Links,
}

#[async_trait(?Send)]
impl Pages for JobPages {
    async fn next(&mut self) -> Result<Page, StoreError> {
        let Some(query) = &mut self.query else { return Ok(Page::end()) };
        let wanted = self.left.map_or(JOB_PAGE, |left| left.min(JOB_PAGE));
        query.limit = Some(wanted);
        let page = self.store.jobs(query.clone()).await?;
        let got = page.items.len() as u64;
        query.offset = query.offset.saturating_add(got);
        self.total = page.total;
        self.left = self.left.map(|left| left.saturating_sub(got));
        // A page may be shorter than asked for: large jobs end it early.
        let last = got == 0 || self.left == Some(0) || query.offset >= page.total;
        let (now, links) = (self.now, &self.links);
        let fresh = page.items.iter().filter(|record| self.seen.insert(record.id));
        Page::of(fresh.map(|record| Job::new(record, now, links)), last)
    }
}
