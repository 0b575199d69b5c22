//! The actor: creates jobs, routes stops, takes notes of jobs, and ends in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use actix::{
    Actor, ActorContext, AsyncContext, Context, Handler, MessageResult, ResponseActFuture, StreamHandler, WrapFuture,
    fut::ActorFutureExt,
};
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::handle::{Limits, LiveJob, OrchestratorError, Ports};
use crate::inbox::{Inbox, Outlet};
use crate::job_actor::{Control, Guard, JobSeed, Note, StopTicket};
use crate::limits::Pool;
use crate::model::{CauseCounts, JobId, JobSpec, NodeCounts, NodeState, StopMode, TransactionId};
use crate::ports::{JobRecord, NewJob, Refusal, Restoration, RunSignal, StoreError, StoredNode, UnfinishedJob};

use super::board::{Board, Drain, Readiness};
use super::holds::Holds;
use super::messages::{AskJobs, CreateJob, ResumeJobs, SetDrain, Shutdown, StopJob};
use super::sweep::{BEAT, Sweep};

/// Starts a job's actor, on whichever thread.
pub(crate) type SpawnJob = Box<dyn Fn(JobSeed) + Send>;

/// All that the Supervisor needs.
pub(crate) struct SupervisorSeed {
    pub(crate) ports: Ports,
    pub(crate) limits: Arc<Limits>,
    pub(crate) board: Arc<Board>,
    pub(crate) pool: Pool,
    pub(crate) spawn_job: SpawnJob,
}

/// A job with an actor, or one that is being rebuilt.
pub(super) struct Entry {
    pub(super) control: Outlet<Control>,
    pub(super) appending: Arc<tokio::sync::Mutex<()>>,
    pub(super) crashes: u32,
    /// The last beat that the actor noted; `None` while there is no actor.
    pub(super) beat: Option<Arc<AtomicU64>>,
}

/// A stop that someone waits for.
pub(super) struct PendingStop {
    pub(super) job: JobId,
    pub(super) mode: StopMode,
    reply: oneshot::Sender<Result<NodeCounts, OrchestratorError>>,
}

/// The inboxes, until the actor reads them.
struct Mail {
    notes: Inbox<Note>,
    signals: Inbox<(u64, RunSignal)>,
}

/// The actor.
pub(crate) struct Supervisor {
    pub(super) ports: Ports,
    pub(super) limits: Arc<Limits>,
    pub(super) board: Arc<Board>,
    pub(super) pool: Pool,
    pub(super) settled_at: DateTime<Utc>,
    spawn_job: SpawnJob,
    pub(super) jobs: BTreeMap<JobId, Entry>,
    pub(super) stops: BTreeMap<StopTicket, PendingStop>,
    next_ticket: u64,
    pub(super) holds: Holds,
    /// The number of the last beat.
    pub(super) beats: u64,
    pub(super) last_beat: Option<tokio::time::Instant>,
    pub(super) sweep: Sweep,
    pub(super) notes: Outlet<Note>,
    mail: Option<Mail>,
    /// Jobs that are being committed: their answers are still to be given.
    creating: u32,
    /// Who waits for the end.
    pub(super) leaving: Vec<oneshot::Sender<()>>,
}

impl Supervisor {
    /// Starts the actor on the present thread, which must belong to an actix system.
    pub(crate) fn spawn(seed: SupervisorSeed) -> actix::Addr<Self> {
        let (notes, signals) = (Inbox::default(), Inbox::default());
        let settle_time = chrono::TimeDelta::from_std(seed.limits.settle_time).unwrap_or(chrono::TimeDelta::zero());
        Self {
            settled_at: seed.ports.clock.now() + settle_time,
            pool: seed.pool,
            holds: Holds::new(Arc::clone(&seed.ports.transport), signals.outlet()),
            beats: 0,
            last_beat: None,
            sweep: Sweep::default(),
            ports: seed.ports,
            limits: seed.limits,
            board: seed.board,
            spawn_job: seed.spawn_job,
            jobs: BTreeMap::new(),
            stops: BTreeMap::new(),
            next_ticket: 0,
            notes: notes.outlet(),
            mail: Some(Mail { notes, signals }),
            creating: 0,
            leaving: Vec::new(),
        }
        .start()
    }

