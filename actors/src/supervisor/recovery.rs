//! Back to life: after a restart of the service, and after a panic of a job's actor or a group that the store refused.
//!
//! What is committed as started or held counts in the limits before anything new may start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{AsyncContext, Context, WrapFuture, fut::ActorFutureExt};

use crate::inbox::Inbox;
use crate::job_actor::Control;
use crate::limits::Adopted;
use crate::model::{JobId, NodeState};
use crate::ports::{Held, JobStore, Restoration, StoreError, UnfinishedJob};

use super::abort;
use super::actor::Supervisor;
use super::board::Readiness;

/// How often a job's actor may break down before the job is given up.
const CRASHES: u32 = 3;
/// How long to wait before the store is asked again.
const RETRY: Duration = Duration::from_secs(1);
/// How long to wait before it is tried again to end a job that was given up.
const END_RETRY: Duration = Duration::from_secs(5);

/// What a rebuilt job begins with.
struct Found {
    job: Option<UnfinishedJob>,
    holds: Vec<Held>,
}

impl Supervisor {
    /// Takes up everything that is not over, then lets commands in.
    pub(super) fn recover(&mut self, ctx: &mut Context<Self>) {
        let store = Arc::clone(&self.ports.store);
        let reads = async move {
            loop {
                match read_all(&store).await {
                    Err(StoreError::Unavailable(reason)) => {
                        tracing::warn!(%reason, "unfinished jobs cannot be read yet");
                        tokio::time::sleep(RETRY).await;
                    }
                    done => return done,
                }
            }
        };
        ctx.spawn(reads.into_actor(self).map(|read, supervisor, ctx| match read {
            Ok((jobs, holds)) => supervisor.take_up(jobs, holds, ctx),
            Err(error) => {
                tracing::error!(%error, "unfinished jobs cannot be taken up");
                supervisor.board.set(Readiness::Broken(error.to_string()));
            }
        }));
    }

    fn take_up(&mut self, jobs: Vec<UnfinishedJob>, holds: Vec<Held>, ctx: &mut Context<Self>) {
        for held in &holds {
            self.pool.adopt_hold(held.kind(), &held.node);
        }
        for job in &jobs {
            self.adopt_committed_starts(job);
        }
        tracing::info!(jobs = jobs.len(), holds = holds.len(), "unfinished work is taken up");
        for held in holds {
            self.follow_hold(held, ctx);
        }
        for job in jobs {
            self.start_job(job, Inbox::default(), 0);
        }
        self.board.set(Readiness::Ready);
    }

    fn adopt_committed_starts(&self, job: &UnfinishedJob) {
        let running = job.nodes.iter().zip(job.spec.nodes.iter());
        let runs: Vec<Adopted> = running
            .filter(|(node, _)| node.state == NodeState::Running)
            .map(|(_, name)| Adopted { node: name.clone(), compiling: true })
            .collect();
        self.pool.adopt_runs(job.record.id, job.spec.kind(), &runs);
        if job.restoration == Restoration::None || job.record.state.is_terminal() {
            return;
        }
        // They may have been started after the backup was made. Their own job asks.
        for (_, name) in job.nodes.iter().zip(job.spec.nodes.iter()).filter(|(node, _)| waits(node.state)) {
            self.pool.doubt(job.record.id, job.spec.kind(), name);
        }
    }

