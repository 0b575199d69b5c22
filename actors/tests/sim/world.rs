//! The world around the engine, in one place behind one lock: nodes, agenda, routes, and whether the service lives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bunraku_actors::model::{CertName, TransactionId};
use bunraku_actors::ports::{RunSignal, SignalOutlet};
use bunraku_actors::testing::{Chance, FixedClock};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::book::Book;
use crate::fleet::{Event, Node, word};
use crate::ground::{Agenda, Moment, WallClock, later};
use crate::plan::{Plan, Weather};

/// Who waits for answers about a run.
#[derive(Debug)]
struct Route {
    outlet: SignalOutlet,
    ended: bool,
}

/// Whether there is a service, and when it crashes.
#[derive(Debug, Default)]
struct Life {
    alive: bool,
    /// So many calls from now; `None` is never.
    fuse: Option<u64>,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) chance: Chance,
    pub(crate) weather: Weather,
    pub(crate) nodes: Vec<Node>,
    pub(crate) agenda: Agenda<Event>,
    pub(crate) generation: u64,
    pub(crate) book: Book,
    routes: BTreeMap<TransactionId, Route>,
    watches: BTreeMap<(CertName, u64), SignalOutlet>,
    /// How often the request of a run was handed over.
    requests: BTreeMap<TransactionId, u64>,
    life: Life,
    /// The store takes no writes until then.
    pub(crate) store_down_until: Moment,
    /// So many appends fail for good.
    pub(crate) failures: u32,
    now: Moment,
    steps: Option<Vec<String>>,
}

/// The world; shared by transport, store and story.
#[derive(Debug)]
pub(crate) struct World {
    state: Mutex<State>,
    pub(crate) wall: Arc<WallClock>,
    pub(crate) truth: Arc<FixedClock>,
    /// The service crashed.
    pub(crate) died: Notify,
    /// Something was put on the agenda.
    changed: Notify,
}

impl World {
    pub(crate) fn new(plan: &Plan, chance: Chance, traced: bool) -> Arc<Self> {
        let truth = Arc::new(FixedClock::default());
        let wall = Arc::new(WallClock::new(Arc::clone(&truth)));
        let now = wall.truth();
        let nodes = plan.nodes.iter().zip(&plan.kinds).zip(1..);
        let nodes = nodes.map(|((name, kind), spool_id)| Node::new(name.clone(), *kind, spool_id)).collect();
        let mut state = State {
            chance,
            weather: plan.weather.clone(),
            nodes,
            agenda: Agenda::default(),
            generation: 0,
            book: Book::new(Arc::new(plan.limits.clone())),
            routes: BTreeMap::new(),
            watches: BTreeMap::new(),
            requests: BTreeMap::new(),
            life: Life::default(),
            store_down_until: now,
            failures: 0,
            now,
            steps: traced.then(Vec::new),
        };
        for (node, _) in plan.absent.iter().enumerate().filter(|(_, absent)| !**absent) {
            let at = later(now, state.chance.millis(1, 3_000));
            state.agenda.add(at, Event::Connect { node, agent: 0 });
        }
        Arc::new(Self { state: Mutex::new(state), wall, truth, died: Notify::new(), changed: Notify::new() })
    }

