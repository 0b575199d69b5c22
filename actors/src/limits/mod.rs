//! The limits that jobs share: one fair pool of slots, and the turn of every node.
//!
//! A slot is *reserved* when it is granted to a job, *held* once a start uses it, and *kept* by a hold after an end that
//! the agent did not confirm. Nothing is granted beyond the limits; only what is committed already (recovery) is taken
//! without asking. A node's turn is taken at the start, never while something is waited for.
//!
//! Deliberately a lock and not an actor: jobs live on many threads, and an ask per node would cost more than the run.

mod class;
mod turns;

use std::sync::Arc;

use parking_lot::Mutex;

use crate::handle::{Binding, Limits, SlotUsage};
use crate::inbox::Outlet;
use crate::model::{CertName, JobId, JobKind, NodeIndex};

use class::Class;
use turns::Turns;

/// What the pool tells a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PoolSignal {
    /// That many slots are reserved for the job: each is to be used or given back.
    Granted(u32),
    /// The turn of this node, for which the job waits, may be free.
    TurnFree(NodeIndex),
}

#[derive(Debug)]
struct Book {
    deploys: Class,
    tasks: Class,
    turns: Turns,
}

impl Book {
    fn class(&mut self, kind: JobKind) -> &mut Class {
        match kind {
            JobKind::Deploy => &mut self.deploys,
            JobKind::Task => &mut self.tasks,
        }
    }
}

/// The shared limits. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Pool(Arc<Mutex<Book>>);

/// What a recovered run takes from the pool.
#[derive(Debug, Clone)]
pub(crate) struct Adopted {
    pub(crate) node: CertName,
    /// Whether it may still wait for its catalog.
    pub(crate) compiling: bool,
}