    /// Nothing is open, and nothing is about to be.
    pub(super) fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.creating == 0 && self.holds.is_empty()
    }

    /// Once settle time is over it stays so, whatever time the clock takes next.
    pub(super) fn note_settled(&mut self) {
        if self.settled_at <= self.ports.clock.now() {
            self.settled_at = DateTime::<Utc>::MIN_UTC;
        }
    }

    /// When settle time is over; it never lies further ahead than it is long.
    fn settled_at(&self) -> DateTime<Utc> {
        let settle_time = chrono::TimeDelta::from_std(self.limits.settle_time).unwrap_or_default();
        self.settled_at.min(self.ports.clock.now() + settle_time)
    }

    /// Gives a job its actor. A rebuilt one keeps its number of crashes.
    pub(super) fn start_job(&mut self, job: UnfinishedJob, control: Inbox<Control>, crashes: u32) {
        let id = job.record.id;
        let live = Arc::new(Mutex::new(LiveJob {
            state: job.record.state,
            counts: counts_of(&job.nodes),
            binding: None,
            away_until: None,
        }));
        self.board.add(id, Arc::clone(&live));
        let (appending, beat) = (Arc::default(), Arc::new(AtomicU64::new(self.beats)));
        let entry = Entry {
            control: control.outlet(),
            appending: Arc::clone(&appending),
            crashes,
            beat: Some(Arc::clone(&beat)),
        };
        self.jobs.insert(id, entry);
        (self.spawn_job)(JobSeed {
            holds: self.holds.of_job(id),
            job,
            ports: self.ports.clone(),
            limits: Arc::clone(&self.limits),
            settled_at: self.settled_at(),
            pool: self.pool.clone(),
            control,
            guard: Guard::new(id, self.notes.clone()),
            live,
            draining: self.board.drain() != Drain::No,
            beat,
            appending,
        });
    }

    fn note(&mut self, note: Note, ctx: &mut Context<Self>) {
        match note {
            Note::Stopped { ticket, counts } => {
                if let Some(stop) = self.stops.remove(&ticket) {
                    // Whoever asked may have gone; the stop is committed all the same.
                    let _ = stop.reply.send(Ok(counts));
                }
            }
            Note::HoldLeft(held) => self.follow_hold(held, ctx),
            Note::Over(job) | Note::Left(job) => self.forget_job(job, ctx),
            Note::Crashed(job) => self.rebuild(job, ctx),
        }
    }

    /// The job is over, or the service ends: the actor gets no more messages.
    pub(super) fn forget_job(&mut self, job: JobId, ctx: &mut Context<Self>) {
        if let Some(entry) = self.jobs.remove(&job) {
            entry.control.send(Control::Retire);
        }
        self.board.remove(job);
        self.leave_when_empty(ctx);
    }

    /// Answers everyone who waits for a stop of this job.
    pub(super) fn answer_stops(&mut self, job: JobId, answer: &Result<NodeCounts, OrchestratorError>) {
        let of_job = self.stops.extract_if(.., |_, stop| stop.job == job);
        for (_, stop) in of_job {
            let _ = stop.reply.send(answer.clone());
        }
    }

    /// A hold of this run is over.
    pub(super) fn tell_hold_over(&self, job: JobId, transaction: TransactionId) {
        if let Some(entry) = self.jobs.get(&job) {
            entry.control.send(Control::HoldOver(transaction));
        }
    }

    fn leave_when_empty(&mut self, ctx: &mut Context<Self>) {
        if self.jobs.is_empty() && self.creating == 0 && !self.leaving.is_empty() {
            for waiting in self.leaving.drain(..) {
                let _ = waiting.send(());
            }
            ctx.stop();
        }
    }
}

/// The counts of these nodes.
pub(super) fn counts_of(nodes: &[StoredNode]) -> NodeCounts {
    let mut counts = NodeCounts::default();
    nodes.iter().for_each(|node| counts.add(node.state, 1));
    counts
}

/// A job which was created just now, as recovery would find it.
fn fresh(id: JobId, job: &NewJob) -> UnfinishedJob {
    let state = |ready: &bool| if *ready { NodeState::Ready } else { NodeState::New };
    let nodes: Vec<StoredNode> = job
        .ready
        .iter()
        .map(|ready| StoredNode {
            state: state(ready),
            cause: None,
            attempt: None,
            started_at: None,
            deadline: None,
            accepted: false,
            spool: None,
        })
        .collect();
    let record = JobRecord {
        id,
        header: Arc::new(job.spec.header()),
        state: job.first_state,
        counts: counts_of(&nodes),
        causes: CauseCounts::default(),
        history: Vec::new(),
        finished_at: None,
        stop: None,
        retries: Vec::new(),
    };
    UnfinishedJob { record, spec: Arc::clone(&job.spec), nodes, restoration: Restoration::None }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(Mail { notes, signals }) = self.mail.take() else { return };
        ctx.add_stream(notes.into_batches());
        ctx.add_stream(signals.into_batches());
        self.beat(ctx);
        ctx.run_interval(BEAT, Self::beat);
        self.recover(ctx);
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.board.set(Readiness::Broken("the supervisor broke down; restart the service".into()));
        }
    }
}

impl Handler<CreateJob> for Supervisor {
    type Result = ResponseActFuture<Self, Result<JobId, OrchestratorError>>;