    /// The state as of now. Whoever waits for the agenda looks at it anew.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        state.now = self.wall.truth();
        self.changed.notify_one();
        state
    }

    /// One call of the engine to a port. False when the service is dead by now: the call has no effect.
    pub(crate) fn call(&self, what: &str) -> Option<MutexGuard<'_, State>> {
        let mut state = self.lock();
        if !state.life.alive {
            return None;
        }
        match &mut state.life.fuse {
            Some(0) => {
                state.life.alive = false;
                state.note(|_| format!("CRASH at {what}"));
                self.died.notify_one();
                return None;
            }
            Some(fuse) => *fuse -= 1,
            None => {}
        }
        Some(state)
    }

    /// As [`World::call`], for calls that wait: one of a dead service never comes back.
    pub(crate) async fn reach(&self, what: &str) {
        if self.call(what).is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Lets happen what is due, for ever.
    pub(crate) async fn go_on(&self) {
        loop {
            let next = {
                let mut state = self.state.lock();
                let now = self.wall.truth();
                state.now = now;
                while let Some(event) = state.agenda.due(now) {
                    state.happen(event, now);
                }
                state.agenda.next_at().map(|at| (at - now).to_std().unwrap_or(Duration::ZERO))
            };
            let due = async {
                match next {
                    // Timers of the runtime have whole milliseconds.
                    Some(left) => tokio::time::sleep(left.max(Duration::from_millis(1))).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.changed.notified() => {}
                () = due => {}
            }
        }
    }

    pub(crate) fn take_steps(&self) -> Vec<String> {
        self.state.lock().steps.take().unwrap_or_default()
    }
}

impl State {
    pub(crate) fn is_alive(&self) -> bool {
        self.life.alive
    }

    /// A service starts, and crashes after so many calls.
    pub(crate) fn bring_up(&mut self, fuse: Option<u64>) {
        self.life = Life { alive: true, fuse };
        self.note(|_| "the service starts".into());
    }

    /// The service is gone, and all sessions with it.
    pub(crate) fn take_down(&mut self) {
        self.note(|_| "the service is gone".into());
        self.life = Life::default();
        self.routes.clear();
        self.watches.clear();
        let now = self.now;
        for node in 0..self.nodes.len() {
            let away = self.chance.millis(100, 5_000);
            self.disconnect(node, away, now);
        }
    }

    /// Writes a step down, if they are wanted.
    pub(crate) fn note(&mut self, step: impl FnOnce(&Self) -> String) {
        if self.steps.is_some() {
            let line = format!("{} {}", self.now.format("%H:%M:%S%.3f"), step(self));
            self.steps.get_or_insert_default().push(line);
        }
    }

    pub(crate) fn now(&self) -> Moment {
        self.now
    }

    /// When something that is sent now arrives.
    pub(crate) fn delayed(&mut self, now: Moment) -> Moment {
        let most = self.weather.delay_ms;
        later(now, self.chance.millis(0, most))
    }

    pub(crate) fn place_of(&self, name: &CertName) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == *name)
    }

    pub(crate) fn hand_over(&mut self, transaction: TransactionId) {
        *self.requests.entry(transaction).or_default() += 1;
    }

    pub(crate) fn handed_over(&self, transaction: TransactionId) -> u64 {
        self.requests.get(&transaction).copied().unwrap_or_default()
    }

    // Who waits for what.

    pub(crate) fn expect(&mut self, transaction: TransactionId, outlet: SignalOutlet) {
        self.routes.insert(transaction, Route { outlet, ended: false });
    }

    pub(crate) fn forget(&mut self, transaction: TransactionId) {
        self.routes.remove(&transaction);
    }

    pub(crate) fn watch(&mut self, node: &CertName, watcher: u64, outlet: SignalOutlet) {
        self.watches.insert((node.clone(), watcher), outlet);
    }

    pub(crate) fn unwatch(&mut self, node: &CertName, watcher: u64) {
        self.watches.remove(&(node.clone(), watcher));
    }

    /// Open routes and watches.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.routes.len(), self.watches.len())
    }

    pub(crate) fn tell_watchers(&mut self, node: usize, signal: &RunSignal) {
        if !self.life.alive {
            return;
        }
        let name = &self.nodes[node].name;
        for (_, outlet) in self.watches.range((name.clone(), 0)..).take_while(|((watched, _), _)| watched == name) {
            outlet.send(signal.clone());
        }
    }

    /// Hands a signal to whoever waits for it; what follows an end is dropped.
    pub(crate) fn signal(&mut self, transaction: TransactionId, signal: RunSignal) {
        if !self.life.alive {
            return;
        }
        let Some(route) = self.routes.get_mut(&transaction) else { return };
        if route.ended {
            if signal == RunSignal::Accepted {
                self.book.tally.count("provisional after the end");
            }
            return;
        }
        route.ended = matches!(signal, RunSignal::Ended(_));
        route.outlet.send(signal);
    }

    /// As [`State::signal`], for something that was on its way.
    pub(crate) fn deliver(&mut self, transaction: TransactionId, signal: RunSignal) {
        self.note(|_| format!("{transaction}: {}", word(&signal)));
        self.signal(transaction, signal);
    }
}
