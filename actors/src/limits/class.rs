//! Slots of one kind of job: who has how many, and who gets the next one.
//!
//! The next free slot goes to the asking job with the fewest slots; among equals to the one that was served longest ago.

use std::collections::{BTreeMap, BTreeSet};

use crate::inbox::Outlet;
use crate::model::JobId;

use super::PoolSignal;

/// A job's part.
#[derive(Debug)]
struct Share {
    /// `None` for a recovered job whose actor has not asked yet.
    outlet: Option<Outlet<PoolSignal>>,
    /// Slots beyond the reserved ones that the job could use.
    wanted: u32,
    reserved: u32,
    held: u32,
    /// How many of `held` still have their compile slot.
    compiling: u32,
    /// When it was last served.
    served: u64,
}

impl Share {
    fn load(&self) -> u32 {
        self.reserved + self.held
    }
}

/// A limit and what counts against it; what is used may pass the limit only by what recovery found committed.
#[derive(Debug, Clone, Copy)]
struct Gauge {
    limit: u32,
    used: u32,
}

impl Gauge {
    fn free(self) -> u32 {
        self.limit.saturating_sub(self.used)
    }

    fn give(&mut self, slots: u32) {
        let left = self.used.checked_sub(slots);
        self.used = left.expect("only slots that were taken come back");
    }
}

/// All slots of one kind.
#[derive(Debug)]
pub(super) struct Class {
    runs: Gauge,
    /// Deploy runs also need one of these until their catalog is there.
    compiles: Option<Gauge>,
    /// How many of the run slots are kept by holds.
    kept: u32,
    shares: BTreeMap<JobId, Share>,
    /// Jobs that want slots: by load, then by when they were served.
    asking: BTreeSet<(u32, u64, JobId)>,
    turn: u64,
}

impl Class {
    pub(super) fn new(runs: u32, compiles: Option<u32>) -> Self {
        Self {
            runs: Gauge { limit: runs, used: 0 },
            compiles: compiles.map(|limit| Gauge { limit, used: 0 }),
            kept: 0,
            shares: BTreeMap::new(),
            asking: BTreeSet::new(),
            turn: 0,
        }
    }

    pub(super) fn kept(&self) -> u32 {
        self.kept
    }

    /// Used and limit, of runs and of compiles.
    pub(super) fn usage(&self) -> [Option<(u32, u32)>; 2] {
        [Some(self.runs), self.compiles].map(|gauge| gauge.map(|gauge| (gauge.used, gauge.limit)))
    }

    pub(super) fn runs_free(&self) -> u32 {
        self.runs.free()
    }

    pub(super) fn free(&self) -> u32 {
        self.compiles.map_or(u32::MAX, Gauge::free).min(self.runs.free())
    }

    pub(super) fn join(&mut self, job: JobId, outlet: Outlet<PoolSignal>) {
        self.share(job).outlet = Some(outlet);
    }

    pub(super) fn outlet(&self, job: JobId) -> Option<Outlet<PoolSignal>> {
        self.shares.get(&job).and_then(|share| share.outlet.clone())
    }

    pub(super) fn leave(&mut self, job: JobId) {
        self.unlist(job);
        if let Some(share) = self.shares.remove(&job) {
            self.runs.give(share.load());
            self.give_compiles(share.reserved + share.compiling);
        }
        self.distribute();
    }

    pub(super) fn want(&mut self, job: JobId, total: u32) {
        self.change(job, |share| share.wanted = total.saturating_sub(share.reserved));
        self.distribute();
    }

    pub(super) fn start(&mut self, job: JobId) {
        let compiles = u32::from(self.compiles.is_some());
        self.change(job, |share| {
            share.reserved = share.reserved.checked_sub(1).expect("a start uses a reserved slot");
            share.held += 1;
            share.compiling += compiles;
        });
    }

    pub(super) fn give_back(&mut self, job: JobId, slots: u32) {
        let mut returned = 0;
        self.change(job, |share| {
            returned = slots.min(share.reserved);
            share.reserved -= returned;
        });
        self.runs.give(returned);
        self.give_compiles(returned);
        self.distribute();
    }

