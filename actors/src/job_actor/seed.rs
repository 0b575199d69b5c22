//! What a job's actor is made from, and who tells when one is gone.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use actix::Actor as _;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use crate::handle::{Limits, LiveJob, Ports};
use crate::inbox::{Inbox, Outlet};
use crate::limits::Pool;
use crate::model::{JobId, TransactionId};
use crate::ports::UnfinishedJob;

use super::actor::JobActor;
use super::messages::{Control, Note};

/// Everything from which a job's actor is made. It may travel to another thread before [`JobSeed::start`].
pub struct JobSeed {
    pub(crate) job: UnfinishedJob,
    /// Runs of this job which ended with a hold that is not over.
    pub(crate) holds: Vec<TransactionId>,
    pub(crate) ports: Ports,
    pub(crate) limits: Arc<Limits>,
    pub(crate) settled_at: DateTime<Utc>,
    pub(crate) pool: Pool,
    pub(crate) control: Inbox<Control>,
    pub(crate) guard: Guard,
    pub(crate) live: Arc<Mutex<LiveJob>>,
    /// Whether nothing may be started for now.
    pub(crate) draining: bool,
    /// The last beat that the actor noted.
    pub(crate) beat: Arc<AtomicU64>,
    /// Locked while an append is in flight, so that nobody reads the job's rows before it is done.
    pub(crate) appending: Arc<tokio::sync::Mutex<()>>,
}

impl JobSeed {
    /// The job's number.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.job.record.id
    }

    /// Starts the job's actor on the present thread, which must belong to an actix system.
    pub fn start(self) {
        JobActor::new(self).start();
    }
}

/// Tells the Supervisor when the actor, or what it was to be made from, is dropped without having said goodbye.
pub(crate) struct Guard {
    job: JobId,
    pub(super) notes: Outlet<Note>,
    pub(super) left: bool,
}

impl Guard {
    pub(crate) fn new(job: JobId, notes: Outlet<Note>) -> Self {
        Self { job, notes, left: false }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.left {
            self.notes.send(Note::Crashed(self.job));
        }
    }
}
