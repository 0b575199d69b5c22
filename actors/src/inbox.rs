//! A batching mailbox between threads: many senders, one reader, one wake-up per batch.
//!
//! Sessions, the writer and the shared limits speak to actors through it. It is not bounded by itself: each entry stands
//! for a run, a watch or a grant that the reader asked for, so what waits is bounded by what the reader has open.

use std::sync::Arc;

use futures_util::stream::{self, Stream};
use parking_lot::Mutex;
use tokio::sync::Notify;

#[derive(Debug)]
struct Shared<T> {
    queue: Mutex<Vec<T>>,
    arrived: Notify,
}

/// The reading side; exactly one per inbox.
#[derive(Debug)]
pub struct Inbox<T>(Arc<Shared<T>>);

/// The sending side. Cheap to clone; sending never blocks and never fails.
#[derive(Debug)]
pub struct Outlet<T>(Arc<Shared<T>>);

impl<T> Clone for Outlet<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self(Arc::new(Shared { queue: Mutex::new(Vec::new()), arrived: Notify::new() }))
    }
}

impl<T> Inbox<T> {
    /// A sender into this inbox.
    #[must_use]
    pub fn outlet(&self) -> Outlet<T> {
        Outlet(Arc::clone(&self.0))
    }

    /// Waits until something is there and takes all of it, in order of arrival. Cancel-safe.
    pub async fn take(&self) -> Vec<T> {
        loop {
            let batch = std::mem::take(&mut *self.0.queue.lock());
            if !batch.is_empty() {
                return batch;
            }
            self.0.arrived.notified().await;
        }
    }

    /// The inbox as an endless stream of batches, for an actor's context.
    pub fn into_batches(self) -> impl Stream<Item = Vec<T>> {
        stream::unfold(self, |inbox| async move { Some((inbox.take().await, inbox)) })
    }
}

impl<T> Outlet<T> {
    /// Appends one entry; wakes the reader only when it slept on an empty inbox.
    pub fn send(&self, entry: T) {
        let was_empty = {
            let mut queue = self.0.queue.lock();
            let was_empty = queue.is_empty();
            queue.push(entry);
            was_empty
        };
        if was_empty {
            self.0.arrived.notify_one();
        }
    }

    /// Appends many entries with one wake-up.
    pub fn send_all(&self, entries: impl IntoIterator<Item = T>) {
        let was_empty = {
            let mut queue = self.0.queue.lock();
            let was_empty = queue.is_empty();
            queue.extend(entries);
            was_empty && !queue.is_empty()
        };
        if was_empty {
            self.0.arrived.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everything_arrives_once_in_order() {
        let inbox = Inbox::default();
        let outlet = inbox.outlet();
        let sender = std::thread::spawn(move || (0..1_000).for_each(|n| outlet.send(n)));
        let mut seen = Vec::new();
        while seen.len() < 1_000 {
            seen.extend(inbox.take().await);
        }
        sender.join().unwrap();
        assert_eq!(seen, (0..1_000).collect::<Vec<_>>());
    }
}
