//! Signs of life, and the proof that every row that is not over has a living owner.
//!
//! Every [`BEAT`] each job's actor is asked to show that it is alive; one that does not for `limits.hang_timeout` hangs,
//! and the board says so: nothing within the process can end a thread that is stuck. Every few beats the jobs and holds
//! of the store are compared with those that are followed. What is out of step in two sweeps and has not moved between
//! them has lost its owner, and gets a new one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use actix::{AsyncContext, Context, WrapFuture, fut::ActorFutureExt};

use crate::inbox::Inbox;
use crate::job_actor::Control;
use crate::model::{JobId, NodeCounts, TransactionId};
use crate::ports::{Held, StoreError};

use super::actor::{Entry, Supervisor};

/// How often actors show that they are alive.
pub(super) const BEAT: Duration = Duration::from_secs(15);
/// Every so many beats the store is swept.
const SWEEP: u64 = 4;

/// What was out of step in the last sweep.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    going_on: bool,
    /// Jobs: their stored counts, and those that their actors showed, if there were any.
    jobs: BTreeMap<JobId, (NodeCounts, Option<NodeCounts>)>,
    holds: Vec<TransactionId>,
}

/// What the store says is not over.
struct Open {
    jobs: Vec<(JobId, NodeCounts)>,
    holds: Vec<Held>,
}

impl Supervisor {
    /// One beat.
    pub(super) fn beat(&mut self, ctx: &mut Context<Self>) {
        // After a pause of the whole process the beats that were missed come at once: nobody could have answered them.
        if self.last_beat.replace(Instant::now()).is_some_and(|last| last.elapsed() < BEAT / 2) {
            return;
        }
        let patience = self.limits.hang_timeout.as_secs().div_ceil(BEAT.as_secs());
        let beats = self.beats;
        let noted = |entry: &Entry| entry.beat.as_ref().map(|beat| beat.load(Ordering::Acquire));
        let hangs = |entry: &Entry| noted(entry).is_some_and(|noted| beats.saturating_sub(noted) > patience);
        let hanging: Vec<JobId> = self.jobs.iter().filter(|(_, entry)| hangs(entry)).map(|(job, _)| *job).collect();
        for job in &hanging {
            tracing::error!(%job, "the job's actor shows no sign of life");
        }
        self.board.beat(hanging);
        self.beats += 1;
        for entry in self.jobs.values() {
            entry.control.send(Control::Beat(self.beats));
        }
        if self.is_idle() {
            self.note_settled();
            self.ports.clock.nothing_is_open();
        }
        if self.beats.is_multiple_of(SWEEP) {
            self.sweep(ctx);
        }
    }

    fn sweep(&mut self, ctx: &mut Context<Self>) {
        let well = self.board.trouble().is_none() && self.leaving.is_empty();
        if !well || std::mem::replace(&mut self.sweep.going_on, true) {
            return;
        }
        let store = Arc::clone(&self.ports.store);
        let reads = async move {
            let jobs = store.open_jobs().await?;
            Ok::<Open, StoreError>(Open { jobs, holds: store.holds().await? })
        };
        ctx.spawn(reads.into_actor(self).map(|read, supervisor, ctx| {
            supervisor.sweep.going_on = false;
            match read {
                Ok(open) => supervisor.compare(open, ctx),
                Err(error) => tracing::warn!(%error, "what is not over could not be read for the sweep"),
            }
        }));
    }

    fn compare(&mut self, open: Open, ctx: &mut Context<Self>) {
        let suspects = std::mem::take(&mut self.sweep.jobs);
        for (job, stored) in open.jobs {
            let shown = match self.jobs.get(&job) {
                // It is being rebuilt from these very rows.
                Some(entry) if entry.beat.is_none() => continue,
                Some(_) => self.board.live(job).map(|live| live.counts),
                None => None,
            };
            if shown == Some(stored) {
                continue;
            }
            if suspects.get(&job) == Some(&(stored, shown)) {
                self.repair(job, ctx);
            } else {
                self.sweep.jobs.insert(job, (stored, shown));
            }
        }
        let suspects = std::mem::take(&mut self.sweep.holds);
        for held in open.holds {
            if self.holds.knows(held.transaction) {
                continue;
            }
            if suspects.contains(&held.transaction) {
                tracing::error!(job = %held.job, node = %held.node, "a hold has no owner and is taken up");
                self.pool.adopt_hold(held.kind(), &held.node);
                self.follow_hold(held, ctx);
            } else {
                self.sweep.holds.push(held.transaction);
            }
        }
    }

    /// Gives a job an owner that begins from what is stored.
    fn repair(&mut self, job: JobId, ctx: &mut Context<Self>) {
        if let Some(entry) = self.jobs.get(&job) {
            tracing::error!(%job, "a job's actor is out of step with the store and is replaced");
            entry.control.send(Control::GiveWay);
            return;
        }
        tracing::error!(%job, "a job that is not over has no owner and gets one");
        let control = Inbox::<Control>::default().outlet();
        self.jobs.insert(job, Entry { control, appending: Arc::default(), crashes: 0, beat: None });
        self.rebuild(job, ctx);
    }
}