impl Pool {
    /// An empty pool with the limits of the configuration.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self(Arc::new(Mutex::new(Book {
            deploys: Class::new(limits.concurrent_runs, Some(limits.concurrent_compiles)),
            tasks: Class::new(limits.concurrent_tasks, None),
            turns: Turns::default(),
        })))
    }

    /// Lets a job ask for slots; signals go to `outlet`.
    pub(crate) fn join(&self, job: JobId, kind: JobKind, outlet: Outlet<PoolSignal>) {
        self.0.lock().class(kind).join(job, outlet);
    }

    /// Takes a job out. What it has reserved goes to others; runs that it still holds (it was cut off) go too.
    pub(crate) fn leave(&self, job: JobId, kind: JobKind) {
        let mut book = self.0.lock();
        book.class(kind).leave(job);
        book.turns.forget_job(job);
    }

    /// States how many slots, reserved ones included, the job could use now.
    pub(crate) fn want(&self, job: JobId, kind: JobKind, total: u32) {
        self.0.lock().class(kind).want(job, total);
    }

    /// Uses a reserved slot for a start on this node and takes the node's turn. `false`: the turn is taken, the slot
    /// stays reserved, and the job is told when the turn may be free.
    pub(crate) fn start(&self, job: JobId, kind: JobKind, node: &CertName, index: NodeIndex) -> bool {
        let mut book = self.0.lock();
        let Some(outlet) = book.class(kind).outlet(job) else { return false };
        if !book.turns.take(kind, node, job, index, outlet) {
            return false;
        }
        book.class(kind).start(job);
        true
    }

    /// Whether the node's turn is free; if not, the job is told when it may be.
    pub(crate) fn turn_is_free(&self, job: JobId, kind: JobKind, node: &CertName, index: NodeIndex) -> bool {
        let mut book = self.0.lock();
        match book.class(kind).outlet(job) {
            Some(outlet) => book.turns.is_free(kind, node, job, index, outlet),
            None => false,
        }
    }

    /// Returns reserved slots that the job cannot use.
    pub(crate) fn give_back(&self, job: JobId, kind: JobKind, slots: u32) {
        self.0.lock().class(kind).give_back(job, slots);
    }

    /// Returns the compile slot of a run that goes on.
    pub(crate) fn catalog_ready(&self, job: JobId, kind: JobKind) {
        self.0.lock().class(kind).compiled(job);
    }

    /// Returns the slots and the turn of a run that is over.
    pub(crate) fn end(&self, job: JobId, kind: JobKind, node: &CertName, compiling: bool) {
        let mut book = self.0.lock();
        book.class(kind).end(job, compiling);
        book.turns.release(kind, node);
    }

    /// The run ended without its agent's word: the run slot and the turn are kept until [`Pool::hold_over`].
    pub(crate) fn keep_as_hold(&self, job: JobId, kind: JobKind, node: &CertName, compiling: bool) {
        let mut book = self.0.lock();
        book.turns.keep(kind, node);
        book.class(kind).keep(job, compiling);
    }

    /// Returns what a hold kept.
    pub(crate) fn hold_over(&self, kind: JobKind, node: &CertName) {
        let mut book = self.0.lock();
        book.class(kind).release();
        book.turns.release(kind, node);
    }

    /// Takes what a recovered hold keeps, whatever is free.
    pub(crate) fn adopt_hold(&self, kind: JobKind, node: &CertName) {
        let mut book = self.0.lock();
        book.class(kind).adopt_hold();
        book.turns.adopt(kind, node, None);
    }

    /// Takes the node's turn for a restored job whose run may be going on there, until its agent was asked.
    pub(crate) fn doubt(&self, job: JobId, kind: JobKind, node: &CertName) {
        self.0.lock().turns.doubt(kind, node, job);
    }

    /// The agent was asked, or the run is followed.
    pub(crate) fn doubt_over(&self, job: JobId, kind: JobKind, node: &CertName) {
        self.0.lock().turns.doubt_over(kind, node, job);
    }

    /// Replaces all that a job holds by these runs, in one step: they are committed, so they count, whatever is free.
    pub(crate) fn adopt_runs(&self, job: JobId, kind: JobKind, runs: &[Adopted]) {
        let mut book = self.0.lock();
        book.turns.forget_job(job);
        let compiling = u32::try_from(runs.iter().filter(|run| run.compiling).count()).unwrap_or(u32::MAX);
        let held = u32::try_from(runs.len()).unwrap_or(u32::MAX);
        for run in runs {
            book.turns.adopt(kind, &run.node, Some(job));
        }
        book.class(kind).adopt_runs(job, held, compiling);
    }

    /// The job that has the node's turn; `None` when a hold has it, or nobody.
    pub(crate) fn turn_of(&self, kind: JobKind, node: &CertName) -> Option<JobId> {
        self.0.lock().turns.owner(kind, node)
    }

    /// How much of each shared limit is used.
    pub(crate) fn usage(&self) -> Vec<SlotUsage> {
        let book = self.0.lock();
        let [runs, compiles] = book.deploys.usage();
        let [tasks, _] = book.tasks.usage();
        let all = [("concurrent_compiles", compiles), ("concurrent_runs", runs), ("concurrent_tasks", tasks)];
        let named = |(limit, usage): (_, Option<(u32, u32)>)| usage.map(|(used, of)| SlotUsage { limit, used, of });
        all.into_iter().filter_map(named).collect()
    }

    /// How many runs are held.
    pub(crate) fn holds(&self) -> u32 {
        let book = self.0.lock();
        book.deploys.kept() + book.tasks.kept()
    }

    /// Takes what one more run of a job uses, whatever is free: it goes on already.
    pub(crate) fn adopt_run(&self, job: JobId, kind: JobKind, run: &Adopted) {
        let mut book = self.0.lock();
        book.turns.adopt(kind, &run.node, Some(job));
        book.class(kind).adopt_run(job, run.compiling);
    }

    /// Which shared limit is exhausted, if any.
    pub(crate) fn bottleneck(&self, kind: JobKind) -> Option<Binding> {
        let mut book = self.0.lock();
        let class = book.class(kind);
        match kind {
            JobKind::Deploy if class.runs_free() == 0 => Some(Binding::ConcurrentRuns),
            JobKind::Deploy if class.free() == 0 => Some(Binding::ConcurrentCompiles),
            JobKind::Task if class.free() == 0 => Some(Binding::ConcurrentTasks),
            JobKind::Deploy | JobKind::Task => None,
        }
    }
}

#[cfg(test)]
mod tests;