    /// A run of this job needs its compile slot no more.
    pub(super) fn compiled(&mut self, job: JobId) {
        self.change(job, |share| share.compiling = share.compiling.saturating_sub(1));
        self.give_compiles(1);
        self.distribute();
    }

    pub(super) fn end(&mut self, job: JobId, compiling: bool) {
        self.detach(job, compiling);
        self.runs.give(1);
        self.distribute();
    }

    /// As [`Class::end`], but the run slot stays taken by a hold.
    pub(super) fn keep(&mut self, job: JobId, compiling: bool) {
        self.kept += 1;
        self.detach(job, compiling);
        self.distribute();
    }

    /// A hold is over.
    pub(super) fn release(&mut self) {
        self.kept = self.kept.checked_sub(1).expect("only a hold that was kept ends");
        self.runs.give(1);
        self.distribute();
    }

    pub(super) fn adopt_hold(&mut self) {
        self.kept += 1;
        self.runs.used += 1;
    }

    pub(super) fn adopt_runs(&mut self, job: JobId, held: u32, compiling: u32) {
        let compiling = if self.compiles.is_some() { compiling } else { 0 };
        self.unlist(job);
        if let Some(old) = self.shares.remove(&job) {
            self.runs.give(old.load());
            self.give_compiles(old.reserved + old.compiling);
        }
        self.runs.used += held;
        if let Some(compiles) = &mut self.compiles {
            compiles.used += compiling;
        }
        let share = self.share(job);
        share.held = held;
        share.compiling = compiling;
        self.distribute();
    }

    pub(super) fn adopt_run(&mut self, job: JobId, compiling: bool) {
        let compiling = u32::from(compiling && self.compiles.is_some());
        self.runs.used += 1;
        if let Some(compiles) = &mut self.compiles {
            compiles.used += compiling;
        }
        self.share(job);
        self.change(job, |share| {
            share.held += 1;
            share.compiling += compiling;
        });
    }

    fn detach(&mut self, job: JobId, compiling: bool) {
        let compiling = u32::from(compiling && self.compiles.is_some());
        self.change(job, |share| {
            share.held = share.held.checked_sub(1).expect("only a held slot ends");
            share.compiling = share.compiling.saturating_sub(compiling);
        });
        self.give_compiles(compiling);
    }

    fn give_compiles(&mut self, slots: u32) {
        if let Some(compiles) = &mut self.compiles {
            compiles.give(slots);
        }
    }

    fn share(&mut self, job: JobId) -> &mut Share {
        self.shares.entry(job).or_insert(Share {
            outlet: None,
            wanted: 0,
            reserved: 0,
            held: 0,
            compiling: 0,
            served: 0,
        })
    }

    /// Changes a share and keeps the order of the asking jobs right.
    fn change(&mut self, job: JobId, change: impl FnOnce(&mut Share)) {
        self.unlist(job);
        let Some(share) = self.shares.get_mut(&job) else { return };
        change(share);
        if share.wanted > 0 {
            self.asking.insert((share.load(), share.served, job));
        }
    }

    fn unlist(&mut self, job: JobId) {
        if let Some(share) = self.shares.get(&job) {
            self.asking.remove(&(share.load(), share.served, job));
        }
    }

    /// Hands out what is free, slot by slot, and tells each job once.
    fn distribute(&mut self) {
        let mut granted: BTreeMap<JobId, u32> = BTreeMap::new();
        while self.free() > 0 {
            let Some((_, _, job)) = self.asking.pop_first() else { break };
            let Some(share) = self.shares.get_mut(&job) else { continue };
            self.turn += 1;
            share.served = self.turn;
            share.wanted -= 1;
            share.reserved += 1;
            self.runs.used += 1;
            if let Some(compiles) = &mut self.compiles {
                compiles.used += 1;
            }
            if share.wanted > 0 {
                self.asking.insert((share.load(), share.served, job));
            }
            *granted.entry(job).or_default() += 1;
        }
        for (job, slots) in granted {
            if let Some(outlet) = self.outlet(job) {
                outlet.send(PoolSignal::Granted(slots));
            }
        }
    }
}
