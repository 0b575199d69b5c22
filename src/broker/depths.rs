//! How much waits in the outgoing queues of all sessions together. Every queue keeps it up to date, so that a look costs
//! nothing per session.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::outbox::OUTBOX_CAPACITY;

/// Sessions by how many frames wait for them; those for which none waits are not counted.
#[derive(Debug)]
pub(super) struct Depths([AtomicUsize; OUTBOX_CAPACITY + 1]);

/// What waits at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueDepth {
    /// Frames in all queues.
    pub total: usize,
    /// Frames in the longest queue.
    pub most: usize,
}

impl Default for Depths {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicUsize::new(0)))
    }
}

impl Depths {
    /// A queue had so many frames, and has so many now.
    pub(super) fn moved(&self, from: usize, to: usize) {
        if to > 0 {
            self.0[to].fetch_add(1, Ordering::Relaxed);
        }
        if from > 0 {
            self.0[from].fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// What waits now.
    pub(super) fn read(&self) -> QueueDepth {
        let sessions = self.0.iter().map(|sessions| sessions.load(Ordering::Relaxed));
        let depths = sessions.enumerate().filter(|(_, sessions)| *sessions > 0);
        depths.fold(QueueDepth { total: 0, most: 0 }, |sum, (depth, sessions)| QueueDepth {
            total: sum.total + depth * sessions,
            most: depth,
        })
    }
}
