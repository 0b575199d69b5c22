//! From a checked command to a job to commit: targets resolved, order planned, task pinned. Has no effect by itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::Value;

use crate::model::{
    Action, CertName, Common, DeployAction, DeployCommand, EnvironmentName, JobKind, JobSpec, JobState, Reach, Scope,
    Secrets, TaskAction, TaskCommand,
};
use crate::plan::{self, Plan, ResolveError, Schedule};
use crate::ports::{DirectoryError, Environment, NewJob, NodeGroup};

use super::params::{self, Checked};
use super::{Orchestrator, OrchestratorError, Preview};

/// So many nodes are planned on the spot: that takes less time than the way to another thread.
const PLANNED_AT_ONCE: usize = 256;

/// The nodes of a deploy in their order, and the tiers that it comes from.
struct Planned {
    plan: Plan,
    order: Vec<Scope>,
    tiers: Arc<[Vec<CertName>]>,
}

/// Why it is not known which nodes a right covers.
fn of_target(why: &str) -> String {
    format!("the nodes that the query of a task target allows are not known: {why}")
}

impl Orchestrator {
    pub(super) async fn prepare_deploy(&self, command: DeployCommand) -> Result<NewJob, OrchestratorError> {
        let enforced = command.environment.as_ref().filter(|_| command.enforce_environment);
        let action = Action::Deploy(DeployAction {
            enforced_environment: enforced.map(ToString::to_string),
            options: command.run.clone(),
        });
        let plan = self.plan_deploy(&command).await?.plan;
        self.job(action, plan, command.environment, command.common)
    }

    /// Nodes and order of a deploy, if its owner may act on all of them.
    async fn plan_deploy(&self, command: &DeployCommand) -> Result<Planned, OrchestratorError> {
        let environment = match &command.environment {
            Some(name) => Some(self.environment(name).await?),
            None => None,
        };
        let order = command.order.clone();
        let order = order.or_else(|| environment.as_ref().map(|known| known.order.clone())).unwrap_or_default();
        let scope = self.resolved(command.scope.clone(), environment.as_deref()).await?;
        let tiers: Arc<[Vec<CertName>]> = self.tiers(&order).await?.into();
        let plan = self.plan(scope, environment, Some(Arc::clone(&tiers))).await?;
        self.check_reach(&command.common.reach, &plan.nodes).await?;
        Ok(Planned { plan, order, tiers })
    }

    /// What a deploy would be, by whoever may reach as far as it says. Has no effect.
    ///
    /// # Errors
    /// As the deploy itself.
    pub async fn preview_deploy(&self, command: DeployCommand) -> Result<Preview, OrchestratorError> {
        super::in_time(async {
            let Planned { plan, order, tiers } = self.plan_deploy(&command).await?;
            let tiers = plan::tiers_of(&plan.nodes, &tiers);
            Ok(Preview { levels: plan::levels(plan.nodes.len(), &plan.edges), nodes: plan.nodes, order, tiers })
        })
        .await
    }

    /// The nodes of a task, by whoever may reach as far as it says. Neither the task nor its parameters are looked at.
    ///
    /// # Errors
    /// As the task itself, as far as its nodes go.
    pub async fn preview_task(&self, command: TaskCommand) -> Result<Preview, OrchestratorError> {
        super::in_time(async {
            let plan = self.plan_task(&command).await?;
            let nodes = plan.nodes.len();
            Ok(Preview { levels: vec![0; nodes], nodes: plan.nodes, order: Vec::new(), tiers: vec![None; nodes] })
        })
        .await
    }

    /// Whether a deploy would be accepted now, by whoever may reach as far as it says. Has no effect.
    ///
    /// # Errors
    /// As the deploy itself.
    pub async fn check_deploy(&self, command: DeployCommand) -> Result<(), OrchestratorError> {
        self.prepare_deploy(command).await.map(drop)
    }

    /// The same for a task that is to run later. Files of it may be kept for a while.
    ///
    /// # Errors
    /// As the task itself, and [`OrchestratorError::Invalid`] for sensitive parameters: nobody keeps them until then.
    pub async fn check_task(&self, command: TaskCommand) -> Result<(), OrchestratorError> {
        let job = self.prepare_task(command).await?;
        match &*job.spec.action {
            Action::Task(task) if !task.sensitive.is_empty() => {
                let (name, task) = (task.sensitive.join(", "), &task.task);
                let message =
                    format!("parameter {name} of task {task} is sensitive, and a schedule keeps no such values");
                Err(OrchestratorError::Invalid { key: "params".to_owned(), message })
            }
            Action::Task(_) | Action::Deploy(_) => Ok(()),
        }
    }