    fn handle(&mut self, message: CreateJob, _ctx: &mut Self::Context) -> Self::Result {
        let store = Arc::clone(&self.ports.store);
        let CreateJob { job, permit } = message;
        self.creating += 1;
        let created = async move {
            let id = store.create_job(job.clone()).await;
            (id, job, permit)
        };
        Box::pin(created.into_actor(self).map(|(id, job, _permit), supervisor, ctx| {
            supervisor.creating -= 1;
            // Later than this answer, which would be cut off.
            ctx.run_later(Duration::ZERO, |supervisor, ctx| supervisor.leave_when_empty(ctx));
            let id = match id {
                Err(StoreError::Refused(Refusal::Repeated(before))) => return Ok(before),
                other => other?,
            };
            let JobSpec { nodes, owner, .. } = &*job.spec;
            let kind = job.spec.kind().name();
            tracing::info!(job = %id, kind, nodes = nodes.len(), owner = owner.login, "job created");
            // The service may end meanwhile: then the job is stored and begins at the next start.
            if supervisor.leaving.is_empty() {
                supervisor.start_job(fresh(id, &job), Inbox::default(), 0);
            }
            Ok(id)
        }))
    }
}

impl Handler<StopJob> for Supervisor {
    type Result = ResponseActFuture<Self, Result<NodeCounts, OrchestratorError>>;

    fn handle(&mut self, message: StopJob, _ctx: &mut Self::Context) -> Self::Result {
        let StopJob { job, mode, permit } = message;
        if let Some(entry) = self.jobs.get(&job) {
            let ticket = StopTicket(self.next_ticket);
            self.next_ticket += 1;
            let (reply, answer) = oneshot::channel();
            self.stops.insert(ticket, PendingStop { job, mode, reply });
            entry.control.send(Control::Stop { mode, ticket });
            let gone = || OrchestratorError::Unavailable("the service is shutting down".into());
            let waits = async move {
                let answer = answer.await.unwrap_or_else(|_| Err(gone()));
                drop(permit);
                answer
            };
            return Box::pin(waits.into_actor(self));
        }
        let store = Arc::clone(&self.ports.store);
        let reads = async move {
            let _permit = permit;
            match store.job(job).await? {
                None => Err(OrchestratorError::UnknownJob(job)),
                Some(record) if record.state.is_terminal() => Ok(record.counts),
                Some(_) => Err(OrchestratorError::Unavailable(format!("job {job} is not carried on at the moment"))),
            }
        };
        Box::pin(reads.into_actor(self))
    }
}

impl Handler<SetDrain> for Supervisor {
    type Result = MessageResult<SetDrain>;

    fn handle(&mut self, SetDrain(drain): SetDrain, _ctx: &mut Self::Context) -> Self::Result {
        let drain = self.board.set_drain(drain);
        for entry in self.jobs.values() {
            entry.control.send(Control::Drain(drain != Drain::No));
        }
        MessageResult(drain)
    }
}

impl Handler<ResumeJobs> for Supervisor {
    type Result = MessageResult<ResumeJobs>;

    fn handle(&mut self, ResumeJobs(wanted): ResumeJobs, _ctx: &mut Self::Context) -> Self::Result {
        let meant = |job: &JobId| wanted.is_none_or(|wanted| wanted == *job);
        let jobs: Vec<&Entry> = self.jobs.iter().filter(|(job, _)| meant(job)).map(|(_, entry)| entry).collect();
        jobs.iter().for_each(|entry| entry.control.send(Control::Resume));
        MessageResult(jobs.len())
    }
}

impl Handler<AskJobs> for Supervisor {
    type Result = MessageResult<AskJobs>;

    fn handle(&mut self, AskJobs(node): AskJobs, _ctx: &mut Self::Context) -> Self::Result {
        let ask = |entry: &Entry| {
            let (reply, answer) = oneshot::channel();
            entry.control.send(Control::Why(node.clone(), reply));
            answer
        };
        // One that is being rebuilt would not answer.
        MessageResult(self.jobs.values().filter(|entry| entry.beat.is_some()).map(ask).collect())
    }
}

impl Handler<Shutdown> for Supervisor {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _message: Shutdown, ctx: &mut Self::Context) -> Self::Result {
        self.board.set_drain(Drain::Leaving);
        let (waiting, gone) = oneshot::channel();
        self.leaving.push(waiting);
        for entry in self.jobs.values() {
            entry.control.send(Control::Leave);
        }
        // The answer first: stopping the context would cut it off.
        ctx.run_later(Duration::ZERO, |supervisor, ctx| supervisor.leave_when_empty(ctx));
        let told = async move {
            let _ = gone.await;
        };
        Box::pin(told.into_actor(self))
    }
}

impl StreamHandler<Vec<Note>> for Supervisor {
    fn handle(&mut self, batch: Vec<Note>, ctx: &mut Self::Context) {
        for note in batch {
            self.note(note, ctx);
        }
    }
}

impl StreamHandler<Vec<(u64, RunSignal)>> for Supervisor {
    fn handle(&mut self, batch: Vec<(u64, RunSignal)>, ctx: &mut Self::Context) {
        for (hold, signal) in batch {
            self.hold_signal(hold, signal, ctx);
        }
    }
}
