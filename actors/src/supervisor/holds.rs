//! Holds: runs that ended without their agent's word and may still be going on.
//!
//! Each is asked about when it is left, at every reconnect of its node and every [`ASK_EVERY`]. It ends with any answer
//! but *running* (that nothing is known of the run, or that it is canceled, counts from its own agent only: another one with the same certname, or
//! one whose spool was exchanged, cannot know), or when its time is over; its end is committed before what it keeps is given back. The answer is kept
//! with the node, and changes neither state nor count: the first committed end has won. An agent that could not be told that
//! the run is to end is told at its next connection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{AsyncContext, Context, SpawnHandle, WrapFuture, fut::ActorFutureExt};

use crate::inbox::Outlet;
use crate::job_actor::{append_until_done, next_watcher};
use crate::machine::judge_late;
use crate::model::{JobId, LateAnswer, RunOutcome, TransactionId};
use crate::ports::{Held, RunSignal, SignalOutlet, StatusAnswer, Transport, Write};

use super::actor::Supervisor;

/// How often a hold is asked about while its node stays connected.
const ASK_EVERY: Duration = Duration::from_secs(300);
/// How long to wait before ends that the store refused are handed in again.
const END_RETRY: Duration = Duration::from_secs(5);

struct Hold {
    held: Held,
    watcher: u64,
    timers: [SpawnHandle; 2],
}

/// The open holds, by number.
pub(super) struct Holds {
    open: BTreeMap<u64, Hold>,
    /// Over, but not committed as such; with what the agent said, if it did.
    ending: Vec<(Held, Option<Box<LateAnswer>>)>,
    appending: bool,
    next: u64,
    transport: Arc<dyn Transport>,
    signals: Outlet<(u64, RunSignal)>,
}

impl Holds {
    pub(super) fn new(transport: Arc<dyn Transport>, signals: Outlet<(u64, RunSignal)>) -> Self {
        Self { open: BTreeMap::new(), ending: Vec::new(), appending: false, next: 0, transport, signals }
    }

    /// All that still count, of one job.
    pub(super) fn of_job(&self, job: JobId) -> Vec<TransactionId> {
        self.all().filter(|held| held.job == job).map(|held| held.transaction).collect()
    }

    /// Whether none counts any more.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.ending.is_empty()
    }

    /// Whether this one is known already.
    pub(super) fn knows(&self, transaction: TransactionId) -> bool {
        self.all().any(|held| held.transaction == transaction)
    }

    fn all(&self) -> impl Iterator<Item = &Held> {
        self.open.values().map(|hold| &hold.held).chain(self.ending.iter().map(|(held, _)| held))
    }

    /// Whether *I know nothing of it* means that nothing goes on there.
    fn can_tell_nothing(&self, number: u64) -> bool {
        !self.open.get(&number).is_some_and(|hold| hold.held.accepted) && self.asked_its_own_agent(number)
    }

    /// Whether the present session is that of the agent which got the request, as far as that can be told.
    fn asked_its_own_agent(&self, number: u64) -> bool {
        let Some(Hold { held, .. }) = self.open.get(&number) else { return false };
        let session = self.transport.connection(&held.node);
        session.is_some_and(|session| !session.contended && session.spool == held.spool)
    }

    fn cancel(&self, number: u64) {
        if let Some(Hold { held, .. }) = self.open.get(&number).filter(|hold| hold.held.ending().is_some()) {
            self.transport.cancel(&held.node, held.transaction);
        }
    }

    fn ask(&self, number: u64) {
        if let Some(hold) = self.open.get(&number) {
            let Held { job, node, .. } = &hold.held;
            let _about = tracing::debug_span!("hold", %job, %node).entered();
            self.transport.query_status(&hold.held.node, hold.held.transaction);
        }
    }
}

