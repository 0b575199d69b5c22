//! The memory of messages that are being received, bounded over all sessions.
//!
//! A message of more than [`SMALL`] bytes takes its bytes from a shared budget before they are read, and gives them back
//! when it was handled. Whoever finds the budget used up does not read until it is its turn, so that the peer's own socket
//! keeps the bytes. Smaller messages take nothing and never wait, whoever holds the budget: what they cost is bounded by
//! the number of sessions. What a message becomes once it was read, JSON and events, is not counted here.
//!
//! Why nobody waits forever:
//!
//! - A message takes all that it will ever need at once, while its session holds nothing. So whoever holds never waits for
//!   more, and there is no circle. The length of a frame stands in its head; a message in fragments does not tell its own,
//!   and takes as much as the largest message once it outgrows [`SMALL`]. Its last frame tells the length, and what is too
//!   much goes back. Taking the bytes as they arrive would be closer to what is there, but then many halves of messages
//!   could fill the budget, each waiting for its rest.
//! - The budget is at least as large as the largest message, so no wish is too large.
//! - Wishes are granted in the order in which they came: a large one is not passed by small ones forever.
//! - Whoever holds has a deadline ([`deadline`]), however busily it sends a byte now and then, and loses its session after
//!   it. Whoever waits longer than the idle time-out gives up. The handling of a message waits for no other session.
//!
//! The price: bytes count from the moment in which they are announced. Peers that announce and do not send can delay other
//! large messages until their deadlines, never small ones; they have certificates, and the log names them when their
//! deadline ends them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Messages up to this size take nothing and never wait.
pub(super) const SMALL: usize = 64 * 1024;
/// What the budget is counted in; every share is rounded up to it.
const UNIT: usize = 1024;
/// Bytes a second that a large message may be expected to arrive with.
const PACE: usize = 64 * 1024;

/// What large messages hold at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receiving {
    /// Bytes of the budget that are taken.
    pub bytes: usize,
    /// Messages that wait for theirs.
    pub waiting: usize,
}

/// The budget. Shared by all sessions.
#[derive(Debug)]
pub(super) struct Inflight {
    free: Arc<Semaphore>,
    units: u32,
    used: Arc<AtomicUsize>,
    waiting: AtomicUsize,
}

/// Part of the budget, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    permit: OwnedSemaphorePermit,
    used: Arc<AtomicUsize>,
}

impl Inflight {
    /// A budget of so many bytes, or of the largest message, whichever is more.
    pub(super) fn new(bytes: usize, largest: usize) -> Arc<Self> {
        let units = units(largest).max(u32::try_from(bytes / UNIT).unwrap_or(u32::MAX));
        Arc::new(Self {
            free: Arc::new(Semaphore::new(usize::try_from(units).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS))),
            units,
            used: Arc::default(),
            waiting: AtomicUsize::new(0),
        })
    }

    /// Takes so many bytes, at most those of the largest message, when it is their turn. Cancel-safe.
    pub(super) async fn take(&self, bytes: usize) -> Share {
        let units = units(bytes).min(self.units);
        let waiting = Waiting::new(&self.waiting);
        let permit = Arc::clone(&self.free).acquire_many_owned(units).await.expect("the budget is never closed");
        drop(waiting);
        self.used.fetch_add(permit.num_permits(), Ordering::Relaxed);
        Share { permit, used: Arc::clone(&self.used) }
    }

    /// What is taken now.
    pub(super) fn read(&self) -> Receiving {
        Receiving {
            bytes: self.used.load(Ordering::Relaxed).saturating_mul(UNIT),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }
}

impl Share {
    /// Gives back what is more than so many bytes.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let needed = usize::try_from(units(bytes)).unwrap_or(usize::MAX);
        let surplus = self.permit.num_permits().saturating_sub(needed);
        if let Some(surplus) = self.permit.split(surplus) {
            self.used.fetch_sub(surplus.num_permits(), Ordering::Relaxed);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.used.fetch_sub(self.permit.num_permits(), Ordering::Relaxed);
    }
}

/// Counts somebody who waits until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// So long a message may take that has so many bytes of the budget, on sessions that may be silent for `idle`.
pub(super) fn deadline(idle: Duration, bytes: usize) -> Duration {
    idle.saturating_add(Duration::from_secs((bytes / PACE) as u64))
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn what_is_taken_comes_back_and_is_granted_in_order() {
        let inflight = Inflight::new(10 * UNIT, 10 * UNIT);
        let mut first = inflight.take(8 * UNIT).await;
        let mut large = Box::pin(inflight.take(6 * UNIT));
        let mut small = Box::pin(inflight.take(1));
        assert!((&mut large).now_or_never().is_none());
        assert!((&mut small).now_or_never().is_none(), "two units are free, but the large one came first");
        assert_eq!(inflight.read(), Receiving { bytes: 8 * UNIT, waiting: 2 });
        first.shrink(3 * UNIT + 1);
        let large = large.await;
        assert_eq!(inflight.read(), Receiving { bytes: 10 * UNIT, waiting: 1 });
        drop(first);
        drop((large, small.await));
        assert_eq!(inflight.read(), Receiving { bytes: 0, waiting: 0 });
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_nothing_behind() {
        let inflight = Inflight::new(10 * UNIT, 10 * UNIT);
        let held = inflight.take(4 * UNIT).await;
        let mut waiting = Box::pin(inflight.take(10 * UNIT));
        assert!((&mut waiting).now_or_never().is_none());
        drop(waiting);
        drop(inflight.take(6 * UNIT).now_or_never().expect("the rest is free again"));
        drop(held);
        assert_eq!(inflight.read(), Receiving { bytes: 0, waiting: 0 });
    }

    #[tokio::test]
    async fn the_largest_message_always_fits() {
        let inflight = Inflight::new(0, 5 * UNIT + 1);
        assert!(inflight.take(5 * UNIT + 1).now_or_never().is_some());
        assert!(Inflight::new(UNIT, 0).take(usize::MAX).now_or_never().is_some());
    }

    #[test]
    fn a_deadline_grows_with_the_size() {
        let idle = Duration::from_secs(360);
        assert_eq!(deadline(idle, 64 << 20), Duration::from_secs(360 + 1024));
        assert_eq!(deadline(idle, 1), idle);
    }
}
