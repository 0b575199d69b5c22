//! The way into the engine: a cheap-clone handle. Nobody outside this crate sees an actor's address or message.

mod engine;
mod params;
mod prepare;
mod types;

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::Pool;
use crate::model::{CertName, DeployCommand, EnvironmentName, JobId, NodeCounts, RunKey, StopMode, TaskCommand};
use crate::ports::{Clock, Directory, JobStore, NewJob, Transport};
use crate::supervisor::{AskJobs, Board, CreateJob, Drain, ResumeJobs, SetDrain, Shutdown, StopJob, Supervisor};

pub use crate::job_actor::JobSeed;
pub use engine::Engine;
pub use types::{
    Binding, Glance, Limits, LiveJob, NodeStanding, OrchestratorError, Ports, Preview, SlotUsage, Standing,
};

/// How many commands are handled at once; one more is refused as [`OrchestratorError::Busy`]. A permit is held until
/// the command is done, also when its caller has gone.
pub const ADMISSION: usize = 256;
/// How many targets are resolved and planned at once; the others wait, within the time of their command.
const PLANNING: usize = 2;
/// How long the answer to a command is awaited.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a shutdown may take before it is given up; what is committed goes on at the next start.
const SHUTDOWN: Duration = Duration::from_secs(30);
/// How often a drain looks whether something still runs.
const DRAIN_LOOK: Duration = Duration::from_millis(100);

/// Makes the random root of a job's transaction ids.
type RunKeys = Arc<dyn Fn() -> RunKey + Send + Sync>;

/// The engine. All methods may be called from any thread with a tokio runtime.
#[derive(Clone)]
pub struct Orchestrator {
    ports: Ports,
    limits: Arc<Limits>,
    supervisor: Addr<Supervisor>,
    board: Arc<Board>,
    pool: Pool,
    run_keys: RunKeys,
    admission: Arc<Semaphore>,
    planning: Arc<Semaphore>,
}

impl Orchestrator {
    /// Resolves, plans and commits a deploy job, then starts it. Returns after the commit.
    ///
    /// # Errors
    /// See [`OrchestratorError`].
    pub async fn deploy(&self, command: DeployCommand) -> Result<JobId, OrchestratorError> {
        let permit = self.admit()?;
        let job = in_time(self.prepare_deploy(command)).await?;
        self.create(job, permit).await
    }

    /// Resolves, pins and commits a task job, then starts it. Returns after the commit.
    ///
    /// # Errors
    /// See [`OrchestratorError`].
    pub async fn task(&self, command: TaskCommand) -> Result<JobId, OrchestratorError> {
        let permit = self.admit()?;
        let job = in_time(self.prepare_task(command)).await?;
        self.create(job, permit).await
    }

    /// Whether there is such an environment; `None` is always there.
    ///
    /// # Errors
    /// [`OrchestratorError::UnknownEnvironment`], or the directory's.
    pub async fn check_environment(&self, name: Option<&EnvironmentName>) -> Result<(), OrchestratorError> {
        let Some(name) = name else { return Ok(()) };
        in_time(self.environment(name)).await.map(drop)
    }

    /// Stops a job (API §11.3). Idempotent; returns the committed counts after the stop is committed.
    ///
    /// # Errors
    /// [`OrchestratorError::UnknownJob`], or the store's.
    pub async fn stop(&self, job: JobId, mode: StopMode) -> Result<NodeCounts, OrchestratorError> {
        // Also while the service is drained: a stop makes less work.
        let permit = self.admit_if(self.fault())?;
        let answer = self.supervisor.send(StopJob { job, mode, permit });
        within(async { answer.await.map_err(|_| gone())? }).await
    }

    /// Lets a job that was restored from a backup start nodes again; no change for others.
    ///
    /// # Errors
    /// [`OrchestratorError::UnknownJob`], or the store's.
    pub async fn resume(&self, job: JobId) -> Result<(), OrchestratorError> {
        let answer = self.supervisor.send(ResumeJobs(Some(job)));
        let told = within(async { answer.await.map_err(|_| gone()) }).await?;
        if told == 0 && self.ports.store.job(job).await?.is_none() {
            return Err(OrchestratorError::UnknownJob(job));
        }
        Ok(())
    }

    /// As [`Self::resume`], for all jobs.
    ///
    /// # Errors
    /// [`OrchestratorError::Unavailable`] when the engine has ended.
    pub async fn resume_all(&self) -> Result<(), OrchestratorError> {
        let answer = self.supervisor.send(ResumeJobs(None));
        within(async { answer.await.map_err(|_| gone()) }).await.map(drop)
    }

    /// The live state of a job that is not over; `None` for all others.
    pub async fn live(&self, job: JobId) -> Option<LiveJob> {
        self.board.live(job)
    }

    /// Where this node stands in every live job that has it, oldest job first.
    ///
    /// # Errors
    /// [`OrchestratorError::Unavailable`] when the engine has ended or does not answer.
    pub async fn standings(&self, node: &CertName) -> Result<Vec<NodeStanding>, OrchestratorError> {
        let asked = self.supervisor.send(AskJobs(node.clone()));
        within(async {
            let answers = asked.await.map_err(|_| gone())?;
            // A job that ends meanwhile gives no answer, and needs none.
            let answers = futures_util::future::join_all(answers).await;
            Ok(answers.into_iter().filter_map(|answer| answer.ok().flatten()).collect())
        })
        .await
    }