    /// A job's actor broke down: another one takes over from what is committed.
    pub(super) fn rebuild(&mut self, job: JobId, ctx: &mut Context<Self>) {
        if !self.leaving.is_empty() {
            // Nobody would drain a new actor; the job goes on at the next start.
            return self.forget_job(job, ctx);
        }
        let Some(entry) = self.jobs.get_mut(&job) else { return };
        entry.crashes += 1;
        let crashes = entry.crashes;
        tracing::error!(%job, crashes, "a job's actor broke down");
        // Stops that come meanwhile wait here for the new actor.
        let control: Inbox<Control> = Inbox::default();
        entry.control = control.outlet();
        entry.beat = None;
        let appending = Arc::clone(&entry.appending);
        let store = Arc::clone(&self.ports.store);
        let reads = async move {
            // The old actor's last append may still be going on; what it decides must be in what is read.
            let _no_append = appending.lock_owned().await;
            loop {
                match find(&store, job).await {
                    Err(StoreError::Unavailable(reason)) => {
                        tracing::warn!(%job, %reason, "the job cannot be read yet");
                        tokio::time::sleep(RETRY).await;
                    }
                    done => return done,
                }
            }
        };
        ctx.spawn(reads.into_actor(self).map(move |found, supervisor, ctx| match found {
            Ok(found) => supervisor.resume(job, found, control, crashes, ctx),
            Err(error) => {
                tracing::error!(%job, %error, "the job cannot be taken up");
                supervisor.board.set(Readiness::Broken(error.to_string()));
                supervisor.answer_stops(job, &Err(error.into()));
                supervisor.forget_job(job, ctx);
            }
        }));
    }

    fn resume(&mut self, job: JobId, found: Found, control: Inbox<Control>, crashes: u32, ctx: &mut Context<Self>) {
        let Some(stored) = found.job else { return self.forget_job(job, ctx) };
        self.adopt_committed_starts(&stored);
        for held in found.holds {
            if !self.holds.knows(held.transaction) {
                self.pool.adopt_hold(held.kind(), &held.node);
                self.follow_hold(held, ctx);
            }
        }
        if stored.record.state.is_terminal() {
            self.pool.leave(job, stored.spec.kind());
            self.answer_stops(job, &Ok(stored.record.counts));
            return self.forget_job(job, ctx);
        }
        if crashes > CRASHES {
            return self.give_up(stored, ctx);
        }
        let pending: BTreeMap<_, _> =
            self.stops.iter().filter(|(_, stop)| stop.job == job).map(|(ticket, stop)| (*ticket, stop.mode)).collect();
        let replay = control.outlet();
        for (ticket, mode) in pending {
            replay.send(Control::Stop { mode, ticket });
        }
        self.start_job(stored, control, crashes);
    }

    /// The job breaks its actor again and again: it ends here, and says so.
    fn give_up(&mut self, stored: UnfinishedJob, ctx: &mut Context<Self>) {
        let (job, kind) = (stored.record.id, stored.spec.kind());
        let (store, clock) = (Arc::clone(&self.ports.store), Arc::clone(&self.ports.clock));
        let held_for = self.limits.abandoned_hold;
        let ends = async move {
            let counts = abort::abort(&store, clock.as_ref(), &stored, held_for).await;
            let holds = store.holds().await;
            (counts, holds)
        };
        ctx.spawn(ends.into_actor(self).map(move |(counts, holds), supervisor, ctx| {
            let holds = holds.unwrap_or_default();
            for held in holds.into_iter().filter(|held| held.job == job) {
                if !supervisor.holds.knows(held.transaction) {
                    supervisor.pool.adopt_hold(held.kind(), &held.node);
                    supervisor.follow_hold(held, ctx);
                }
            }
            if let Err(error) = counts {
                // Its runs still count. Were it left here, nothing would end it before the next start.
                tracing::error!(%job, %error, "the end of a broken job could not be committed, and is tried again");
                supervisor.board.set(Readiness::Broken(error.to_string()));
                supervisor.answer_stops(job, &Err(error.into()));
                ctx.run_later(END_RETRY, move |supervisor, ctx| supervisor.rebuild(job, ctx));
                return;
            }
            supervisor.pool.leave(job, kind);
            supervisor.answer_stops(job, &counts.map_err(Into::into));
            supervisor.forget_job(job, ctx);
        }));
    }
}

fn waits(state: NodeState) -> bool {
    matches!(state, NodeState::New | NodeState::Ready)
}

async fn read_all(store: &Arc<dyn JobStore>) -> Result<(Vec<UnfinishedJob>, Vec<Held>), StoreError> {
    Ok((store.unfinished().await?, store.holds().await?))
}

async fn find(store: &Arc<dyn JobStore>, job: JobId) -> Result<Found, StoreError> {
    let mut holds = store.holds().await?;
    holds.retain(|held| held.job == job);
    Ok(Found { job: store.stored(job).await?, holds })
}
