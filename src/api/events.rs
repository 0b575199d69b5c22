//! `GET /jobs/<id>/events`: as one JSON document, or as a stream for those who accept `text/event-stream` (API §5.6).

use std::sync::Arc;

use actix_web::http::header::{Accept, Header as _, Quality};
use actix_web::{HttpRequest, web};
use async_trait::async_trait;
use bunraku_actors::model::{EventSeq, JobId, JobKind};
use bunraku_actors::ports::{JobRecord, JobStore, StoreError};

use super::auth::Viewer;
use super::document::{Document, PAGE, Page, Pages, render};
use super::links::Links;
use super::request::Query;
use super::state::State;
use super::types::{Event, NextEvents};
use super::{Answer, jobs, sse};

/// The events of a job from `start` on.
pub(super) async fn list(
    req: HttpRequest,
    state: web::Data<State>,
    Viewer(caller): Viewer,
    id: web::Path<String>,
) -> Answer {
    let start = Query::of(&req).number("start")?.map(EventSeq);
    let record = jobs::find(&req, &state, &id).await?;
    if wants_stream(&req) {
        return sse::respond(&req, &state, caller, record, start).await;
    }
    document(&state, &record, start, Links::of(&req, &state.options)).await
}

/// A stream for those who name it and do not like JSON better; wildcards alone get the document.
pub(super) fn wants_stream(req: &HttpRequest) -> bool {
    let Ok(accept) = Accept::parse(req) else { return false };
    let quality = |media: &str| accept.iter().find(|item| item.item.essence_str() == media).map(|item| item.quality);
    match (quality("text/event-stream"), quality("application/json")) {
        (Some(stream), json) => stream > Quality::ZERO && json.is_none_or(|json| json <= stream),
        (None, _) => false,
    }
}

/// The document reaches up to the last event that was committed when it was begun; `next-events` goes on from there.
async fn document(state: &State, record: &JobRecord, start: Option<EventSeq>, links: Links) -> Answer {
    let store = Arc::clone(state.orchestrator.store());
    let last = store.last_event(record.id).await?;
    let next = start.filter(|start| *start > last).unwrap_or_else(|| last.next());
    let head = render(&NextEvents::new(record.id, next, &links))?;
    let mut pages =
        EventPages { store, job: record.id, kind: record.header.kind, cursor: start.unwrap_or_default(), last, links };
    let first = pages.next().await?;
    Document::default().text(format!("{{\"next-events\":{head},\"items\":[")).list(first, pages).text("]}").respond()
}

struct EventPages {
    store: Arc<dyn JobStore>,
    job: JobId,
    kind: JobKind,
    cursor: EventSeq,
    /// The last event of the document.
    last: EventSeq,
    links: Links,
}

#[async_trait(?Send)]
impl Pages for EventPages {
    async fn next(&mut self) -> Result<Page, StoreError> {
        if self.cursor > self.last {
            return Ok(Page::end());
        }
        let page = self.store.events(self.job, self.cursor, PAGE).await?;
        if let Some(event) = page.items.last() {
            self.cursor = event.seq.next();
        }
        let last = !page.more || self.cursor > self.last;
        let shown = page.items.iter().filter(|event| event.seq <= self.last);
        Page::of(shown.map(|event| Event::new(event, self.kind, &self.links)), last)
    }
}
