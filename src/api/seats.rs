//! How many connections the listener has, and how many it may have.
//!
//! Up to the limit all are welcome; from three quarters of it on none is kept after its answer, so that idle ones make
//! room. Some more than the limit are let in to be told so; beyond those, nobody is answered at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::connection::Room;

/// So many connections beyond the limit are told that there is no room.
const TOLD: usize = 64;

/// The counter of all connections of a listener, over its threads.
#[derive(Debug)]
pub(super) struct Seats {
    limit: usize,
    taken: AtomicUsize,
}

impl Seats {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, taken: AtomicUsize::new(0) }
    }

    /// A seat, or `None` when not even a refusal can be afforded.
    pub(super) fn take(self: &Arc<Self>) -> Option<(Seat, Room)> {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        let seat = Seat(Arc::clone(self));
        metrics::gauge!("bunraku_http_connections").increment(1.0);
        if before >= self.limit {
            metrics::counter!("bunraku_http_connections_refused_total").increment(1);
        }
        if before >= self.most() {
            return None;
        }
        Some((seat, if before < self.limit { Room::Enough } else { Room::None }))
    }

    /// Whether connections must make room for others after their answer.
    pub(super) fn are_scarce(&self) -> bool {
        self.taken.load(Ordering::Relaxed).saturating_mul(4) > self.limit.saturating_mul(3)
    }

    /// More than this are never there.
    pub(super) fn most(&self) -> usize {
        self.limit.saturating_add(TOLD)
    }
}

/// A place that a connection takes until it is dropped.
#[derive(Debug)]
pub(super) struct Seat(Arc<Seats>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
        metrics::gauge!("bunraku_http_connections").decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_told_then_enforced_and_seats_come_back() {
        let seats = Arc::new(Seats::new(4));
        let mut taken: Vec<_> = (0..4).map(|_| seats.take().unwrap()).collect();
        assert!(taken.iter().all(|(_, room)| *room == Room::Enough));
        assert!(seats.are_scarce());
        taken.extend((0..TOLD).map(|_| seats.take().unwrap()));
        assert!(taken[4..].iter().all(|(_, room)| *room == Room::None));
        assert!(seats.take().is_none());
        taken.truncate(3);
        assert!(!seats.are_scarce());
        assert!(seats.take().is_some_and(|(_, room)| room == Room::Enough));
    }
}
