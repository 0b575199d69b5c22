//! What the Supervisor and a job tell each other. All of it travels through inboxes; no actor waits for a reply.

use tokio::sync::oneshot;

use crate::handle::NodeStanding;
use crate::model::{CertName, JobId, NodeCounts, StopMode, TransactionId};
use crate::ports::Held;

/// Names a stop that someone waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StopTicket(pub(crate) u64);

/// Sent by the Supervisor to a job.
#[derive(Debug)]
pub(crate) enum Control {
    /// Stop; answered by [`Note::Stopped`] when the stop is committed.
    Stop { mode: StopMode, ticket: StopTicket },
    /// A hold of one of the job's runs is over: it counts no more.
    HoldOver(TransactionId),
    /// Start nothing more until told otherwise; what runs goes on.
    Drain(bool),
    /// The job was restored from a backup and may go on.
    Resume,
    /// The service ends: commit what is decided, then tell [`Note::Left`].
    Leave,
    /// Show that you are alive: note this number, and look after your runs.
    Beat(u64),
    /// Tell where this node stands; `None` when the job has no such node.
    Why(CertName, oneshot::Sender<Option<NodeStanding>>),
    /// What you show is not what is stored: give way to another actor, which begins from the store.
    GiveWay,
    /// The Supervisor has taken note that the job is over and will send nothing more.
    Retire,
}

/// Sent by a job to the Supervisor.
#[derive(Debug)]
pub(crate) enum Note {
    /// The stop is committed; these are the committed counts.
    Stopped { ticket: StopTicket, counts: NodeCounts },
    /// A run left a hold, which is committed.
    HoldLeft(Held),
    /// The last event is committed; answered by [`Control::Retire`].
    Over(JobId),
    /// Everything decided is committed, and the actor is gone; the job goes on at the next start.
    Left(JobId),
    /// The actor panicked, gave way, or the store refused for good what it decided.
    Crashed(JobId),
}
