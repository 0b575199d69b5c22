//! The pauses between attempts to connect: doubling, with chance, and reset only by a connection that lasted.
//!
//! A server that accepts and closes at once is treated like one that refuses.

use std::time::Duration;

use rand::RngExt;

/// The first pause, before chance.
const FIRST: Duration = Duration::from_secs(1);
/// A connection that lived as long as this was a good one.
const STABLE: Duration = Duration::from_secs(30);
/// As many short connections in a row mean that another agent has the same name.
const SUPERSEDED: u32 = 5;

/// Counts failures in a row.
#[derive(Debug)]
pub(super) struct Backoff {
    longest: Duration,
    failures: u32,
    short_sessions: u32,
}

impl Backoff {
    /// No failure yet; `longest` is the longest pause.
    pub(super) fn new(longest: Duration) -> Self {
        Self { longest, failures: 0, short_sessions: 0 }
    }

    /// An attempt failed; the pause before the next one.
    pub(super) fn failed(&mut self) -> Duration {
        let pause = FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        pause.mul_f64(rand::rng().random_range(0.5..1.0))
    }

    /// A connection ended after `lived`; the pause before the next one.
    pub(super) fn ended(&mut self, lived: Duration) -> Duration {
        if lived >= STABLE {
            *self = Self::new(self.longest);
        } else {
            self.short_sessions = self.short_sessions.saturating_add(1);
        }
        self.failed()
    }

    /// Whether connections keep ending so soon that another agent with this name must be connected.
    pub(super) fn looks_superseded(&self) -> bool {
        self.short_sessions >= SUPERSEDED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(60);

    #[test]
    fn pauses_grow_to_a_minute_and_a_good_connection_resets_them() {
        let mut backoff = Backoff::new(LONGEST);
        let pauses: Vec<Duration> = (0..9).map(|_| backoff.failed()).collect();
        assert!(pauses[0] <= FIRST && pauses[0] >= FIRST / 2);
        assert!(pauses[8] <= LONGEST && pauses[8] >= LONGEST / 2);
        assert!(backoff.ended(STABLE) <= FIRST);
    }

    #[test]
    fn the_longest_pause_bounds_the_first_one_too() {
        let mut backoff = Backoff::new(FIRST / 4);
        assert!((0..9).all(|_| backoff.failed() <= FIRST / 4));
    }

    #[test]
    fn short_connections_slow_down_and_are_noticed() {
        let mut backoff = Backoff::new(LONGEST);
        for _ in 0..SUPERSEDED {
            assert!(!backoff.looks_superseded());
            backoff.ended(Duration::from_millis(200));
        }
        assert!(backoff.looks_superseded());
        assert!(backoff.ended(Duration::from_millis(200)) >= Duration::from_secs(10));
        backoff.ended(STABLE);
        assert!(!backoff.looks_superseded());
    }
}
