//! Who wants to hear of which node's sessions.

use std::collections::HashMap;

use bunraku_actors::model::CertName;
use bunraku_actors::ports::{RunSignal, SignalOutlet};
use parking_lot::Mutex;

/// Watches by node. Each node has few watchers, so a list does.
#[derive(Debug, Default)]
pub(super) struct Watches(Mutex<HashMap<CertName, Vec<(u64, SignalOutlet)>>>);

impl Watches {
    /// Adds or replaces a watch, then reads with `present` what is known now. Nothing that happens later is missed.
    pub(super) fn add<T>(&self, node: &CertName, watcher: u64, outlet: SignalOutlet, present: impl FnOnce() -> T) -> T {
        let mut watches = self.0.lock();
        let watchers = watches.entry(node.clone()).or_default();
        watchers.retain(|(other, _)| *other != watcher);
        watchers.push((watcher, outlet));
        present()
    }

    /// Ends a watch.
    pub(super) fn remove(&self, node: &CertName, watcher: u64) {
        let mut watches = self.0.lock();
        if let Some(watchers) = watches.get_mut(node) {
            watchers.retain(|(other, _)| *other != watcher);
            if watchers.is_empty() {
                watches.remove(node);
            }
        }
    }

    /// Tells a node's watchers what `signal` makes of the present moment, if anything. The lock orders what they hear:
    /// a signal that is out of date by the time it is sent is corrected by a later one.
    pub(super) fn tell(&self, node: &CertName, signal: impl FnOnce() -> Option<RunSignal>) {
        let watches = self.0.lock();
        let Some(watchers) = watches.get(node) else { return };
        let Some(signal) = signal() else { return };
        for (_, outlet) in watchers {
            outlet.send(signal.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use bunraku_actors::inbox::Inbox;

    use super::*;

    #[tokio::test]
    async fn watchers_hear_of_their_node_until_they_stop() {
        let (watches, inbox) = (Watches::default(), Inbox::default());
        let (a, b) = (CertName::parse("a").unwrap(), CertName::parse("b").unwrap());
        watches.add(&a, 1, SignalOutlet::new(inbox.outlet(), 10), || ());
        watches.add(&a, 2, SignalOutlet::new(inbox.outlet(), 20), || ());
        watches.add(&a, 1, SignalOutlet::new(inbox.outlet(), 11), || ());
        watches.tell(&b, || Some(RunSignal::Disconnected));
        watches.tell(&a, || None);
        watches.remove(&a, 2);
        watches.tell(&a, || Some(RunSignal::Disconnected));
        assert_eq!(inbox.take().await, [(11, RunSignal::Disconnected)]);
        watches.remove(&a, 1);
        assert!(watches.0.lock().is_empty());
    }
}
