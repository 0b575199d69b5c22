//! `GET /jobs/<id>/nodes` (API §5.4).

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use async_trait::async_trait;
use bunraku_actors::model::{JobState, NodeState};
use bunraku_actors::ports::{JobRecord, JobStore, NodeOrder, NodeQuery, NodeRecord, StoreError};
use chrono::{DateTime, Utc};

use super::auth::Viewer;
use super::document::{Document, PAGE, Page, Pages, render};
use super::links::Links;
use super::paged::Listing;
use super::request::Query;
use super::state::State;
use super::types::{NextEvents, Node, Pagination};
use super::{Answer, ApiError, jobs};

const ORDERS: [(&str, NodeOrder); 5] = [
    ("name", NodeOrder::Name),
    ("duration", NodeOrder::Duration),
    ("state", NodeOrder::State),
    ("start_timestamp", NodeOrder::Started),
    ("finish_timestamp", NodeOrder::Finished),
];

/// The nodes of a job.
pub(super) async fn list(req: HttpRequest, state: web::Data<State>, _: Viewer, id: web::Path<String>) -> Answer {
    let record = jobs::find(&req, &state, &id).await?;
    let (query, pagination) = parse(&Query::of(&req), &record)?;
    let links = Links::of(&req, &state.options);
    // Before the nodes are read: a reader who goes on from here may see an event twice, but misses none.
    let next = state.orchestrator.store().last_event(record.id).await?.next();
    let next = NextEvents::new(record.id, next, &links);
    let head = format!("{{\"next-events\":{},\"pagination\":{},\"items\":[", render(&next)?, render(&pagination)?);
    let rows = NodeRows::new(&state, query, pagination.limit);
    let mut pages = NodePages { rows, job: record, now: state.now(), links };
    let first = pages.next().await?;
    Document::default().text(head).list(first, pages).text("]}").respond()
}

fn parse(query: &Query, record: &JobRecord) -> Result<(Option<NodeQuery>, Pagination), ApiError> {
    let Listing { order, descending, mut pagination } = Listing::of(query, &ORDERS, NodeOrder::Name, false)?;
    let state = state_filter(query)?;
    let total = match state {
        None => record.counts.total(),
        Some(None) => 0,
        Some(Some(state)) => record.counts.get(state),
    };
    pagination.total = total.into();
    pagination.kind.clear();
    let nodes = NodeQuery {
        states: state.flatten().into_iter().collect(),
        order,
        descending,
        offset: pagination.offset,
        ..NodeQuery::all(record.id)
    };
    Ok((Some(nodes).filter(|_| state != Some(None)), pagination))
}

/// The `state` parameter: `Some(None)` is a state of jobs that nodes never have, which matches none.
fn state_filter(query: &Query) -> Result<Option<Option<NodeState>>, ApiError> {
    let nodes = NodeState::ALL.map(|state| (state.name(), Some(state)));
    let jobs = [JobState::Stopping, JobState::Stopped].map(|state| (state.name(), None));
    query.choice("state", &[&nodes[..], &jobs[..]].concat())
}

/// Reads the nodes of a query page by page, up to a limit.
pub(super) struct NodeRows {
    store: Arc<dyn JobStore>,
    /// `None` matches nothing.
    query: Option<NodeQuery>,
    left: Option<u64>,
}

impl NodeRows {
    pub(super) fn new(state: &State, query: Option<NodeQuery>, limit: Option<u64>) -> Self {
        Self { store: Arc::clone(state.orchestrator.store()), query, left: limit }
    }

    /// The next nodes, and whether they are the last.
    pub(super) async fn next(&mut self) -> Result<(Vec<NodeRecord>, bool), StoreError> {
        let Some(query) = &mut self.query else { return Ok((Vec::new(), true)) };
        let wanted = self.left.map_or(PAGE, |left| u32::try_from(left).unwrap_or(PAGE).min(PAGE));
        if wanted == 0 {
            return Ok((Vec::new(), true));
        }
        query.limit = wanted;
        let page = self.store.nodes(query.clone()).await?;
        self.left = self.left.map(|left| left.saturating_sub(page.items.len() as u64));
        let last = page.next.is_none() || self.left == Some(0);
        query.offset = 0;
        query.after = page.next;
        Ok((page.items, last))
    }
}

struct NodePages {
    rows: NodeRows,
    job: JobRecord,
    now: DateTime<Utc>,
    links: Links,
}

#[async_trait(?Send)]
impl Pages for NodePages {
    async fn next(&mut self) -> Result<Page, StoreError> {
        let (records, last) = self.rows.next().await?;
        let (job, kind) = (self.job.id, self.job.header.kind);
        Page::of(records.iter().map(|record| Node::new(record, job, kind, self.now, &self.links)), last)
    }
}