    /// `None` when new jobs are taken; else why not, for people.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.fault().or_else(|| match self.board.drain() {
            Drain::No => None,
            Drain::Asked => Some("the service is being drained: it takes no new jobs".into()),
            Drain::Leaving => Some("the service is shutting down".into()),
        })
    }

    /// `None` when the service is well; else what is wrong, for people. A service that is drained is well.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.board.trouble().or_else(|| self.ports.store.trouble())
    }

    /// Whether the unfinished jobs of the last start are still being taken up.
    #[must_use]
    pub fn is_starting(&self) -> bool {
        self.board.is_recovering()
    }

    /// `None` while all actors show that they are alive; else which does not. Only a new process helps then.
    #[must_use]
    pub fn hang(&self) -> Option<String> {
        self.board.hang(self.limits.hang_timeout).or_else(|| self.ports.store.broken_down())
    }

    /// Takes no new jobs and starts no more nodes, or goes on as before; what runs goes on in any case. Returns whether
    /// the service is drained from now on: one that is shutting down stays so.
    ///
    /// # Errors
    /// [`OrchestratorError::Unavailable`] when the engine has ended.
    pub async fn drain(&self, drain: bool) -> Result<bool, OrchestratorError> {
        self.set_drain(if drain { Drain::Asked } else { Drain::No }).await
    }

    /// As [`Self::drain`], and for good: the first step of a shutdown.
    ///
    /// # Errors
    /// [`OrchestratorError::Unavailable`] when the engine has ended.
    pub async fn leave(&self) -> Result<bool, OrchestratorError> {
        self.set_drain(Drain::Leaving).await
    }

    async fn set_drain(&self, drain: Drain) -> Result<bool, OrchestratorError> {
        let answer = self.supervisor.send(SetDrain(drain));
        within(async { answer.await.map_err(|_| gone()) }).await.map(|drain| drain != Drain::No)
    }

    /// Whether the service is drained.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.board.drain() != Drain::No
    }

    /// The engine at a glance, for metrics.
    #[must_use]
    pub fn glance(&self) -> Glance {
        let (jobs, nodes) = self.board.glance();
        let commands = ADMISSION.saturating_sub(self.admission.available_permits());
        Glance { jobs, nodes, slots: self.pool.usage(), holds: self.pool.holds(), commands }
    }

    /// How many nodes run, as committed.
    #[must_use]
    pub fn running(&self) -> u64 {
        self.board.running()
    }

    /// Waits until no node runs any more. Without [`Self::drain`] that may never be.
    pub async fn idle(&self) {
        while self.running() > 0 {
            tokio::time::sleep(DRAIN_LOOK).await;
        }
    }

    /// Waits until the unfinished jobs of the last start are taken up (or cannot be: then there is [`Self::trouble`]).
    pub async fn recovered(&self) {
        self.board.recovered().await;
    }

    /// Takes no more commands and stops all actors after what they decided is committed. Jobs go on at the next start.
    ///
    /// # Errors
    /// [`OrchestratorError::Unknown`] when that takes too long, as with a store that takes no writes. Nothing committed
    /// is lost then either.
    pub async fn shutdown(&self) -> Result<(), OrchestratorError> {
        let ends = self.supervisor.send(Shutdown);
        match tokio::time::timeout(SHUTDOWN, ends).await {
            // A closed mailbox: it is gone already.
            Ok(_) => Ok(()),
            Err(_) => Err(OrchestratorError::Unknown(SHUTDOWN)),
        }
    }

    /// The limits that the engine keeps.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The read side of the store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn JobStore> {
        &self.ports.store
    }

    /// Environments and tasks.
    #[must_use]
    pub fn directory(&self) -> &Arc<dyn Directory> {
        &self.ports.directory
    }

    /// Connected nodes.
    #[must_use]
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.ports.transport
    }

    /// The wall clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.ports.clock
    }

    fn admit(&self) -> Result<OwnedSemaphorePermit, OrchestratorError> {
        self.admit_if(self.trouble())
    }

    fn admit_if(&self, trouble: Option<String>) -> Result<OwnedSemaphorePermit, OrchestratorError> {
        if let Some(trouble) = trouble {
            return Err(OrchestratorError::Unavailable(trouble));
        }
        Arc::clone(&self.admission).try_acquire_owned().map_err(|_| OrchestratorError::Busy)
    }

    async fn create(&self, job: NewJob, permit: OwnedSemaphorePermit) -> Result<JobId, OrchestratorError> {
        let answer = self.supervisor.send(CreateJob { job, permit });
        within(async { answer.await.map_err(|_| gone())? }).await
    }
}

fn gone() -> OrchestratorError {
    OrchestratorError::Unavailable("the service is shutting down".into())
}

/// Waits for what has no effect by itself.
async fn in_time<T>(prepared: impl Future<Output = Result<T, OrchestratorError>>) -> Result<T, OrchestratorError> {
    let late = || OrchestratorError::Unavailable(format!("the command could not be planned within {ANSWER:?}"));
    tokio::time::timeout(ANSWER, prepared).await.unwrap_or_else(|_| Err(late()))
}

/// Waits for an answer, but not forever: without one, what became of the command is not known.
async fn within<T>(answer: impl Future<Output = Result<T, OrchestratorError>>) -> Result<T, OrchestratorError> {
    tokio::time::timeout(ANSWER, answer).await.unwrap_or(Err(OrchestratorError::Unknown(ANSWER)))
}
