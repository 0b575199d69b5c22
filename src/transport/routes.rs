//! Which transaction is waited for by whom, and which of our own queries ask about it.

use std::collections::{HashMap, VecDeque};

use bunraku_actors::model::{CertName, JobKind, TransactionId};
use bunraku_actors::ports::{RunSignal, SignalOutlet};
use uuid::Uuid;

/// Queries about one transaction whose answers are still taken; one more forgets the oldest.
const OPEN_QUERIES: usize = 4;

/// What a query of ours asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Status,
    Cancel,
}

/// A query that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) ask: Ask,
    pub(super) about: TransactionId,
}

/// A waited-for transaction.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) node: CertName,
    outlet: SignalOutlet,
    pub(super) kind: JobKind,
    /// The message id of the last request.
    request: Option<Uuid>,
    queries: VecDeque<Uuid>,
    ended: bool,
}

/// What an agent's answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    Run { transaction: TransactionId, kind: JobKind, ended: bool },
    Query { query: Query, kind: JobKind },
}

/// All waited-for transactions.
#[derive(Debug, Default)]
pub(super) struct Routes {
    routes: HashMap<TransactionId, Route>,
    /// Message ids of requests.
    requests: HashMap<Uuid, TransactionId>,
    /// Queries by their message id, which is also their own transaction id.
    queries: HashMap<Uuid, Query>,
}

impl Routes {
    /// Waits for a transaction, instead of whoever did so before.
    pub(super) fn expect(&mut self, node: &CertName, transaction: TransactionId, kind: JobKind, outlet: SignalOutlet) {
        match self.routes.get_mut(&transaction) {
            Some(route) if route.node == *node => {
                route.outlet = outlet;
                route.ended = false;
            }
            _ => {
                self.forget(transaction);
                let node = node.clone();
                let queries = VecDeque::new();
                let route = Route { node, outlet, kind, request: None, queries, ended: false };
                self.routes.insert(transaction, route);
            }
        }
    }

    /// Waits no longer.
    pub(super) fn forget(&mut self, transaction: TransactionId) {
        let Some(route) = self.routes.remove(&transaction) else { return };
        if let Some(request) = route.request {
            self.requests.remove(&request);
        }
        for query in route.queries {
            self.queries.remove(&query);
        }
    }

    /// Records that the run is being sent under this message id. Answers to earlier queries say nothing about it, and are
    /// taken no more.
    pub(super) fn sending(&mut self, transaction: TransactionId, request: Uuid) {
        let Some(route) = self.routes.get_mut(&transaction) else { return };
        for query in route.queries.drain(..) {
            self.queries.remove(&query);
        }
        if let Some(old) = route.request.replace(request) {
            self.requests.remove(&old);
        }
        self.requests.insert(request, transaction);
    }

    /// A new query about a transaction of this node; `None` when nobody waits for it.
    pub(super) fn query(&mut self, node: &CertName, about: TransactionId, ask: Ask) -> Option<Uuid> {
        let route = self.routes.get_mut(&about).filter(|route| route.node == *node)?;
        let id = Uuid::new_v4();
        if route.queries.len() >= OPEN_QUERIES
            && let Some(oldest) = route.queries.pop_front()
        {
            self.queries.remove(&oldest);
        }
        route.queries.push_back(id);
        self.queries.insert(id, Query { ask, about });
        Some(id)
    }

    /// What an answer with this transaction id from this node belongs to.
    pub(super) fn by_transaction(&self, node: &CertName, transaction: Uuid) -> Option<Match> {
        if let Some(query) = self.queries.get(&transaction) {
            return self.matched_query(node, *query);
        }
        self.matched_run(node, TransactionId(transaction))
    }

    /// What an error that names this message id belongs to.
    pub(super) fn by_message(&self, node: &CertName, message: Uuid) -> Option<Match> {
        if let Some(query) = self.queries.get(&message) {
            return self.matched_query(node, *query);
        }
        self.matched_run(node, *self.requests.get(&message)?)
    }

    fn matched_query(&self, node: &CertName, query: Query) -> Option<Match> {
        let route = self.routes.get(&query.about).filter(|route| route.node == *node)?;
        Some(Match::Query { query, kind: route.kind })
    }

