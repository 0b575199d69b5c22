//! `POST /command/…` that make or stop jobs: deploy, task, stop (API §4.1, §4.2, §4.4).

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use bunraku_actors::handle::Preview;
use bunraku_actors::model::{
    Common, DeployCommand, EnvironmentName, JobId, OnceKey, Reach, Scope, StopMode, TaskCommand,
};
use bunraku_actors::ports::{JobRecord, NodeQuery};
use serde_json::json;

use super::auth::Caller;
use super::links::Links;
use super::nodes::NodeRows;
use super::once::{once, remembered};
use super::records::Made;
use super::request::{Body, StopRequest, deploy_command, read_body, stop_request, task_command};
use super::rights::{Permission, Rights};
use super::state::State;
use super::types::{Started, Stopped};
use super::{Answer, ApiError, audit, auth, json, observe};

/// Starts a Puppet run; 202 after the job is committed.
pub(super) async fn deploy(req: HttpRequest, state: web::Data<State>, caller: Caller, body: Body) -> Answer {
    caller.must(Permission::RunPuppet)?;
    let body = read_body(body, &state.options).await?;
    let made = once(&req, &state, &caller, &body, async |key| {
        start(&state, &caller, JobCommand::Deploy(deploy_command(&body, caller.owner())?), key).await
    });
    accepted(&req, &state, made.await?)
}

/// Starts a task; 202 after the job is committed.
pub(super) async fn task(req: HttpRequest, state: web::Data<State>, caller: Caller, body: Body) -> Answer {
    caller.must(Permission::RunTasks)?;
    let body = read_body(body, &state.options).await?;
    let made = once(&req, &state, &caller, &body, async |key| {
        start(&state, &caller, JobCommand::Task(task_command(&body, caller.owner())?), key).await
    });
    accepted(&req, &state, made.await?)
}

/// Starts a checked command, if its owner may.
pub(super) async fn start(
    state: &State,
    caller: &Caller,
    mut command: JobCommand,
    key: Option<OnceKey>,
) -> Result<Made, ApiError> {
    command.permit(state, &caller.rights, &caller.token.login).await?;
    command.common().once = key;
    Ok(Made::Job(command.start(state).await?))
}

async fn permit_scope(state: &State, scope: &Scope, rights: &Rights, login: &str) -> Result<(), ApiError> {
    match scope {
        Scope::Query(_) if !rights.may(Permission::QueryNodes) => Err(ApiError::query_not_permitted(login)),
        Scope::NodeGroup(key) if !may_view(state, key, rights).await? => {
            Err(auth::lacks(login, Permission::ViewGroups, Some(key)))
        }
        _ => Ok(()),
    }
}

/// Whether somebody may choose nodes by this group. A role may name it by id or name, and so may the request.
async fn may_view(state: &State, key: &str, rights: &Rights) -> Result<bool, ApiError> {
    let may = |name: &str| rights.may_with(Permission::ViewGroups, name);
    if may(key) || !rights.may(Permission::ViewGroups) {
        return Ok(may(key));
    }
    let group = state.orchestrator.directory().group(key).await?;
    Ok(group.is_some_and(|group| may(&group.name) || may(&group.id.to_string())))
}

/// Stops a job; 202 with its node counts after the stop is committed.
pub(super) async fn stop(req: HttpRequest, state: web::Data<State>, caller: Caller, body: Body) -> Answer {
    caller.must(Permission::View)?;
    let body = read_body(body, &state.options).await?;
    let made = once(&req, &state, &caller, &body, async |key| {
        let StopRequest { job, mode } = stop_request(&body)?;
        observe::note_job(&req, job);
        remembered(&state, key, stop_permitted(&state, &caller, job, mode).await?).await
    });
    accepted(&req, &state, made.await?)
}

async fn stop_permitted(state: &State, caller: &Caller, job: JobId, mode: StopMode) -> Result<Made, ApiError> {
    let record = state.orchestrator.store().job(job).await?.ok_or_else(|| ApiError::unknown_job(&job.to_string()))?;
    permit_stop(state, caller, &record).await?;
    Ok(Made::Stopped { job, counts: state.orchestrator.stop(job, mode).await? })
}

