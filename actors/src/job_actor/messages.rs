//! What the Supervisor and a job tell each other. All of it travels through inboxes; nobody waits for a reply.

use crate::model::{JobId, NodeCounts, StopMode, TransactionId};
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
    /// The service ends: start nothing more, commit what is decided, then tell [`Note::Drained`].
    Drain,
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
    Drained(JobId),
    /// The actor panicked, or the store refused for good what it decided.
    Crashed(JobId),
}
