//! Whether the wall clock can be relied on for what is removed for good.
//!
//! A clock that jumps ahead by years, as after a wrong answer of a time server, would make everything too old at once. So
//! a jump, seen against the true time while the process runs or against the last look of an earlier one, means that nothing
//! is removed until the clock has stood for a day. Pure: times come in, a verdict goes out.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// What the clock may drift, or be corrected by, between two looks.
const SLACK: TimeDelta = TimeDelta::minutes(10);
/// How long the clock must stand after a jump, and how long a service may be away without that it looks like one.
const DAY: TimeDelta = TimeDelta::days(1);

/// What is known of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trust {
    /// The wall time of the last look.
    seen: DateTime<Utc>,
    /// Nothing is removed before this wall time.
    since: DateTime<Utc>,
}

impl Trust {
    /// Nothing is known yet: there is nothing old either.
    pub(super) fn first(now: DateTime<Utc>) -> Self {
        Self { seen: now, since: now }
    }

    /// The next look. `passed` is the true time since the last one; `None` when the process was started since.
    pub(super) fn later(self, now: DateTime<Utc>, passed: Option<Duration>) -> Self {
        let passed = passed.map(|passed| TimeDelta::from_std(passed).unwrap_or(TimeDelta::MAX));
        let ahead = match passed {
            Some(passed) => now - self.seen - passed > SLACK,
            None => now - self.seen > DAY,
        };
        let back = now < self.seen - SLACK;
        let since = if ahead || back { now + DAY } else { self.since };
        Self { seen: now, since }
    }

    /// Whether what is too old may be removed.
    pub(super) fn holds(self, now: DateTime<Utc>) -> bool {
        self.since <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap() + TimeDelta::hours(hours)
    }

    /// Looks every hour for so many hours from this one on.
    fn stands(mut trust: Trust, from: i64, hours: i64) -> Trust {
        for hour in from..from + hours {
            trust = trust.later(at(hour), Some(HOUR));
        }
        trust
    }

    #[test]
    fn a_clock_that_goes_on_is_relied_on() {
        let trust = stands(Trust::first(at(0)), 1, 100);
        assert!(trust.holds(at(100)));
        let restarted = trust.later(at(102), None);
        assert!(restarted.holds(at(102)), "a restart is no jump");
    }

    #[test]
    fn a_jump_ahead_of_ten_years_removes_nothing_for_a_day() {
        const YEARS: i64 = 87_600;
        let jumped = Trust::first(at(0)).later(at(YEARS), Some(HOUR));
        assert!(!jumped.holds(at(YEARS)));
        assert!(!stands(jumped, YEARS + 1, 23).holds(at(YEARS + 23)));
        assert!(stands(jumped, YEARS + 1, 24).holds(at(YEARS + 24)), "it is believed when it stays");
        let restarted = Trust::first(at(0)).later(at(YEARS), None).later(at(YEARS + 1), None);
        assert!(!restarted.holds(at(YEARS + 1)), "a restart does not make it believed");
    }

    #[test]
    fn a_clock_that_is_put_right_again_is_relied_on_after_a_day() {
        let wrong = Trust::first(at(0)).later(at(87_600), Some(HOUR));
        let right = wrong.later(at(2), Some(HOUR));
        assert!(!right.holds(at(2)));
        assert!(stands(right, 3, 24).holds(at(26)), "and not after ten years");
    }

    #[test]
    fn a_service_that_was_away_for_long_waits_a_day() {
        let back = Trust::first(at(0)).later(at(24 * 60), None);
        assert!(!back.holds(at(24 * 60)));
        assert!(stands(back, 24 * 60 + 1, 24).holds(at(24 * 61)));
    }
}
