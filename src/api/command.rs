//! `POST /command/…`: deploy, task, stop (API §4).

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};

use super::auth::Operator;
use super::links::Links;
use super::request::{Body, StopRequest, deploy_command, read_body, stop_request, task_command};
use super::state::State;
use super::types::{Started, Stopped};
use super::{Answer, json, observe};

/// Starts a Puppet run; 202 after the job is committed.
pub(super) async fn deploy(
    req: HttpRequest,
    state: web::Data<State>,
    Operator(caller): Operator,
    body: Body,
) -> Answer {
    let body = read_body(body, &state.options).await?;
    let job = state.orchestrator.deploy(deploy_command(&body, caller.owner())?).await?;
    observe::note_job(&req, job);
    json(StatusCode::ACCEPTED, &Started::new(job, &Links::of(&req, &state.options)))
}

/// Starts a task; 202 after the job is committed.
pub(super) async fn task(req: HttpRequest, state: web::Data<State>, Operator(caller): Operator, body: Body) -> Answer {
    let body = read_body(body, &state.options).await?;
    let job = state.orchestrator.task(task_command(&body, caller.owner())?).await?;
    observe::note_job(&req, job);
    json(StatusCode::ACCEPTED, &Started::new(job, &Links::of(&req, &state.options)))
}

/// Stops a job; 202 with its node counts after the stop is committed.
pub(super) async fn stop(req: HttpRequest, state: web::Data<State>, _: Operator, body: Body) -> Answer {
    let StopRequest { job, mode } = stop_request(&read_body(body, &state.options).await?)?;
    observe::note_job(&req, job);
    let counts = state.orchestrator.stop(job, mode).await?;
    json(StatusCode::ACCEPTED, &Stopped::new(job, &counts, &Links::of(&req, &state.options)))
}
