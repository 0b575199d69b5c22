//! `GET /jobs/<id>/report`: the same list under `items` and under `report`, for the two families of clients (API §5.5).

use actix_web::{HttpRequest, web};
use async_trait::async_trait;
use bunraku_actors::model::JobId;
use bunraku_actors::ports::{NodeOrder, NodeQuery, StoreError};

use super::auth::Viewer;
use super::document::{Document, PAGE, Page, Pages};
use super::nodes::NodeRows;
use super::state::State;
use super::types::ReportItem;
use super::{Answer, jobs};

/// The report of a job.
pub(super) async fn list(req: HttpRequest, state: web::Data<State>, _: Viewer, id: web::Path<String>) -> Answer {
    let job = jobs::find(&req, &state, &id).await?.id;
    let mut pages = ReportPages(NodeRows::new(&state, Some(all(job)), None));
    let first = pages.next().await?;
    let head = Document::default().text("{\"items\":[");
    // A report of one page is written twice from the same bytes; a longer one is read twice.
    let document = if first.last {
        head.text(first.json.clone()).text("],\"report\":[").text(first.json)
    } else {
        let again = ReportPages(NodeRows::new(&state, Some(all(job)), None));
        head.list(first, pages).text("],\"report\":[").later(again)
    };
    document.text("]}").respond()
}

fn all(job: JobId) -> NodeQuery {
    NodeQuery {
        job,
        states: Vec::new(),
        order: NodeOrder::Name,
        descending: false,
        offset: 0,
        limit: PAGE,
        after: None,
        with_results: true,
    }
}

struct ReportPages(NodeRows);

#[async_trait(?Send)]
impl Pages for ReportPages {
    async fn next(&mut self) -> Result<Page, StoreError> {
        let (records, last) = self.0.next().await?;
        Page::of(records.iter().map(ReportItem::from), last)
    }
}