/// Whether the caller may stop this job: it is their own, or they may on all of its nodes.
async fn permit_stop(state: &State, caller: &Caller, record: &JobRecord) -> Result<(), ApiError> {
    if caller.owns(&record.header.owner) {
        return Ok(());
    }
    let reach = caller.reach(Permission::StopJobs, None, record.header.environment.as_ref())?;
    if reach == Reach::All {
        return Ok(());
    }
    let query = NodeQuery { with_results: false, ..NodeQuery::all(record.id) };
    let mut rows = NodeRows::new(state, Some(query), None);
    loop {
        let (nodes, last) = rows.next().await?;
        let beyond = state.orchestrator.beyond(&reach, nodes.iter().map(|node| &node.name)).await?;
        if let Some(example) = beyond.first() {
            let (job, login) = (record.id, &caller.token.login);
            let msg = format!("job {job} has nodes on which {login} may stop nothing, such as {example}");
            let details = json!({ "permission": Permission::StopJobs.name(), "example": example });
            return Err(ApiError::not_permitted(msg, details));
        }
        if last {
            return Ok(());
        }
    }
}

/// The answer to a command that was carried out, now or before.
pub(super) fn accepted(req: &HttpRequest, state: &State, made: Made) -> Result<HttpResponse, ApiError> {
    let links = Links::of(req, &state.options);
    match made {
        Made::Job(job) => {
            observe::note_job(req, job);
            json(StatusCode::ACCEPTED, &Started::new(job, &links))
        }
        Made::Stopped { job, counts } => {
            observe::note_job(req, job);
            json(StatusCode::ACCEPTED, &Stopped::new(job, &counts, &links))
        }
        Made::Plan(plan) | Made::PlanOver(plan) => {
            audit::note(req, "plan_job", &plan.to_string());
            json(StatusCode::ACCEPTED, &json!({ "name": plan.to_string() }))
        }
        Made::TaskTarget(id) => {
            audit::note(req, "task_target", &id.to_string());
            let id_link = links.at(&format!("scopes/task_targets/{id}"));
            json(StatusCode::OK, &json!({ "task_target": { "id": id_link, "name": id.to_string() } }))
        }
        Made::Schedule(id) => {
            audit::note(req, "scheduled_job", &id.to_string());
            let link = links.schedule(id);
            json(StatusCode::OK, &json!({ "scheduled_job": { "id": link, "name": id.to_string() } }))
        }
    }
}

/// A command that makes a job.
#[derive(Debug)]
pub(super) enum JobCommand {
    Deploy(DeployCommand),
    Task(TaskCommand),
}

impl JobCommand {
    /// What both kinds have.
    pub(super) fn common(&mut self) -> &mut Common {
        match self {
            Self::Deploy(command) => &mut command.common,
            Self::Task(command) => &mut command.common,
        }
    }

    /// The environment that it cannot leave: what is not enforced is the node's own choice, and may be any.
    fn bound_environment(&self) -> Option<&EnvironmentName> {
        match self {
            Self::Deploy(command) => command.environment.as_ref().filter(|_| command.enforce_environment),
            Self::Task(command) => Some(&command.environment),
        }
    }

    /// Limits it to what its owner may act on.
    ///
    /// # Errors
    /// 403 when that is nothing; 400 `query-error` for a query that they may not ask.
    pub(super) async fn permit(&mut self, state: &State, rights: &Rights, login: &str) -> Result<(), ApiError> {
        let (scope, permission, task) = match &*self {
            Self::Deploy(command) => (&command.scope, Permission::RunPuppet, None),
            Self::Task(command) => (&command.scope, Permission::RunTasks, Some(command.task.as_str())),
        };
        permit_scope(state, scope, rights, login).await?;
        if let Self::Deploy(command) = &*self {
            for tier in command.order.iter().flatten() {
                permit_scope(state, tier, rights, login).await?;
            }
        }
        let reach = auth::reach_of(rights, login, permission, task, self.bound_environment())?;
        self.common().reach = reach;
        Ok(())
    }

    /// Whether it would be carried out now.
    ///
    /// # Errors
    /// The engine's, as if it were.
    pub(super) async fn check(self, state: &State) -> Result<(), ApiError> {
        match self {
            Self::Deploy(command) => state.orchestrator.check_deploy(command).await,
            Self::Task(command) => state.orchestrator.check_task(command).await,
        }
        .map_err(ApiError::from)
    }

    /// What it would be.
    ///
    /// # Errors
    /// The engine's, as if it were carried out. The parameters of a task are not looked at.
    pub(super) async fn preview(self, state: &State) -> Result<Preview, ApiError> {
        match self {
            Self::Deploy(command) => Ok(state.orchestrator.preview_deploy(command).await?),
            Self::Task(command) => Ok(state.orchestrator.preview_task(command).await?),
        }
    }

    /// Has the engine carry it out.
    ///
    /// # Errors
    /// The engine's.
    pub(super) async fn start(self, state: &State) -> Result<JobId, ApiError> {
        Ok(match self {
            Self::Deploy(command) => state.orchestrator.deploy(command).await?,
            Self::Task(command) => state.orchestrator.task(command).await?,
        })
    }
}
