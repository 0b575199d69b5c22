//! `GET /bunraku/v1/events`: the events of all jobs, as a stream or page by page, for dashboards and integrations.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, web};
use bunraku_actors::model::{EventRecord, EventSeq, JobId, JobKind};
use bunraku_actors::ports::StoreError;
use serde_json::{Value, json};

use super::auth::Viewer;
use super::document::PAGE;
use super::events::wants_stream;
use super::links::Links;
use super::request::Query;
use super::state::State;
use super::types::Event;
use super::{Answer, ok, sse};

/// Events of one answer, unless asked for fewer or more.
const USUAL: u64 = 100;
/// With more jobs than this, what is known of them is forgotten.
const REMEMBERED: usize = 1_000;

/// The events from `start` on: as a page of at most `limit`, or for those who accept `text/event-stream` as a stream that
/// goes on. Without a `start` the stream begins with what happens next, and the page with the first event there is.
pub(super) async fn list(req: HttpRequest, state: web::Data<State>, Viewer(caller): Viewer) -> Answer {
    let query = Query::of(&req);
    let start = query.number("start")?.map(EventSeq);
    if wants_stream(&req) {
        return sse::respond_all(&req, &state, caller, start).await;
    }
    let limit = query.number("limit")?.unwrap_or(USUAL).min(u64::from(PAGE));
    let links = Links::of(&req, &state.options);
    let page =
        state.orchestrator.store().all_events(start.unwrap_or_default(), u32::try_from(limit).unwrap_or(PAGE)).await?;
    let mut kinds = Kinds::default();
    let mut items = Vec::with_capacity(page.items.len());
    for event in &page.items {
        items.push(with_job(event, kinds.of(&state, event.job).await?, &links));
    }
    let next = page.items.last().map_or(start.unwrap_or(EventSeq(1)), |event| event.seq.next());
    ok(&json!({ "next-events": { "event": next.to_string() }, "more": page.more, "items": items }))
}

/// An event with the number of its job.
pub(super) fn with_job(event: &EventRecord, kind: JobKind, links: &Links) -> Value {
    let mut shown = json!(Event::new(event, kind, links));
    shown["job"] = json!(event.job.to_string());
    shown
}

/// What jobs run, looked up once.
#[derive(Debug, Default)]
pub(super) struct Kinds(BTreeMap<JobId, JobKind>);

impl Kinds {
    /// What a job runs.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn of(&mut self, state: &State, job: JobId) -> Result<JobKind, StoreError> {
        if let Some(kind) = self.0.get(&job) {
            return Ok(*kind);
        }
        // A job that was removed meanwhile has no report to link to.
        let kind = state.orchestrator.store().job(job).await?.map_or(JobKind::Task, |record| record.header.kind);
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(job, kind);
        Ok(kind)
    }
}
