//! A batching mailbox between threads: many senders, one reader, one wake-up per batch.
//!
//! Sessions, the writer and the shared limits speak to actors through it. It is not bounded by itself: each entry stands
//! for a run, a watch or a grant that the reader asked for, so what waits is bounded by what the reader has open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::stream::{self, Stream};
use parking_lot::Mutex;
use tokio::sync::Notify;

#[derive(Debug)]
struct Shared<T> {
    queue: Mutex<Vec<T>>,
    arrived: Notify,
    outlets: AtomicUsize,
    closed: AtomicBool,
}

/// The reading side; exactly one per inbox.
#[derive(Debug)]
pub struct Inbox<T>(Arc<Shared<T>>);

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
    }
}

/// The sending side. Cheap to clone; sending never blocks and never fails.
#[derive(Debug)]
pub struct Outlet<T>(Arc<Shared<T>>);

impl<T> Clone for Outlet<T> {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl<T> Drop for Outlet<T> {
    fn drop(&mut self) {
        if self.0.outlets.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.arrived.notify_one();
        }
    }
}

/// Tells a reader whether anybody can still send.
#[derive(Debug)]
pub struct Senders<T>(Arc<Shared<T>>);

impl<T> Senders<T> {
    /// True when every outlet is dropped. What was sent before may still wait to be read.
    #[must_use]
    pub fn are_gone(&self) -> bool {
        self.0.outlets.load(Ordering::Acquire) == 0
    }
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self(Arc::new(Shared {
            queue: Mutex::new(Vec::new()),
            arrived: Notify::new(),
            outlets: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        }))
    }
}

impl<T> Inbox<T> {
    /// A sender into this inbox.
    #[must_use]
    pub fn outlet(&self) -> Outlet<T> {
        Outlet::new(&self.0)
    }

    /// A view of who can still send.
    #[must_use]
    pub fn senders(&self) -> Senders<T> {
        Senders(Arc::clone(&self.0))
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

    /// As [`Inbox::into_batches`], but the stream ends when every outlet is dropped and all that was sent is read.
    pub fn into_batches_while_open(self) -> impl Stream<Item = Vec<T>> {
        stream::unfold(self, |inbox| async move {
            let senders = inbox.senders();
            loop {
                // Asked before the queue is looked at: what the last sender left is then seen.
                let gone = senders.are_gone();
                let batch = std::mem::take(&mut *inbox.0.queue.lock());
                if !batch.is_empty() {
                    return Some((batch, inbox));
                }
                if gone {
                    return None;
                }
                inbox.0.arrived.notified().await;
            }
        })
    }
}

impl<T> Outlet<T> {
    fn new(shared: &Arc<Shared<T>>) -> Self {
        shared.outlets.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(shared))
    }

    /// False when the inbox was dropped: nobody will read what is sent.
    #[must_use]
    pub fn is_read(&self) -> bool {
        !self.0.closed.load(Ordering::Acquire)
    }

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
    use futures_util::StreamExt;

    use super::*;

    #[tokio::test]
    async fn a_stream_ends_with_its_last_sender() {
        let inbox = Inbox::default();
        let (one, senders) = (inbox.outlet(), inbox.senders());
        let other = one.clone();
        let mut batches = std::pin::pin!(inbox.into_batches_while_open());
        let dropping = async {
            tokio::task::yield_now().await;
            drop(one);
            assert!(!senders.are_gone());
            other.send(7);
            drop(other);
            assert!(senders.are_gone());
        };
        let reading = async { (batches.next().await, batches.next().await) };
        assert_eq!(tokio::join!(reading, dropping).0, (Some(vec![7]), None));
    }

    #[test]
    fn a_sender_can_tell_whether_anybody_reads() {
        let inbox = Inbox::<u8>::default();
        let outlet = inbox.outlet();
        let stream = inbox.into_batches();
        assert!(outlet.is_read());
        drop(stream);
        assert!(!outlet.is_read());
    }

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