    /// Nodes of a task, if its owner may act on all of them.
    async fn plan_task(&self, command: &TaskCommand) -> Result<Plan, OrchestratorError> {
        let environment = self.environment(&command.environment).await?;
        if matches!(command.scope, Scope::Application(_) | Scope::WholeEnvironment) {
            let message = "scope of a task must be nodes, query or node_group".to_owned();
            return Err(OrchestratorError::Invalid { key: "scope".into(), message });
        }
        let scope = self.resolved(command.scope.clone(), Some(&environment)).await?;
        let plan = self.plan(scope, Some(environment), None).await?;
        self.check_reach(&command.common.reach, &plan.nodes).await?;
        Ok(plan)
    }

    pub(super) async fn prepare_task(&self, command: TaskCommand) -> Result<NewJob, OrchestratorError> {
        // Targets first: a command which is refused for them leaves no pinned files behind.
        let plan = self.plan_task(&command).await?;
        let pinned = self.directory().pin_task(&command.environment, &command.task).await?;
        let task = pinned.ok_or_else(|| OrchestratorError::UnknownTask {
            task: command.task.to_string(),
            environment: command.environment.to_string(),
        })?;
        let Checked { input, secrets } = params::check(&task, command.params, command.noop)?;
        let sensitive: Vec<String> = secrets.keys().cloned().collect();
        let mut common = command.common;
        redact(&mut common.options, &sensitive);
        let action = Action::Task(TaskAction {
            task: task.name,
            input,
            sensitive,
            secrets: Secrets::new(secrets),
            metadata: task.metadata,
            files: task.files,
            noop: command.noop,
            environment: command.environment.to_string(),
        });
        self.job(action, plan, Some(command.environment), common)
    }

    /// The nodes of a group or of a query, as of now, in its place.
    async fn resolved(&self, scope: Scope, environment: Option<&Environment>) -> Result<Scope, OrchestratorError> {
        let (nodes, target) = match &scope {
            Scope::NodeGroup(key) => (self.grouped(key, "scope.node_group").await?, "node_group"),
            Scope::Query(query) => (self.directory().query(query).await?, "query"),
            Scope::Nodes(_) | Scope::Application(_) | Scope::WholeEnvironment => return Ok(scope),
        };
        // Without a source the scope stays what it is, and planning says what it needs.
        let Some(nodes) = nodes else { return Ok(scope) };
        if nodes.is_empty() {
            let environment = environment.map(|known| known.name.to_string()).unwrap_or_default();
            return Err(OrchestratorError::EmptyTarget { environment, target: target.to_owned() });
        }
        Ok(Scope::Nodes(nodes))
    }

    /// The nodes of each tier, as of now. One without nodes is no mistake.
    async fn tiers(&self, order: &[Scope]) -> Result<Vec<Vec<CertName>>, OrchestratorError> {
        let mut tiers = Vec::with_capacity(order.len());
        for (place, tier) in order.iter().enumerate() {
            let key = format!("order[{place}]");
            let found = match tier {
                Scope::Nodes(nodes) => Some(nodes.clone()),
                Scope::NodeGroup(group) => self.grouped(group, &key).await?,
                Scope::Query(query) => self.directory().query(query).await?,
                Scope::Application(_) | Scope::WholeEnvironment => None,
            };
            let message = || format!("{key} needs a source of groups or queries, and none is configured");
            tiers.push(found.ok_or_else(|| OrchestratorError::QueryUnsupported(message()))?);
        }
        Ok(tiers)
    }

    /// The nodes of a group by its id or name; `None` where there are no groups at all. `at` is the key of the request.
    async fn grouped(&self, key: &str, at: &str) -> Result<Option<Vec<CertName>>, OrchestratorError> {
        if self.directory().groups().await?.is_none() {
            return Ok(None);
        }
        let invalid = |message| OrchestratorError::Invalid { key: at.to_owned(), message };
        let group = self.directory().group(key).await?;
        let group = group.ok_or_else(|| invalid(format!("there is no node group with the id or name '{key}'")))?;
        if group.rule.is_none() {
            return Err(invalid(format!("the node group {} has no rule, so no node is in it", group.name)));
        }
        self.members(&group).await.map(Some)
    }

