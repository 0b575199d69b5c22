//! Lists of the memory store: filter, sort, cut.

use std::cmp::Ordering;

use serde_json::Value;

use crate::model::{JobId, NodeIndex, NodeState, reason_of};
use crate::ports::{
    BriefNode, JobOrder, JobQuery, JobRecord, NodeCursor, NodeOrder, NodePage, NodeQuery, NodeRecord, Page,
};

use super::store::Rows;

impl Rows {
    pub(super) fn list(&self, query: &JobQuery) -> Page<JobRecord> {
        let all = self.jobs.iter().map(|(id, job)| job.record(*id));
        let mut found: Vec<JobRecord> = all.filter(|job| matches(job, query)).collect();
        found.sort_by(|a, b| {
            let order = compare_jobs(a, b, query.order).then(a.id.cmp(&b.id));
            if query.descending { order.reverse() } else { order }
        });
        let total = found.len() as u64;
        let limit = query.limit.unwrap_or(u64::MAX);
        let skip = usize::try_from(query.offset).unwrap_or(usize::MAX);
        let take = usize::try_from(limit).unwrap_or(usize::MAX);
        Page { items: found.into_iter().skip(skip).take(take).collect(), total }
    }

    pub(super) fn nodes(&self, query: &NodeQuery) -> NodePage {
        let mut found = self.matching(query.job, query);
        found.sort_by(|a, b| {
            let order = compare_nodes(a, b, query.order).then(a.node.cmp(&b.node));
            if query.descending { order.reverse() } else { order }
        });
        let skip = match &query.after {
            Some(cursor) => {
                found.iter().position(|node| node.name.as_str() == cursor.0).map_or(found.len(), |at| at + 1)
            }
            None => usize::try_from(query.offset).unwrap_or(usize::MAX),
        };
        let mut rest = found.into_iter().skip(skip);
        let items: Vec<NodeRecord> = rest.by_ref().take(query.limit as usize).collect();
        let more = rest.next().is_some();
        let next = items.last().filter(|_| more).map(|last| NodeCursor(last.name.to_string()));
        NodePage { items, next }
    }

    pub(super) fn brief(&self, job: JobId, from: NodeIndex, limit: u32) -> Vec<BriefNode> {
        let rows = self.jobs.get(&job).into_iter().flat_map(|job| &job.nodes);
        let shown = rows.map(|row| &row.shown).filter(|node| node.node >= from);
        let brief = shown.map(|node| BriefNode {
            node: node.node,
            state: node.state,
            cause: node.cause,
            started_at: node.started_at,
            finished_at: node.finished_at,
            reason: if is_short_of(node.state) {
                reason_of(&node.result, &node.message).to_owned()
            } else {
                String::new()
            },
        });
        brief.take(limit as usize).collect()
    }

    fn matching(&self, job: JobId, query: &NodeQuery) -> Vec<NodeRecord> {
        let rows = self.jobs.get(&job).into_iter().flat_map(|job| &job.nodes);
        let rows = rows.filter(|row| query.only.as_ref().is_none_or(|only| row.shown.name == *only));
        let wanted = rows.filter(|row| query.states.is_empty() || query.states.contains(&row.stored.state));
        wanted
            .map(|row| {
                let mut node = row.shown.clone();
                if !query.with_results {
                    node.result = Value::Null;
                    node.resource_events = Vec::new();
                }
                node
            })
            .collect()
    }
}

/// Whether a node of that state is over and did not finish.
fn is_short_of(state: NodeState) -> bool {
    matches!(state, NodeState::Failed | NodeState::Errored | NodeState::Skipped)
}

fn matches(job: &JobRecord, query: &JobQuery) -> bool {
    let (owner, environment) =
        (&job.header.owner.login, job.header.environment.as_ref().map_or("", |name| name.as_str()));
    let task = job.header.task.as_ref().map_or("", |task| task.as_str());
    query.kind.is_none_or(|kind| job.header.job_type() == kind)
        && query.task.as_deref().is_none_or(|part| !task.is_empty() && task.contains(part))
        && query.min_finished.is_none_or(|min| job.finished_at.is_some_and(|at| at >= min))
        && query.max_finished.is_none_or(|max| job.finished_at.is_some_and(|at| at <= max))
        && query.state.is_none_or(|state| job.state == state)
        && query.owner.as_ref().is_none_or(|wanted| wanted == owner)
        && query.environment.as_ref().is_none_or(|wanted| wanted == environment)
        && query.search.as_ref().is_none_or(|part| {
            let part = part.to_lowercase();
            [task, owner, environment, &job.header.description, &job.id.to_string()]
                .iter()
                .any(|text| text.to_lowercase().contains(&part))
        })
}

fn compare_jobs(a: &JobRecord, b: &JobRecord, order: JobOrder) -> Ordering {
    let changed = |job: &JobRecord| job.history.last().map(|span| span.entered);
    match order {
        JobOrder::Owner => a.header.owner.login.cmp(&b.header.owner.login),
        JobOrder::Timestamp => changed(a).cmp(&changed(b)),
        JobOrder::Environment => a.header.environment.cmp(&b.header.environment),
        JobOrder::Name => a.id.cmp(&b.id),
        JobOrder::State => a.state.name().cmp(b.state.name()),
    }
}

fn compare_nodes(a: &NodeRecord, b: &NodeRecord, order: NodeOrder) -> Ordering {
    let duration = |node: &NodeRecord| Some(node.finished_at? - node.started_at?);
    match order {
        NodeOrder::Name => a.name.cmp(&b.name),
        NodeOrder::Duration => duration(a).cmp(&duration(b)),
        NodeOrder::State => a.state.name().cmp(b.state.name()),
        NodeOrder::Started => a.started_at.cmp(&b.started_at),
        NodeOrder::Finished => a.finished_at.cmp(&b.finished_at),
    }
}
