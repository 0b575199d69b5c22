//! Starting the engine.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::job_actor::JobSeed;
use crate::limits::Pool;
use crate::supervisor::{Board, Supervisor, SupervisorSeed};

use super::{ADMISSION, Limits, Orchestrator, PLANNING, Ports};

/// Makes engines.
#[derive(Debug, Clone, Copy)]
pub struct Engine;

impl Engine {
    /// Starts the Supervisor on the present thread, which must belong to an actix system, and takes up the jobs that
    /// are not over. `spawn_job` chooses the thread of each job and calls [`JobSeed::start`] there. Commands are
    /// refused until [`Orchestrator::recovered`].
    #[must_use]
    pub fn start(ports: Ports, limits: Limits, spawn_job: impl Fn(JobSeed) + Send + 'static) -> Orchestrator {
        let limits = Arc::new(limits);
        let board = Arc::new(Board::default());
        let pool = Pool::new(&limits);
        let supervisor = Supervisor::spawn(SupervisorSeed {
            ports: ports.clone(),
            limits: Arc::clone(&limits),
            board: Arc::clone(&board),
            pool: pool.clone(),
            spawn_job: Box::new(spawn_job),
        });
        Orchestrator {
            ports,
            limits,
            supervisor,
            board,
            pool,
            admission: Arc::new(Semaphore::new(ADMISSION)),
            planning: Arc::new(Semaphore::new(PLANNING)),
        }
    }

    /// As [`Engine::start`], with every job on the present thread.
    #[must_use]
    pub fn start_here(ports: Ports, limits: Limits) -> Orchestrator {
        Self::start(ports, limits, JobSeed::start)
    }
}
