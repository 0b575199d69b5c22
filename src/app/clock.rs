//! The time by which the service works: the machine's, but for its jumps.
//!
//! Deadlines are absolute times. When somebody puts the machine's clock right by two hours, no run has become two hours
//! older, and none may be ended for it. So the service's time goes on as before a jump and makes up for it slowly, by at
//! most a tenth of the time that passes: every bound holds within that tenth, and it never goes back. While nothing is
//! open it takes the machine's time at once. See `docs/adr/0012-time-without-jumps.md`.

use bunraku_actors::ports::Clock;
use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use tokio::time::Instant;

/// The part of the passed time by which it may be faster or slower, one in so many.
const SLOWNESS: i32 = 10;
/// A difference that is told of. Smaller ones are made up for within minutes.
const JUMP: TimeDelta = TimeDelta::seconds(30);

/// The machine's clock, as it stands.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// The machine's clock without its jumps. One for the whole process.
#[derive(Debug)]
pub struct SteadyClock(Mutex<Reading>);

/// What was shown last, when, and how far from the machine's time that was.
#[derive(Debug)]
struct Reading {
    shown: DateTime<Utc>,
    at: Instant,
    apart: bool,
}

impl Default for SteadyClock {
    fn default() -> Self {
        Self(Mutex::new(Reading { shown: Utc::now(), at: Instant::now(), apart: false }))
    }
}

impl Reading {
    /// Goes on to `at`, at which the machine's clock shows `machine`.
    fn go_on(&mut self, machine: DateTime<Utc>, at: Instant) -> DateTime<Utc> {
        let passed = TimeDelta::from_std(at.saturating_duration_since(self.at)).unwrap_or_default();
        let steady = self.shown + passed;
        let apart = machine - steady;
        let most = passed / SLOWNESS;
        self.shown = steady + apart.clamp(-most, most);
        self.at = at;
        if !self.apart && apart.abs() > JUMP {
            self.apart = true;
            tracing::warn!(seconds = apart.num_seconds(), "the clock jumped: times of the service follow slowly");
        } else if self.apart && apart.abs() < JUMP / 2 {
            self.apart = false;
            tracing::info!("the service has the machine's time again");
        }
        self.shown
    }

    /// Takes the machine's time.
    fn catch_up(&mut self, machine: DateTime<Utc>, at: Instant) {
        self.go_on(machine, at);
        // Small differences are made up for as usual: that is no reason to go back.
        if self.apart {
            *self = Self { shown: machine, at, apart: false };
            tracing::info!("nothing is open: the service takes the machine's time");
        }
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> DateTime<Utc> {
        // Read under the lock, so that the order of the readings is that of the times.
        let mut reading = self.0.lock();
        reading.go_on(Utc::now(), Instant::now())
    }

    fn nothing_is_open(&self) {
        self.0.lock().catch_up(Utc::now(), Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn reading(at: Instant) -> Reading {
        Reading { shown: DateTime::UNIX_EPOCH, at, apart: false }
    }

    #[test]
    fn a_jump_is_made_up_for_by_a_tenth_of_the_time() {
        let begin = Instant::now();
        for hours in [-2, 2] {
            let mut clock = reading(begin);
            let jump = TimeDelta::hours(hours);
            let show = |clock: &mut Reading, minutes: i64| {
                let passed = TimeDelta::minutes(minutes);
                let shown = clock.go_on(DateTime::UNIX_EPOCH + passed + jump, begin + passed.to_std().unwrap());
                (shown - DateTime::UNIX_EPOCH - passed).num_minutes()
            };
            assert_eq!(show(&mut clock, 60), 6 * hours.signum());
            assert_eq!(show(&mut clock, 600), 60 * hours.signum());
            assert_eq!(show(&mut clock, 1_200), 120 * hours.signum());
            assert_eq!(show(&mut clock, 2_000), 120 * hours.signum(), "and no further");
        }
    }

    #[test]
    fn while_nothing_is_open_the_time_is_the_machines() {
        let begin = Instant::now();
        let year_later = DateTime::UNIX_EPOCH + TimeDelta::days(365);
        let mut clock = reading(begin);
        clock.catch_up(year_later, begin);
        assert_eq!(clock.go_on(year_later, begin), year_later);
        let second = Duration::from_secs(1);
        let shown = clock.go_on(year_later, begin + second);
        clock.catch_up(year_later, begin + second);
        assert_eq!(clock.go_on(year_later, begin + second), shown, "small differences are no reason to go back");
    }

    proptest! {
        /// Whatever the machine's clock does: never back, and never off the passed time by more than a tenth.
        #[test]
        fn it_goes_on_steadily(steps in proptest::collection::vec((0_u64..5_000, -9_000_i64..9_000), 1..50)) {
            let begin = Instant::now();
            let mut clock = reading(begin);
            let (mut passed, mut last) = (Duration::ZERO, DateTime::UNIX_EPOCH);
            for (step, machine) in steps {
                passed += Duration::from_secs(step);
                let shown = clock.go_on(DateTime::UNIX_EPOCH + TimeDelta::seconds(machine), begin + passed);
                let went = (shown - last).num_milliseconds();
                let step = i64::try_from(step).unwrap() * 1_000;
                prop_assert!(went >= step - step / 10 && went <= step + step / 10, "{went} in {step}");
                last = shown;
            }
        }
    }
}
