//! The promise that limits hold exactly, of what really runs and of what is committed; and how long anything may take.

use std::time::Duration;

use bunraku_actors::handle::Limits;
use bunraku_actors::model::{CertName, JobId, JobKind, NodeState, TransactionId};

use super::{Book, Execution, JobView};
use crate::agent::Kind;
use crate::ground::Moment;

impl Book {
    /// Limits hold exactly, for what really runs.
    pub(super) fn check_what_runs(&mut self, fresh: TransactionId) {
        let Some(new) = self.executions.get(&fresh).cloned() else { return };
        let counted = self.going.iter().filter(|transaction| !self.excused.contains(transaction));
        let runs: Vec<&Execution> = counted.filter_map(|transaction| self.executions.get(transaction)).collect();
        let alike = runs.iter().filter(|run| run.kind == new.kind);
        let (mut shared, mut own, mut turn) = (0, 0, 0);
        for run in alike {
            shared += 1;
            own += usize::from(run.job == new.job);
            turn += usize::from(run.node == new.node);
        }
        let limit = match new.kind {
            JobKind::Deploy => self.limits.concurrent_runs,
            JobKind::Task => self.limits.concurrent_tasks,
        };
        let concurrency = self.jobs.get(&new.job).and_then(|job| job.spec.concurrency);
        let mut wrong = Vec::new();
        if shared > limit as usize {
            wrong.push(format!("{shared} runs at once where {limit} are allowed"));
        }
        if concurrency.is_some_and(|limit| own > limit.get() as usize) {
            wrong.push(format!("{own} runs of job {} at once, concurrency {concurrency:?}", new.job));
        }
        if turn > 1 {
            wrong.push(format!("{turn} runs at once on {}", new.node));
        }
        wrong.into_iter().for_each(|how| self.broken(format!("limits hold exactly: {how}")));
    }

    /// Limits hold exactly, for Puppet runs of our agents whose catalog is not there yet.
    pub(crate) fn check_compiles(&mut self, now: Moment) {
        if self.restored {
            return;
        }
        let counted = self.going.iter().filter(|transaction| !self.excused.contains(transaction));
        let compiling = counted.filter(|transaction| {
            let run = &self.executions[*transaction];
            let held = self.holds.contains_key(transaction);
            run.kind == JobKind::Deploy && run.agent == Kind::Ours && run.catalog_at > now && !held
        });
        let (count, limit) = (compiling.count(), self.limits.concurrent_compiles);
        if count > limit as usize {
            self.broken(format!("limits hold exactly: {count} catalogs at once where {limit} are allowed"));
        }
    }

    /// How this start passes a limit, by what is committed.
    pub(super) fn crowds(&self, job: JobId, name: &CertName) -> Vec<String> {
        let Some(view) = self.jobs.get(&job) else { return Vec::new() };
        let kind = view.spec.kind();
        let of_job = self.holds.values().filter(|hold| hold.job == job).count();
        let own = view.count(NodeState::Running) + of_job;
        let alike = self.jobs.values().filter(|other| other.spec.kind() == kind);
        let held = self.holds.values().filter(|hold| hold.kind == kind);
        let shared = alike.clone().map(|other| other.count(NodeState::Running)).sum::<usize>() + held.clone().count();
        let runs_here = |other: &&JobView| {
            let at = other.spec.index_of(name);
            at.is_some_and(|at| other.nodes[at.at()].state == NodeState::Running)
        };
        let turns = alike.filter(runs_here).count() + held.filter(|hold| hold.node == *name).count();
        let limit = match kind {
            JobKind::Deploy => self.limits.concurrent_runs,
            JobKind::Task => self.limits.concurrent_tasks,
        };
        let mut wrong = Vec::new();
        if view.spec.concurrency.is_some_and(|limit| own > limit.get() as usize) {
            wrong.push(format!("as number {own} of its job, concurrency {:?}", view.spec.concurrency));
        }
        if shared > limit as usize {
            wrong.push(format!("as number {shared} of its kind where {limit} are allowed"));
        }
        if turns > 1 {
            wrong.push("while another run of that kind is on the node".to_owned());
        }
        wrong
    }

    /// How long the store may take to end everything from now on, if nothing is in the way.
    pub(crate) fn bound(&self) -> Duration {
        let Limits { job_timeout, deploy_timeout, resend_window, abandoned_hold, .. } = *self.limits;
        let Limits { lost_contact, cancel_timeout, settle_time, connect_timeout, status_timeout, .. } = *self.limits;
        let starts = job_timeout + settle_time + connect_timeout;
        // A frame that is sent again gets its whole time once more, as long as it may be.
        let runs = resend_window + 2 * deploy_timeout + lost_contact + cancel_timeout + 2 * status_timeout;
        // Timers that a panic or a jump of the clock spoiled are made up for at the next beat.
        starts + runs + abandoned_hold + Duration::from_secs(120)
    }
}