    /// The nodes of a group, of all that are known: by the directory, or because they are connected.
    ///
    /// # Errors
    /// The directory's.
    pub async fn members(&self, group: &NodeGroup) -> Result<Vec<CertName>, OrchestratorError> {
        let connected = self.transport().connections().iter().map(|session| session.node.clone()).collect();
        Ok(self.directory().members(group.id, connected).await?)
    }

    /// Refuses nodes on which a command may not act.
    ///
    /// # Errors
    /// [`OrchestratorError::OutOfReach`], and as [`Orchestrator::beyond`].
    pub async fn check_reach(&self, reach: &Reach, nodes: &[CertName]) -> Result<(), OrchestratorError> {
        let beyond = self.beyond(reach, nodes.iter()).await?;
        let Some(example) = beyond.first() else { return Ok(()) };
        let count = |nodes: usize| u32::try_from(nodes).unwrap_or(u32::MAX);
        let (refused, of) = (count(beyond.len()), count(nodes.len()));
        Err(OrchestratorError::OutOfReach { refused, of, example: example.clone() })
    }

    /// Those of the nodes that a reach does not cover, in their order.
    ///
    /// # Errors
    /// When it covers groups or queries, it matters, and nobody can say which nodes are meant.
    pub async fn beyond(
        &self,
        reach: &Reach,
        nodes: impl Iterator<Item = &CertName>,
    ) -> Result<Vec<CertName>, OrchestratorError> {
        let mut beyond: Vec<CertName> = nodes.filter(|node| !reach.covers_by_name(node)).cloned().collect();
        if !beyond.is_empty() && !reach.groups().is_empty() {
            let within = self.directory().within_groups(reach.groups(), beyond.clone()).await?;
            beyond.retain(|node| !within.contains(node));
        }
        self.leave_out_found(reach.queries(), &mut beyond).await?;
        Ok(beyond)
    }

    /// Leaves out the nodes that one of these queries finds. One that cannot be answered is nobody's trouble as long as the
    /// others find all; after that nobody knows whether the rest is covered.
    async fn leave_out_found(&self, queries: &[String], beyond: &mut Vec<CertName>) -> Result<(), OrchestratorError> {
        let mut unanswered = None;
        for query in queries {
            if beyond.is_empty() {
                return Ok(());
            }
            match self.directory().query(&Value::String(query.clone())).await {
                Ok(Some(found)) => {
                    let found: BTreeSet<CertName> = found.into_iter().collect();
                    beyond.retain(|node| !found.contains(node));
                }
                Ok(None) => unanswered = Some(DirectoryError::PuppetDb(of_target("no PuppetDB is configured"))),
                Err(DirectoryError::Query(why)) => unanswered = Some(DirectoryError::Query(of_target(&why))),
                Err(DirectoryError::PuppetDb(why)) => unanswered = Some(DirectoryError::PuppetDb(of_target(&why))),
                Err(error) => return Err(error.into()),
            }
        }
        match unanswered {
            Some(error) if !beyond.is_empty() => Err(error.into()),
            _ => Ok(()),
        }
    }

    pub(super) async fn environment(&self, name: &EnvironmentName) -> Result<Arc<Environment>, OrchestratorError> {
        let found = self.directory().environment(name).await?;
        found.ok_or_else(|| OrchestratorError::UnknownEnvironment(name.to_string()))
    }

    /// Resolves and plans: on a thread of its own where that may take long, as an environment may have 100,000 nodes.
    /// Without tiers, were it none of them, there is no order at all.
    async fn plan(
        &self,
        scope: Scope,
        environment: Option<Arc<Environment>>,
        tiers: Option<Arc<[Vec<CertName>]>>,
    ) -> Result<Plan, OrchestratorError> {
        let _turn = self.planning.acquire().await.map_err(|_| super::gone())?;
        let limit = self.limits.job_nodes;
        let in_tiers = tiers.iter().flat_map(|tiers| tiers.iter()).map(Vec::len).sum::<usize>();
        if size_of(&scope, environment.as_deref()) + in_tiers <= PLANNED_AT_ONCE {
            return plan_job(&scope, environment.as_deref(), tiers.as_deref(), limit);
        }
        let plan = move || plan_job(&scope, environment.as_deref(), tiers.as_deref(), limit);
        let work = tokio::task::spawn_blocking(plan);
        work.await.map_err(|error| OrchestratorError::Unavailable(format!("planning failed: {error}")))?
    }

