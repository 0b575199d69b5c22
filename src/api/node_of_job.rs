//! `GET /bunraku/v1/jobs/<id>/nodes/<certname>`: all that is known of one node of a job, in one answer.

use actix_web::{HttpRequest, web};
use bunraku_actors::model::{CertName, common_message, reason_of};
use bunraku_actors::plan;
use bunraku_actors::ports::NodeQuery;
use serde_json::{Value, json};

use super::auth::Viewer;
use super::links::Links;
use super::report::ReportRows;
use super::state::State;
use super::types::{Event, Node};
use super::{Answer, ApiError, jobs, ok, why};

/// The node with its events, what Puppet changed, and why it is where it is.
pub(super) async fn one(
    req: HttpRequest,
    state: web::Data<State>,
    _: Viewer,
    path: web::Path<(String, String)>,
) -> Answer {
    let (id, name) = path.into_inner();
    let job = jobs::find(&req, &state, &id).await?;
    let name = CertName::parse(&name).map_err(|error| ApiError::from(("node", error)))?;
    let store = state.orchestrator.store();
    let unknown = || ApiError::not_found(format!("job {} has no node {name}", job.id));
    let spec = store.spec(job.id).await?.ok_or_else(unknown)?;
    let index = spec.index_of(&name).ok_or_else(unknown)?;
    let query = NodeQuery { only: Some(name.clone()), ..NodeQuery::all(job.id) };
    let record = store.nodes(query).await?.items.pop().ok_or_else(unknown)?;
    let (kind, links) = (job.header.kind, Links::of(&req, &state.options));
    let mut shown = json!(Node::new(&record, job.id, kind, state.now(), &links));
    let events = store.events_of(job.id, index).await?;
    shown["events"] = events.iter().map(|event| json!(Event::new(event, kind, &links))).collect();
    shown["group"] =
        record.cause.map_or(Value::Null, |_| json!(common_message(&name, reason_of(&record.result, &record.message))));
    shown["level"] = json!(plan::levels(spec.nodes.len(), &spec.edges)[index.at()]);
    let report = ReportRows::new(&state).complete(&[record]).await.pop();
    if let Some(report) = report {
        shown["resource_events"] = json!(report.events);
        if let Some(error) = report.events_error {
            shown["events_error"] = json!(error);
        }
    }
    shown["why"] = why::about(&state, &name).await?;
    ok(&shown)
}
