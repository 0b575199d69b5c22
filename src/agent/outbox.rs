//! What is to be sent. Answers live as long as the connection; final answers are kept until one was written.
//!
//! Nothing here waits: whoever answers never blocks on a slow or absent connection.

use std::collections::{BTreeSet, VecDeque};

use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

/// Answers that may wait for the connection. When it is full a further one is dropped: the orchestrator asks again.
const ANSWERS_CAPACITY: usize = 1024;

/// The queue between the agent's work and its connection.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    connected: bool,
    answers: VecDeque<String>,
    /// Transactions whose final answer is owed; the answers themselves stand in the spool.
    finals: BTreeSet<Uuid>,
}

/// What to write next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A frame.
    Answer(String),
    /// The final answer of a transaction; to be confirmed by [`Outbox::sent`].
    Final(Uuid),
}

impl Outbox {
    /// Queues an answer for the present connection; without one it is dropped.
    pub(super) fn answer(&self, frame: String) {
        let mut state = self.state.lock();
        if !state.connected || state.answers.len() >= ANSWERS_CAPACITY {
            tracing::debug!(connected = state.connected, "dropped an answer");
            return;
        }
        state.answers.push_back(frame);
        drop(state);
        self.changed.notify_one();
    }

    /// Queues a final answer, for this connection or a later one.
    pub(super) fn finally(&self, transaction: Uuid) {
        self.state.lock().finals.insert(transaction);
        self.changed.notify_one();
    }

    /// A connection begins, or has ended: answers of an earlier one are dropped.
    pub(super) fn set_connected(&self, connected: bool) {
        let mut state = self.state.lock();
        state.connected = connected;
        state.answers.clear();
    }

    /// Waits for something to write. Answers first: a provisional one goes before its final one.
    pub(super) async fn next(&self) -> Next {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            self.changed.notified().await;
        }
    }

    fn take(&self) -> Option<Next> {
        let mut state = self.state.lock();
        let answer = state.answers.pop_front().map(Next::Answer);
        answer.or_else(|| state.finals.first().copied().map(Next::Final))
    }

    /// The final answer was written, or there is none to write.
    pub(super) fn sent(&self, transaction: Uuid) {
        self.state.lock().finals.remove(&transaction);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn finals_outlive_a_connection_and_answers_do_not() {
        let outbox = Outbox::default();
        outbox.answer("lost".into());
        outbox.set_connected(true);
        outbox.answer("first".into());
        let transaction = Uuid::new_v4();
        outbox.finally(transaction);
        assert_eq!(outbox.next().await, Next::Answer("first".into()));
        outbox.answer("dropped with its connection".into());
        outbox.set_connected(true);
        assert_eq!(outbox.next().await, Next::Final(transaction));
        assert_eq!(outbox.next().await, Next::Final(transaction), "until it is confirmed");
        outbox.sent(transaction);
        assert_eq!(outbox.take(), None);
    }

    #[test]
    fn a_full_queue_drops_the_newest() {
        let outbox = Outbox::default();
        outbox.set_connected(true);
        for number in 0..=ANSWERS_CAPACITY {
            outbox.answer(number.to_string());
        }
        assert_eq!(outbox.state.lock().answers.len(), ANSWERS_CAPACITY);
    }
}
