//! Starting the engine.

use std::sync::Arc;

use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::job_actor::JobSeed;
use crate::limits::Pool;
use crate::model::RunKey;
use crate::supervisor::{Board, SpawnJob, Supervisor, SupervisorSeed};

use super::{ADMISSION, Limits, Orchestrator, PLANNING, Ports, RunKeys};

/// Makes engines.
#[derive(Debug, Clone, Copy)]
pub struct Engine;

impl Engine {
    /// Starts the Supervisor on the present thread, which must belong to an actix system, and takes up the jobs that
    /// are not over. `spawn_job` chooses the thread of each job and calls [`JobSeed::start`] there. Commands are
    /// refused until [`Orchestrator::recovered`].
    #[must_use]
    pub fn start(ports: Ports, limits: Limits, spawn_job: impl Fn(JobSeed) + Send + 'static) -> Orchestrator {
        Self::launch(ports, limits, Arc::new(|| RunKey(Uuid::new_v4())), Box::new(spawn_job))
    }

    /// As [`Engine::start`], with every job on the present thread.
    #[must_use]
    pub fn start_here(ports: Ports, limits: Limits) -> Orchestrator {
        Self::start(ports, limits, JobSeed::start)
    }

    /// As [`Engine::start_here`], with run keys that a test chooses: each must be new, over all lives of the store.
    #[cfg(feature = "test-support")]
    #[must_use]
    pub fn start_with_keys(
        ports: Ports,
        limits: Limits,
        run_keys: impl Fn() -> RunKey + Send + Sync + 'static,
    ) -> Orchestrator {
        Self::launch(ports, limits, Arc::new(run_keys), Box::new(JobSeed::start))
    }

    fn launch(ports: Ports, limits: Limits, run_keys: RunKeys, spawn_job: SpawnJob) -> Orchestrator {
        let limits = Arc::new(limits);
        let board = Arc::new(Board::default());
        let pool = Pool::new(&limits);
        let supervisor = Supervisor::spawn(SupervisorSeed {
            ports: ports.clone(),
            limits: Arc::clone(&limits),
            board: Arc::clone(&board),
            pool: pool.clone(),
            spawn_job,
        });
        Orchestrator {
            ports,
            limits,
            supervisor,
            board,
            pool,
            run_keys,
            admission: Arc::new(Semaphore::new(ADMISSION)),
            planning: Arc::new(Semaphore::new(PLANNING)),
        }
    }
}
