//! `GET /bunraku/v1/jobs/<id>/live`: a job's committed counts and the limit that holds it back, for progress views; and
//! `POST /bunraku/v1/jobs/<id>/resume`.

use actix_web::{HttpRequest, web};

use super::auth::{Resumer, Viewer};
use super::state::State;
use super::types::LiveView;
use super::{Answer, jobs, ok};

/// The live state of a job; of one that is over, its last.
pub(super) async fn one(req: HttpRequest, state: web::Data<State>, _: Viewer, id: web::Path<String>) -> Answer {
    let record = jobs::find(&req, &state, &id).await?;
    let live = state.orchestrator.live(record.id).await;
    ok(&LiveView::new(&record, live.as_ref()))
}

/// Lets a job that was restored from a backup go on; any other is as it was. Answers with the live state.
pub(super) async fn resume(
    req: HttpRequest,
    state: web::Data<State>,
    Resumer(caller): Resumer,
    id: web::Path<String>,
) -> Answer {
    let record = jobs::find(&req, &state, &id).await?;
    state.orchestrator.resume(record.id).await?;
    tracing::info!(job = %record.id, by = caller.token.login, "job resumed");
    let live = state.orchestrator.live(record.id).await;
    ok(&LiveView::new(&record, live.as_ref()))
}
