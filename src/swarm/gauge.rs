//! What happens in a swarm, counted.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

/// Times of one kind.
#[derive(Debug, Default)]
pub struct Latencies(Mutex<Vec<u32>>);

/// How times are spread, in milliseconds; all 0 without any.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Percentiles {
    pub count: usize,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

impl Latencies {
    pub(super) fn add(&self, time: Duration) {
        self.0.lock().push(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
    }

    /// The spread so far.
    #[must_use]
    pub fn percentiles(&self) -> Percentiles {
        let mut times = self.0.lock().clone();
        times.sort_unstable();
        let Some(last) = times.len().checked_sub(1) else { return Percentiles::default() };
        let at = |percent: usize| f64::from(times[last * percent / 100]) / 1_000.0;
        Percentiles { count: times.len(), p50_ms: at(50), p90_ms: at(90), p99_ms: at(99), max_ms: at(100) }
    }
}

/// Counts of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Snapshot {
    pub connected: usize,
    /// Sessions that were cut, by whomever.
    pub sessions_lost: u64,
    /// Attempts to connect that failed.
    pub connects_failed: u64,
    pub runs_started: u64,
    pub runs_ended: u64,
    /// Requests under an id that the agent knows already.
    pub requests_repeated: u64,
    /// The most runs that went on at one moment.
    pub most_runs_at_once: u64,
}

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    pub(super) connected: AtomicUsize,
    pub(super) lost: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) started: AtomicU64,
    pub(super) ended: AtomicU64,
    pub(super) repeated: AtomicU64,
    going: AtomicU64,
    most: AtomicU64,
    /// Of the first session of each agent.
    pub(super) handshakes: Latencies,
    /// Of those who came back.
    pub(super) reconnects: Latencies,
    /// Read on every request; the time itself only on the first one.
    watching: AtomicBool,
    first_request: Mutex<Option<Instant>>,
}

impl Gauge {
    pub(super) fn snapshot(&self) -> Snapshot {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            connected: self.connected.load(Ordering::Relaxed),
            sessions_lost: count(&self.lost),
            connects_failed: count(&self.failed),
            runs_started: count(&self.started),
            runs_ended: count(&self.ended),
            requests_repeated: count(&self.repeated),
            most_runs_at_once: count(&self.most),
        }
    }

    /// A run begins.
    pub(super) fn started(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
        let going = self.going.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(going, Ordering::Relaxed);
    }

    /// A run is over. To be called before anybody is told, so that what comes next is never counted beside it.
    pub(super) fn ended(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        self.going.fetch_sub(1, Ordering::Relaxed);
    }

    /// From now on the most runs at once are those from now on.
    pub(super) fn forget_the_most(&self) {
        self.most.store(self.going.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    pub(super) fn watch_for_first_request(&self) {
        *self.first_request.lock() = None;
        self.watching.store(true, Ordering::Release);
    }

    /// A request came.
    pub(super) fn requested(&self) {
        if self.watching.load(Ordering::Relaxed) && self.watching.swap(false, Ordering::AcqRel) {
            *self.first_request.lock() = Some(Instant::now());
        }
    }

    pub(super) fn first_request(&self) -> Option<Instant> {
        *self.first_request.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_runs_at_once_are_those_of_the_busiest_moment_since_they_were_forgotten() {
        let gauge = Gauge::default();
        (0..3).for_each(|_| gauge.started());
        (0..2).for_each(|_| gauge.ended());
        gauge.started();
        assert_eq!(gauge.snapshot().most_runs_at_once, 3);
        gauge.forget_the_most();
        assert_eq!(gauge.snapshot().most_runs_at_once, 2, "those that go on");
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let times = Latencies::default();
        assert_eq!(times.percentiles(), Percentiles::default());
        (1..=101).rev().for_each(|ms| times.add(Duration::from_millis(ms)));
        let spread = times.percentiles();
        assert_eq!(
            (spread.count, spread.p50_ms, spread.p90_ms, spread.p99_ms, spread.max_ms),
            (101, 51.0, 91.0, 100.0, 101.0)
        );
    }
}
