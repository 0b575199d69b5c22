//! What everything stands on: the true time, and the wall clock that may jump away from it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bunraku_actors::ports::Clock;
use bunraku_actors::testing::FixedClock;
use chrono::{DateTime, TimeDelta, Utc};

/// A moment of the true time, which never jumps.
pub(crate) type Moment = DateTime<Utc>;

/// `after` later.
pub(crate) fn later(moment: Moment, after: Duration) -> Moment {
    moment + TimeDelta::from_std(after).unwrap_or(TimeDelta::zero())
}

/// The clock that the engine reads.
#[derive(Debug)]
pub(crate) struct WallClock {
    truth: Arc<FixedClock>,
    shift_ms: AtomicI64,
}

impl WallClock {
    pub(crate) fn new(truth: Arc<FixedClock>) -> Self {
        Self { truth, shift_ms: AtomicI64::new(0) }
    }

    /// Somebody sets the clock.
    pub(crate) fn jump(&self, seconds: i64) {
        self.shift_ms.fetch_add(seconds * 1_000, Ordering::Relaxed);
    }

    pub(crate) fn truth(&self) -> Moment {
        self.truth.now()
    }
}

impl Clock for WallClock {
    fn now(&self) -> DateTime<Utc> {
        self.truth.now() + TimeDelta::milliseconds(self.shift_ms.load(Ordering::Relaxed))
    }
}

/// What is still to come, in the order of time; among equals in the order in which it was decided.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    entries: BTreeMap<(Moment, u64), T>,
    next: u64,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), next: 0 }
    }
}

impl<T> Agenda<T> {
    pub(crate) fn add(&mut self, at: Moment, entry: T) {
        self.entries.insert((at, self.next), entry);
        self.next += 1;
    }

    /// When the next entry is due.
    pub(crate) fn next_at(&self) -> Option<Moment> {
        self.entries.keys().next().map(|(at, _)| *at)
    }

    /// The next entry that is due.
    pub(crate) fn due(&mut self, now: Moment) -> Option<T> {
        let first = self.entries.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}
