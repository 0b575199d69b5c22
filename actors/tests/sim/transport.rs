//! The engine's transport in this world. Every call may be the last one of the service's life, or may panic.

use std::sync::Arc;

use bunraku_actors::model::{CertName, JobKind, TransactionId};
use bunraku_actors::ports::{Connection, RunRequest, SignalOutlet, Transport};

use crate::world::World;

/// What a panic on purpose says.
pub(crate) const ON_PURPOSE: &str = "a panic on purpose";

/// The transport.
pub(crate) struct SimTransport(pub(crate) Arc<World>);

impl SimTransport {
    /// Panics if the plan says so.
    fn spring(&self, node: &CertName) {
        let springs = {
            let mut state = self.0.lock();
            let place = state.place_of(node);
            let trap = place.filter(|_| state.is_alive()).map(|place| &mut state.nodes[place].trap);
            trap.is_some_and(|trap| std::mem::replace(trap, trap.saturating_sub(1)) > 0)
        };
        if springs {
            self.0.lock().note(|_| format!("PANIC at a call about {node}"));
            std::panic::panic_any(ON_PURPOSE);
        }
    }
}

impl Transport for SimTransport {
    fn expect(&self, _node: &CertName, transaction: TransactionId, _kind: JobKind, outlet: SignalOutlet) {
        if let Some(mut state) = self.0.call("expect") {
            state.expect(transaction, outlet);
        }
    }

    fn forget(&self, transaction: TransactionId) {
        if let Some(mut state) = self.0.call("forget") {
            state.forget(transaction);
        }
    }

    fn send(&self, run: RunRequest) {
        self.spring(&run.node);
        if let Some(mut state) = self.0.call("send") {
            let now = state.now();
            state.queue(run, now);
        }
    }

    fn query_status(&self, node: &CertName, transaction: TransactionId) {
        self.spring(node);
        if let Some(mut state) = self.0.call("query") {
            let now = state.now();
            state.ask(node, transaction, now);
        }
    }

    fn cancel(&self, node: &CertName, transaction: TransactionId) {
        self.spring(node);
        if let Some(mut state) = self.0.call("cancel") {
            let now = state.now();
            state.cancel(node, transaction, now);
        }
    }

    fn watch(&self, node: &CertName, watcher: u64, outlet: SignalOutlet) -> Option<Connection> {
        let mut state = self.0.call("watch")?;
        state.watch(node, watcher, outlet);
        let place = state.place_of(node)?;
        state.nodes[place].connection()
    }

    fn unwatch(&self, node: &CertName, watcher: u64) {
        // Also when an actor is dropped: no step of its own.
        let mut state = self.0.lock();
        if state.is_alive() {
            state.unwatch(node, watcher);
        }
    }

    fn connection(&self, node: &CertName) -> Option<Connection> {
        let state = self.0.call("connection")?;
        let place = state.place_of(node)?;
        state.nodes[place].connection()
    }

    fn connections(&self) -> Arc<[Connection]> {
        let state = self.0.lock();
        state.nodes.iter().filter_map(crate::fleet::Node::connection).collect()
    }
}