    fn job(
        &self,
        action: Action,
        plan: Plan,
        environment: Option<EnvironmentName>,
        common: Common,
    ) -> Result<NewJob, OrchestratorError> {
        let created_at = self.clock().now();
        let first_state = match action.kind() {
            JobKind::Deploy => JobState::New,
            JobKind::Task => JobState::Ready,
        };
        let run_timeout = self.run_timeout(action.kind(), common.timeout)?;
        let ready = Schedule::over(plan.nodes.len(), &plan.edges).startable();
        let userdata = if common.userdata.is_null() { Value::Object(serde_json::Map::new()) } else { common.userdata };
        let spec = JobSpec {
            run_key: (self.run_keys)(),
            action: Arc::new(action),
            environment,
            options: common.options.into(),
            origin: common.origin,
            owner: common.owner,
            description: common.description,
            userdata,
            created_at,
            start_deadline: created_at + TimeDelta::from_std(self.limits.job_timeout).unwrap_or(TimeDelta::MAX / 4),
            concurrency: common.concurrency,
            run_timeout,
            nodes: plan.nodes,
            edges: plan.edges,
        };
        Ok(NewJob { spec: Arc::new(spec), first_state, ready, once: common.once })
    }

    fn run_timeout(&self, kind: JobKind, asked: Option<Duration>) -> Result<Duration, OrchestratorError> {
        let default = match kind {
            JobKind::Deploy => self.limits.deploy_timeout,
            JobKind::Task => self.limits.task_timeout,
        };
        let Some(asked) = asked else { return Ok(default) };
        let most = self.limits.job_timeout;
        if asked.is_zero() || asked > most {
            let message = format!("timeout must be between 1 and {} seconds, not {}", most.as_secs(), asked.as_secs());
            return Err(OrchestratorError::Invalid { key: "timeout".into(), message });
        }
        Ok(asked)
    }
}

/// Takes the values of sensitive parameters out of what the job shows of its request, and names them.
fn redact(options: &mut Value, sensitive: &[String]) {
    if sensitive.is_empty() {
        return;
    }
    if let Some(params) = options.get_mut("params").and_then(Value::as_object_mut) {
        for name in sensitive {
            params.shift_remove(name);
        }
    }
    options["sensitive"] = sensitive.into();
}

/// How many nodes resolving and planning look at, at most.
fn size_of(scope: &Scope, environment: Option<&Environment>) -> usize {
    let named = match scope {
        Scope::Nodes(nodes) => nodes.len(),
        Scope::Application(_) | Scope::WholeEnvironment | Scope::Query(_) | Scope::NodeGroup(_) => 0,
    };
    let components =
        |known: &Environment| known.instances.iter().map(|instance| instance.components.len()).sum::<usize>();
    named + environment.map_or(0, |known| known.nodes.len() + components(known))
}

fn plan_job(
    scope: &Scope,
    environment: Option<&Environment>,
    tiers: Option<&[Vec<CertName>]>,
    limit: u32,
) -> Result<Plan, OrchestratorError> {
    let name = environment.map(|known| known.name.to_string()).unwrap_or_default();
    let nodes: Vec<CertName> = plan::resolve(scope, environment).map_err(|error| refused(error, name.clone()))?;
    if nodes.len() > limit as usize {
        let message = format!("scope names {} nodes, and a job may have {limit}", nodes.len());
        return Err(OrchestratorError::Invalid { key: "scope".into(), message });
    }
    plan::build(nodes, environment.filter(|_| tiers.is_some()), tiers.unwrap_or_default())
        .map_err(|cycle| OrchestratorError::DependencyCycle { environment: name, cycle })
}

fn refused(error: ResolveError, environment: String) -> OrchestratorError {
    match error {
        ResolveError::EmptyEnvironment => OrchestratorError::EmptyEnvironment(environment),
        ResolveError::EmptyTarget(target) => OrchestratorError::EmptyTarget { environment, target },
        ResolveError::Unsupported(reason) => OrchestratorError::QueryUnsupported(reason),
    }
}