impl Supervisor {
    /// Looks after a hold that is committed and counted.
    pub(super) fn follow_hold(&mut self, held: Held, ctx: &mut Context<Self>) {
        let number = self.holds.next;
        self.holds.next += 1;
        let outlet = SignalOutlet::new(self.holds.signals.clone(), number);
        let transport = Arc::clone(&self.ports.transport);
        // One watch per hold: two holds of different kinds may be on one node.
        let watcher = next_watcher();
        transport.watch(&held.node, watcher, outlet.clone());
        transport.expect(&held.node, held.transaction, held.kind(), outlet);
        // One that was left under a clock that was ahead must not last longer for it.
        let left = (held.until - self.ports.clock.now()).to_std().unwrap_or(Duration::ZERO);
        let left = left.min(self.limits.abandoned_hold);
        let runs_out = ctx.run_later(left, move |supervisor, ctx| {
            if let Some(hold) = supervisor.holds.open.get(&number) {
                let Held { job, node, transaction, .. } = &hold.held;
                tracing::warn!(%job, %node, %transaction, "a hold ran out: the run may still be going on");
            }
            supervisor.end_hold(number, None, ctx);
        });
        let asks = ctx.run_interval(ASK_EVERY, move |supervisor, _| supervisor.holds.ask(number));
        self.holds.open.insert(number, Hold { held, watcher, timers: [runs_out, asks] });
        self.holds.cancel(number);
        self.holds.ask(number);
    }

    /// A signal for a held run or its node.
    pub(super) fn hold_signal(&mut self, number: u64, signal: RunSignal, ctx: &mut Context<Self>) {
        match signal {
            RunSignal::Connected(_) => {
                self.holds.cancel(number);
                self.holds.ask(number);
            }
            // Another agent with this certname made sure that nothing begins there.
            RunSignal::Ended(RunOutcome::Canceled { .. })
            | RunSignal::Status(StatusAnswer::Over(RunOutcome::Canceled { .. }))
                if !self.holds.asked_its_own_agent(number) => {}
            RunSignal::Status(StatusAnswer::NeverArrived) if !self.holds.can_tell_nothing(number) => {}
            RunSignal::Ended(outcome) => self.late_answer(number, StatusAnswer::Over(outcome), ctx),
            RunSignal::Status(
                answer @ (StatusAnswer::Over(_) | StatusAnswer::NeverArrived | StatusAnswer::Unknown(_)),
            ) => self.late_answer(number, answer, ctx),
            RunSignal::Status(StatusAnswer::Running)
            | RunSignal::Unsent
            | RunSignal::Sent
            | RunSignal::Accepted
            | RunSignal::CatalogReady
            | RunSignal::CancelAccepted
            | RunSignal::CancelRefused(_)
            | RunSignal::Disconnected => {}
        }
    }

    fn late_answer(&mut self, number: u64, answer: StatusAnswer, ctx: &mut Context<Self>) {
        let Some(Hold { held, .. }) = self.holds.open.get(&number) else { return };
        let end = judge_late(&held.node, &held.action, answer, held.ending());
        let late = end.map(|end| Box::new(LateAnswer::of(end, self.ports.clock.now())));
        self.end_hold(number, late, ctx);
    }

    fn end_hold(&mut self, number: u64, late: Option<Box<LateAnswer>>, ctx: &mut Context<Self>) {
        let Some(hold) = self.holds.open.remove(&number) else { return };
        for timer in hold.timers {
            ctx.cancel_future(timer);
        }
        let transport = &self.holds.transport;
        transport.unwatch(&hold.held.node, hold.watcher);
        transport.forget(hold.held.transaction);
        self.holds.ending.push((hold.held, late));
        self.commit_hold_ends(ctx);
    }

    fn commit_hold_ends(&mut self, ctx: &mut Context<Self>) {
        if self.holds.appending || self.holds.ending.is_empty() {
            return;
        }
        self.holds.appending = true;
        let store = Arc::clone(&self.ports.store);
        let ends = self.holds.ending.clone();
        let end_of = |(held, late): &(Held, Option<Box<LateAnswer>>)| Write::HoldEnded {
            transaction: held.transaction,
            late: late.clone(),
        };
        let writes = ends.iter().map(end_of).collect();
        let done = async move { append_until_done(&store, writes).await };
        ctx.spawn(done.into_actor(self).map(move |result, supervisor, ctx| {
            supervisor.holds.appending = false;
            if let Err(error) = result {
                tracing::error!(%error, holds = ends.len(), "the end of holds could not be committed");
                ctx.run_later(END_RETRY, Self::commit_hold_ends);
                return;
            }
            supervisor.holds.ending.drain(..ends.len());
            for (held, _) in ends {
                supervisor.pool.hold_over(held.kind(), &held.node);
                supervisor.tell_hold_over(held.job, held.transaction);
            }
            supervisor.commit_hold_ends(ctx);
        }));
    }
}
