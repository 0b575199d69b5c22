//! `POST /bunraku/v1/jobs/{id}/retry`: a new job that runs nodes of an old one again, with the same options.

use actix_web::{HttpRequest, web};
use bunraku_actors::model::{Action, Cause, CertName, Common, DeployCommand, NodeState, Origin, Scope, TaskCommand};
use bunraku_actors::ports::UnfinishedJob;
use serde_json::{Value, json};

use super::auth::Caller;
use super::command::{self, JobCommand, accepted};
use super::once::once;
use super::request::{Body, Object, job_id, order, read_body};
use super::rights::Permission;
use super::state::State;
use super::{Answer, ApiError};

/// Which nodes run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// Failed or did not run: what is known not to have been done. The default.
    Unfinished,
    /// The run took place and failed.
    Failed,
    /// The run did not take place.
    NotRun,
    /// What became of the run is not known: it may have been done, or go on. Never chosen unasked.
    Unknown,
    /// All nodes of the job.
    All,
}

const WORDS: [(&str, Which); 4] =
    [("failed", Which::Failed), ("not_run", Which::NotRun), ("unknown", Which::Unknown), ("all", Which::All)];

/// Starts the new job; 202 after it is committed, linked with the old one both ways.
pub(super) async fn retry(
    req: HttpRequest,
    state: web::Data<State>,
    caller: Caller,
    id: web::Path<String>,
    body: Body,
) -> Answer {
    caller.must(Permission::View)?;
    let body = read_body(body, &state.options).await?;
    let made = once(&req, &state, &caller, &body, async |key| {
        let which = which(&body)?;
        let job = job_id(&id)?;
        let stored = state.orchestrator.store().stored(job).await?.ok_or_else(|| ApiError::unknown_job(&id))?;
        command::start(&state, &caller, again(&stored, chosen(&stored, which)?, &caller)?, key).await
    });
    accepted(&req, &state, made.await?)
}

fn which(body: &Object) -> Result<Which, ApiError> {
    body.only(&["which"])?;
    let Some(text) = body.text("which")? else { return Ok(Which::Unfinished) };
    WORDS.iter().find(|(word, _)| *word == text).map(|(_, which)| *which).ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        let words = WORDS.map(|(word, _)| word).join(", ");
        ApiError::invalid("which", format!("which must be one of {words}, not '{shown}'"))
    })
}

/// The nodes to run again.
///
/// # Errors
/// 400 `empty-target` when there are none.
fn chosen(job: &UnfinishedJob, which: Which) -> Result<Vec<CertName>, ApiError> {
    let nodes = job.spec.nodes.iter().zip(&job.nodes);
    let wanted = nodes.filter(|(_, node)| fits(which, node.state, node.cause));
    let names: Vec<CertName> = wanted.map(|(name, _)| name.clone()).collect();
    if names.is_empty() {
        let environment = job.spec.environment.as_ref().map_or("", |name| name.as_str());
        return Err(ApiError::empty_target(environment, "nodes"));
    }
    Ok(names)
}

fn fits(which: Which, state: NodeState, cause: Option<Cause>) -> bool {
    let unknown = cause.is_some_and(is_unknown);
    // A task that could not fetch its files did not begin, whatever its state says; a forced end was in the middle.
    let failed = state == NodeState::Failed || cause.is_some_and(|cause| matches!(cause, Cause::StoppedByForce));
    let over = matches!(state, NodeState::Errored | NodeState::Skipped);
    match which {
        Which::All => true,
        Which::Unknown => unknown,
        Which::Failed => failed && !unknown,
        Which::NotRun => over && !failed && !unknown,
        Which::Unfinished => (failed || over) && !unknown,
    }
}

/// Whether a run that ended so may have been done, or may still go on.
fn is_unknown(cause: Cause) -> bool {
    matches!(cause, Cause::TimedOut | Cause::ContactLost | Cause::OutcomeUnknown | Cause::Abandoned | Cause::JobBroken)
}

/// The command of the old job, for these nodes and by this caller.
fn again(job: &UnfinishedJob, nodes: Vec<CertName>, caller: &Caller) -> Result<JobCommand, ApiError> {
    let spec = &job.spec;
    let mut options: Value = serde_json::from_str(spec.options.as_text())
        .map_err(|error| ApiError::internal(format!("the options of job {} cannot be read: {error}", job.record.id)))?;
    if let Value::Object(options) = &mut options {
        options.insert("scope".into(), json!({ "nodes": nodes }));
        for key in ["target", "scheduled-job-id"] {
            options.entry(key).and_modify(|value| *value = Value::Null);
        }
        options.shift_remove("plan_job");
        options.shift_remove("project");
    }
    let shown = options.as_object().cloned().unwrap_or_default();
    let common = Common {
        owner: caller.owner(),
        description: spec.description.clone(),
        concurrency: spec.concurrency,
        timeout: Some(spec.run_timeout),
        userdata: spec.userdata.clone(),
        options,
        reach: Default::default(),
        origin: Origin { retry_of: Some(job.record.id), ..Origin::default() },
        once: None,
    };
    let scope = Scope::Nodes(nodes);
    Ok(match &*spec.action {
        Action::Deploy(deploy) => JobCommand::Deploy(DeployCommand {
            environment: spec.environment.clone(),
            enforce_environment: deploy.enforced_environment.is_some(),
            order: order(&Object::new(shown))?,
            scope,
            run: deploy.options.clone(),
            common,
        }),
        Action::Task(task) => {
            let environment = spec.environment.clone();
            let environment = environment.ok_or_else(|| ApiError::internal("a task without an environment"))?;
            if !task.sensitive.is_empty() {
                let names = task.sensitive.join(", ");
                let msg = format!(
                    "job {} had sensitive parameters ({names}), which are not kept: run its task anew",
                    job.record.id
                );
                return Err(ApiError::invalid("params", msg));
            }
            let mut params = task.input.clone();
            // Ours to set, and set again.
            params.retain(|name, _| !name.starts_with('_'));
            JobCommand::Task(TaskCommand {
                environment,
                task: task.task.clone(),
                params,
                scope,
                noop: task.noop,
                common,
            })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_been_done_is_chosen_only_when_asked_for() {
        for cause in Cause::ALL {
            for state in [NodeState::Failed, NodeState::Errored, NodeState::Skipped] {
                let fits = |which| fits(which, state, Some(cause));
                let shown = format!("{state:?} {cause:?}");
                assert_eq!(fits(Which::Unknown), is_unknown(cause), "{shown}");
                assert_eq!(fits(Which::Unfinished), !is_unknown(cause), "{shown}");
                let parts = [Which::Failed, Which::NotRun, Which::Unknown].map(fits);
                assert_eq!(parts.into_iter().filter(|fits| *fits).count(), 1, "{shown} is one of the three");
            }
        }
        for which in [Which::Failed, Which::NotRun, Which::Unknown, Which::Unfinished] {
            assert!(!fits(which, NodeState::Finished, None) && !fits(which, NodeState::Running, None));
        }
        assert!(fits(Which::All, NodeState::Finished, None));
    }
}
