//! `GET /bunraku/v1/jobs/<id>/live`: a job's committed counts and the limit that holds it back, for progress views.

use actix_web::{HttpRequest, web};

use super::auth::Viewer;
use super::state::State;
use super::types::LiveView;
use super::{Answer, jobs, ok};

/// The live state of a job; of one that is over, its last.
pub(super) async fn one(req: HttpRequest, state: web::Data<State>, _: Viewer, id: web::Path<String>) -> Answer {
    let record = jobs::find(&req, &state, &id).await?;
    let live = state.orchestrator.live(record.id).await;
    ok(&LiveView::new(&record, live.as_ref()))
}
