//! Inventory subscriptions of controllers: which changes each of them still has to see.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::wire::pcp::Uri;

/// Data of `inventory_request`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InventoryRequest {
    pub(super) query: Vec<Uri>,
    #[serde(default)]
    pub(super) subscribe: bool,
}

/// Data of `inventory_response`.
#[derive(Debug, Serialize)]
pub(super) struct InventoryResponse {
    pub(super) uris: Vec<Uri>,
}

/// Data of `inventory_update`.
#[derive(Debug, Serialize)]
pub(super) struct InventoryUpdate {
    pub(super) changes: Vec<ChangeEntry>,
}

/// One change of an update.
#[derive(Debug, Serialize)]
pub(super) struct ChangeEntry {
    pub(super) client: Uri,
    pub(super) change: i8,
}

/// What happened to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Connected,
    Disconnected,
}

impl Change {
    /// The number on the wire.
    pub(super) fn number(self) -> i8 {
        match self {
            Self::Connected => 1,
            Self::Disconnected => -1,
        }
    }
}

#[derive(Debug)]
struct Subscription {
    generation: u64,
    patterns: Vec<Uri>,
    /// Taken every second, so it holds at most the comings and goings of one second.
    pending: Vec<(Uri, Change)>,
}

/// One subscription per client URI.
#[derive(Debug, Default)]
pub(super) struct Subscriptions(BTreeMap<Uri, Subscription>);

impl Subscriptions {
    /// Starts, or replaces, the subscription of a client.
    pub(super) fn set(&mut self, subscriber: Uri, generation: u64, patterns: Vec<Uri>) {
        self.0.insert(subscriber, Subscription { generation, patterns, pending: Vec::new() });
    }

    /// Ends the subscription that this session, or an older one of the client, made.
    pub(super) fn cancel(&mut self, subscriber: &Uri, generation: u64) {
        if self.0.get(subscriber).is_some_and(|subscription| subscription.generation <= generation) {
            self.0.remove(subscriber);
        }
    }

    /// Records a change for everyone who asked for it.
    pub(super) fn note(&mut self, client: &Uri, change: Change) {
        for subscription in self.0.values_mut() {
            if subscription.patterns.iter().any(|pattern| pattern.matches(client)) {
                subscription.pending.push((client.clone(), change));
            }
        }
    }

    /// Whether nobody has anything to see.
    pub(super) fn is_quiet(&self) -> bool {
        self.0.values().all(|subscription| subscription.pending.is_empty())
    }

    /// Takes what each subscriber has to see, in order of occurrence.
    pub(super) fn take(&mut self) -> Vec<(Uri, Vec<(Uri, Change)>)> {
        let waiting = self.0.iter_mut().filter(|(_, subscription)| !subscription.pending.is_empty());
        waiting
            .map(|(subscriber, subscription)| (subscriber.clone(), std::mem::take(&mut subscription.pending)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscribers_see_what_they_asked_for_once() {
        let mut subscriptions = Subscriptions::default();
        let (ctl, web, db) = (Uri::of("c", "controller"), Uri::of("web", "agent"), Uri::of("db", "agent"));
        subscriptions.set(ctl.clone(), 5, vec![Uri::of("web", "*")]);
        for client in [&web, &db] {
            subscriptions.note(client, Change::Connected);
        }
        subscriptions.note(&web, Change::Disconnected);
        let expected = vec![(web.clone(), Change::Connected), (web.clone(), Change::Disconnected)];
        assert_eq!(subscriptions.take(), [(ctl.clone(), expected)]);
        assert!(subscriptions.is_quiet() && subscriptions.take().is_empty());
        subscriptions.cancel(&ctl, 4);
        subscriptions.note(&web, Change::Connected);
        assert!(!subscriptions.is_quiet(), "an older session's end does not cancel a newer one's subscription");
        subscriptions.cancel(&ctl, 5);
        assert!(subscriptions.is_quiet());
    }
}
