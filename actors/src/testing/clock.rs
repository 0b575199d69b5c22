//! A wall clock that follows tokio's, which tests pause.

use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::ports::Clock;

/// Begins at a fixed time and goes on as tokio's clock does, over any number of runtimes.
#[derive(Debug)]
pub struct FixedClock {
    base: Mutex<(DateTime<Utc>, Option<Instant>)>,
    idle: AtomicU64,
}

impl Default for FixedClock {
    fn default() -> Self {
        let start = DateTime::from_timestamp(1_772_366_400, 0).expect("a fixed time of the present century");
        Self { base: Mutex::new((start, None)), idle: AtomicU64::new(0) }
    }
}

impl FixedClock {
    /// Goes on from the present time with the clock of the runtime that is entered now.
    pub fn rebase(&self) {
        let mut base = self.base.lock();
        base.1 = Some(Instant::now());
    }

    /// Keeps the present time beyond the end of the runtime.
    pub fn freeze(&self) {
        let now = self.now();
        *self.base.lock() = (now, None);
    }

    /// How often it was told that nothing is open.
    pub fn idle(&self) -> u64 {
        self.idle.load(Ordering::Relaxed)
    }
}

impl Clock for FixedClock {
    fn now(&self) -> DateTime<Utc> {
        let (start, since) = *self.base.lock();
        let elapsed = since.map(|since| since.elapsed()).unwrap_or_default();
        start + TimeDelta::from_std(elapsed).unwrap_or(TimeDelta::zero())
    }

    fn nothing_is_open(&self) {
        self.idle.fetch_add(1, Ordering::Relaxed);
    }
}
