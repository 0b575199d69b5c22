//! `GET /jobs/<id>/report`: the same list under `items` and under `report`, for the two families of clients (API §5.5).

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use async_trait::async_trait;
use bunraku_actors::model::JobId;
use bunraku_actors::ports::{Directory, DirectoryError, NodeQuery, NodeRecord, StoreError};

use super::auth::Viewer;
use super::document::{Document, Page, Pages};
use super::nodes::NodeRows;
use super::state::State;
use super::types::ReportItem;
use super::{Answer, jobs};

/// The report of a job.
pub(super) async fn list(req: HttpRequest, state: web::Data<State>, _: Viewer, id: web::Path<String>) -> Answer {
    let job = jobs::find(&req, &state, &id).await?.id;
    let mut pages = ReportPages::new(&state, job);
    let first = pages.next().await?;
    let head = Document::default().text("{\"items\":[");
    // A report of one page is written twice from the same bytes; a longer one is read twice.
    let document = if first.last {
        head.text(first.json.clone()).text("],\"report\":[").text(first.json)
    } else {
        let again = ReportPages::new(&state, job);
        head.list(first, pages).text("],\"report\":[").later(again)
    };
    document.text("]}").respond()
}

struct ReportPages {
    rows: NodeRows,
    reports: ReportRows,
}

impl ReportPages {
    fn new(state: &State, job: JobId) -> Self {
        Self { rows: NodeRows::new(state, Some(NodeQuery::all(job)), None), reports: ReportRows::new(state) }
    }
}

/// Makes the entries of a report.
pub(super) struct ReportRows {
    directory: Arc<dyn Directory>,
    /// Why reports could not be had: who did not answer once is not asked again for this document.
    lost: Option<DirectoryError>,
}

impl ReportRows {
    pub(super) fn new(state: &State) -> Self {
        Self { directory: Arc::clone(state.orchestrator.directory()), lost: None }
    }

    /// The entries of these nodes.
    pub(super) async fn complete(&mut self, records: &[NodeRecord]) -> Vec<ReportItem> {
        let mut items: Vec<ReportItem> = records.iter().map(ReportItem::from).collect();
        self.add_events(records, &mut items).await;
        items
    }

    /// Adds the resource events of those runs whose agent did not send them, from whoever keeps the reports.
    async fn add_events(&mut self, records: &[NodeRecord], items: &mut [ReportItem]) {
        // A run that left all as it was has no events.
        let changed = |record: &NodeRecord| record.result.get("status").is_none_or(|status| status != "unchanged");
        let lacks = |record: &&NodeRecord| record.resource_events.is_empty() && changed(record);
        let wanted: Vec<String> =
            records.iter().filter(lacks).filter_map(|record| record.transaction_uuid.clone()).collect();
        if wanted.is_empty() {
            return;
        }
        let found = match self.lost.clone() {
            Some(error) => Err(error),
            None => self.directory.report_events(&wanted).await,
        };
        self.lost = found.as_ref().err().cloned();
        for (record, item) in records.iter().zip(items) {
            let Some(uuid) = record.transaction_uuid.as_ref().filter(|_| lacks(&record)) else { continue };
            match &found {
                Ok(found) => item.events = found.get(uuid).cloned().unwrap_or_default(),
                // The rest of the report is worth having, but nobody must take this for a run without events.
                Err(error) => item.events_error = Some(error.to_string()),
            }
        }
    }
}

#[async_trait(?Send)]
impl Pages for ReportPages {
    async fn next(&mut self) -> Result<Page, StoreError> {
        let (records, last) = self.rows.next().await?;
        let items = self.reports.complete(&records).await;
        Page::of(items.iter(), last)
    }
}