    fn matched_run(&self, node: &CertName, transaction: TransactionId) -> Option<Match> {
        let route = self.routes.get(&transaction).filter(|route| route.node == *node)?;
        Some(Match::Run { transaction, kind: route.kind, ended: route.ended })
    }

    /// A query was answered: no second answer is taken.
    pub(super) fn answered(&mut self, query: Uuid) {
        if let Some(Query { about, .. }) = self.queries.remove(&query)
            && let Some(route) = self.routes.get_mut(&about)
        {
            route.queries.retain(|open| *open != query);
        }
    }

    /// Hands a signal to whoever waits; false when nobody does, or a final one was handed over already.
    pub(super) fn signal(&mut self, transaction: TransactionId, signal: RunSignal) -> bool {
        let Some(route) = self.routes.get_mut(&transaction) else { return false };
        if route.ended {
            return false;
        }
        route.ended = matches!(signal, RunSignal::Ended(_));
        route.outlet.send(signal);
        true
    }
}

#[cfg(test)]
mod tests {
    use bunraku_actors::inbox::Inbox;
    use bunraku_actors::model::RunOutcome;

    use super::*;

    fn ended() -> RunSignal {
        RunSignal::Ended(RunOutcome::Refused { description: "x".into() })
    }

    #[tokio::test]
    async fn answers_are_matched_by_transaction_and_node() {
        let (inbox, mut routes) = (Inbox::default(), Routes::default());
        let (a, b) = (CertName::parse("a").unwrap(), CertName::parse("b").unwrap());
        let (one, request) = (TransactionId(Uuid::from_u128(1)), Uuid::from_u128(9));
        routes.expect(&a, one, JobKind::Task, SignalOutlet::new(inbox.outlet(), 7));
        routes.sending(one, request);
        let run = Match::Run { transaction: one, kind: JobKind::Task, ended: false };
        assert_eq!(routes.by_transaction(&a, one.0), Some(run));
        assert_eq!(routes.by_message(&a, request), Some(run));
        assert_eq!(routes.by_transaction(&b, one.0), None, "another node's answer is none");
        assert_eq!(routes.query(&b, one, Ask::Status), None);
        assert!(routes.signal(one, ended()) && !routes.signal(one, ended()), "an end is handed over once");
        assert_eq!(inbox.take().await, [(7, ended())]);
        routes.expect(&a, one, JobKind::Task, SignalOutlet::new(inbox.outlet(), 8));
        assert!(routes.signal(one, RunSignal::Accepted), "whoever waits anew hears all again");
        routes.forget(one);
        assert!(!routes.signal(one, RunSignal::Accepted));
        assert!(routes.requests.is_empty() && routes.routes.is_empty());
    }

    #[test]
    fn what_was_asked_before_a_frame_was_sent_again_says_nothing_about_it() {
        let (inbox, mut routes) = (Inbox::default(), Routes::default());
        let (a, one) = (CertName::parse("a").unwrap(), TransactionId(Uuid::from_u128(1)));
        routes.expect(&a, one, JobKind::Task, SignalOutlet::new(inbox.outlet(), 7));
        let before = routes.query(&a, one, Ask::Status).unwrap();
        routes.sending(one, Uuid::from_u128(9));
        let after = routes.query(&a, one, Ask::Status).unwrap();
        assert_eq!(routes.by_transaction(&a, before), None);
        assert!(matches!(routes.by_transaction(&a, after), Some(Match::Query { .. })));
    }

    #[test]
    fn queries_are_bounded_answered_once_and_forgotten() {
        let (inbox, mut routes) = (Inbox::default(), Routes::default());
        let (a, one) = (CertName::parse("a").unwrap(), TransactionId(Uuid::from_u128(1)));
        routes.expect(&a, one, JobKind::Task, SignalOutlet::new(inbox.outlet(), 7));
        let ids: Vec<Uuid> = (0..=OPEN_QUERIES).map(|_| routes.query(&a, one, Ask::Status).unwrap()).collect();
        assert_eq!(routes.by_transaction(&a, ids[0]), None, "the oldest made room");
        let query = Query { ask: Ask::Status, about: one };
        assert_eq!(routes.by_transaction(&a, ids[1]), Some(Match::Query { query, kind: JobKind::Task }));
        routes.answered(ids[1]);
        assert_eq!(routes.by_transaction(&a, ids[1]), None);
        routes.forget(one);
        assert!(routes.queries.is_empty());
    }
}
