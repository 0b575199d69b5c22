//! What the handle asks the Supervisor. Each message carries the admission permit of its command, which is given back
//! when the command is done, also when nobody waits for the answer any more.

use actix::Message;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::handle::{NodeStanding, OrchestratorError};
use crate::model::{CertName, JobId, NodeCounts, StopMode};
use crate::ports::NewJob;

use super::board::Drain;

/// Commits a planned job and starts it. The reply comes after the commit.
#[derive(Message)]
#[rtype(result = "Result<JobId, OrchestratorError>")]
pub(crate) struct CreateJob {
    pub(crate) job: NewJob,
    pub(crate) permit: OwnedSemaphorePermit,
}

/// Stops a job. The reply, the committed counts, comes after the stop's commit.
#[derive(Message)]
#[rtype(result = "Result<NodeCounts, OrchestratorError>")]
pub(crate) struct StopJob {
    pub(crate) job: JobId,
    pub(crate) mode: StopMode,
    pub(crate) permit: OwnedSemaphorePermit,
}

/// Starts nothing more, or goes on; runs go on in any case. The reply is what holds from now on.
#[derive(Message)]
#[rtype(result = "Drain")]
pub(crate) struct SetDrain(pub(crate) Drain);

/// Lets a job that was restored from a backup go on, or all of them. The reply is how many live jobs were told.
#[derive(Message)]
#[rtype(result = "usize")]
pub(crate) struct ResumeJobs(pub(crate) Option<JobId>);

/// Asks every live job where this node stands. The reply is what each of them will answer, oldest job first.
#[derive(Message)]
#[rtype(result = "Vec<oneshot::Receiver<Option<NodeStanding>>>")]
pub(crate) struct AskJobs(pub(crate) CertName);

/// Stops all actors after what they decided is committed. The reply comes when they are gone.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Shutdown;
