//! A wall clock that follows tokio's, which tests pause.

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::ports::Clock;

/// Begins at a fixed time and goes on as tokio's clock does, over any number of runtimes.
#[derive(Debug)]
pub struct FixedClock(Mutex<(DateTime<Utc>, Option<Instant>)>);

impl Default for FixedClock {
    fn default() -> Self {
        let start = DateTime::from_timestamp(1_772_366_400, 0).expect("a fixed time of the present century");
        Self(Mutex::new((start, None)))
    }
}

impl FixedClock {
    /// Goes on from the present time with the clock of the runtime that is entered now.
    pub fn rebase(&self) {
        let mut base = self.0.lock();
        base.1 = Some(Instant::now());
    }

    /// Keeps the present time beyond the end of the runtime.
    pub fn freeze(&self) {
        let now = self.now();
        *self.0.lock() = (now, None);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> DateTime<Utc> {
        let (start, since) = *self.0.lock();
        let elapsed = since.map(|since| since.elapsed()).unwrap_or_default();
        start + TimeDelta::from_std(elapsed).unwrap_or(TimeDelta::zero())
    }
}
