//! `GET /bunraku/v1/jobs/<id>/grid`: all nodes of a job at a glance, for pictures of it.
//!
//! Columns instead of records: the names of keys would be most of it. It is read page by page but answered whole, since
//! every column needs all nodes; a job's nodes are bounded, and one takes some fifty bytes here.

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use bunraku_actors::model::{Cause, CertName, JobSpec, NodeIndex, NodeState, common_message};
use bunraku_actors::plan;
use bunraku_actors::ports::{BriefNode, JobStore, StoreError};
use chrono::{DateTime, Utc};
use indexmap::IndexSet;
use serde::Serialize;

use super::auth::Viewer;
use super::document::PAGE;
use super::links::Links;
use super::state::State;
use super::types::{Job, LiveView};
use super::{Answer, ApiError, jobs, ok};

/// Stands for "none" where a column holds places in a list.
const NONE: i32 = -1;

/// The answer.
#[derive(Serialize)]
struct Grid<'a> {
    job: Job,
    live: LiveView,
    #[serde(rename = "next-events")]
    next_events: String,
    states: [&'static str; 7],
    causes: Vec<&'static str>,
    groups: IndexSet<String>,
    levels: u32,
    nodes: Columns<'a>,
}

/// One entry for each node, by name.
#[derive(Default, Serialize)]
struct Columns<'a> {
    name: Vec<&'a CertName>,
    /// Places in `states`.
    state: Vec<i32>,
    /// Places in `causes`.
    cause: Vec<i32>,
    /// Milliseconds since 1970, 0 when it did not.
    started: Vec<i64>,
    finished: Vec<i64>,
    level: Vec<u32>,
    /// Places in `groups`.
    group: Vec<i32>,
}

/// The job with all of its nodes.
pub(super) async fn one(req: HttpRequest, state: web::Data<State>, _: Viewer, id: web::Path<String>) -> Answer {
    let store = state.orchestrator.store();
    let record = jobs::find(&req, &state, &id).await?;
    let spec = store.spec(record.id).await?.ok_or_else(|| ApiError::unknown_job(&id))?;
    // Before the nodes are read: who goes on from here may see an event twice, but misses none.
    let next = store.last_event(record.id).await?.next();
    let levels = plan::levels(spec.nodes.len(), &spec.edges);
    let mut groups = IndexSet::new();
    let mut columns = Columns { level: levels, ..Columns::default() };
    for node in all_in_brief(store, &spec, record.id).await? {
        columns.push(spec.node(node.node), &node, &mut groups);
    }
    let live = state.orchestrator.live(record.id).await;
    ok(&Grid {
        live: LiveView::new(&record, live.as_ref()),
        job: Job::new(&record, state.now(), &Links::of(&req, &state.options)),
        next_events: next.to_string(),
        states: NodeState::ALL.map(NodeState::name),
        causes: Cause::ALL.iter().map(|cause| cause.name()).collect(),
        groups,
        levels: columns.level.iter().max().map_or(0, |deepest| deepest + 1),
        nodes: columns,
    })
}

/// All nodes of a job, by index.
pub(super) async fn all_in_brief(
    store: &Arc<dyn JobStore>,
    spec: &JobSpec,
    job: bunraku_actors::model::JobId,
) -> Result<Vec<BriefNode>, StoreError> {
    let mut all: Vec<BriefNode> = Vec::with_capacity(spec.nodes.len());
    loop {
        let from = all.last().map_or(NodeIndex(0), |node| NodeIndex(node.node.0 + 1));
        let page = store.brief(job, from, PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

impl<'a> Columns<'a> {
    fn push(&mut self, name: &'a CertName, node: &BriefNode, groups: &mut IndexSet<String>) {
        self.name.push(name);
        self.state.push(place(NodeState::ALL.iter().position(|state| *state == node.state)));
        self.cause.push(place(node.cause.and_then(|cause| Cause::ALL.iter().position(|known| *known == cause))));
        self.started.push(milliseconds(node.started_at));
        self.finished.push(milliseconds(node.finished_at));
        let group = node.cause.map(|_| groups.insert_full(common_message(name, &node.reason)).0);
        self.group.push(place(group));
    }
}

fn place(found: Option<usize>) -> i32 {
    found.and_then(|at| i32::try_from(at).ok()).unwrap_or(NONE)
}

fn milliseconds(at: Option<DateTime<Utc>>) -> i64 {
    at.map_or(0, |at| at.timestamp_millis())
}
