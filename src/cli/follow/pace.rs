//! How fast a job goes, from the times of its events: by the server's clock, so that a job which is watched late, or over
//! a slow line, has the same pace for everybody.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// The pace is that of so long.
const WINDOW: TimeDelta = TimeDelta::seconds(60);
/// After less than that a pace would be a guess.
const TOO_EARLY: TimeDelta = TimeDelta::seconds(5);

/// What is known of a job's pace. Local times are counted from when the view began.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pace {
    begun: Option<DateTime<Utc>>,
    /// The newest time of the server, and when we heard of it.
    newest: Option<(DateTime<Utc>, Duration)>,
    /// When runs ended, within the last window.
    ends: VecDeque<DateTime<Utc>>,
}

impl Pace {
    /// Of a job that began then, if it has begun.
    pub(crate) fn new(begun: Option<DateTime<Utc>>) -> Self {
        Self { begun, ..Self::default() }
    }

    /// Takes the time of an event; `ended` when a run ended with it.
    pub(crate) fn apply(&mut self, time: DateTime<Utc>, heard: Duration, ended: bool) {
        self.begun.get_or_insert(time);
        if self.newest.is_none_or(|(newest, _)| newest <= time) {
            self.newest = Some((time, heard));
        }
        if ended {
            self.ends.push_back(time);
        }
        let oldest = time - WINDOW;
        while self.ends.front().is_some_and(|end| *end < oldest) {
            self.ends.pop_front();
        }
    }

    /// What the server's clock shows at this local time.
    fn now(&self, at: Duration) -> Option<DateTime<Utc>> {
        let (newest, heard) = self.newest?;
        Some(newest + TimeDelta::from_std(at.saturating_sub(heard)).ok()?)
    }

    /// For how long the job has been going on.
    pub(crate) fn elapsed(&self, at: Duration) -> Duration {
        let since = || (self.now(at)? - self.begun?).to_std().ok();
        since().unwrap_or(at)
    }

    /// How many runs end in a minute; nothing as long as nobody can know.
    pub(crate) fn per_minute(&self, at: Duration) -> Option<f64> {
        let now = self.now(at)?;
        let span = (now - self.begun?).min(WINDOW);
        if span < TOO_EARLY {
            return None;
        }
        let ended = self.ends.iter().filter(|end| **end > now - span).count();
        Some(ended as f64 * 60.0 / span.as_seconds_f64())
    }

    /// How long so many nodes take at this pace.
    pub(crate) fn left(&self, at: Duration, nodes: u64) -> Option<Duration> {
        let per_minute = self.per_minute(at).filter(|pace| *pace > 0.0)?;
        Duration::try_from_secs_f64(nodes as f64 * 60.0 / per_minute).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_772_366_400 + seconds, 0).unwrap()
    }

    #[test]
    fn the_pace_is_that_of_the_last_minute() {
        let mut pace = Pace::default();
        assert_eq!(
            (pace.per_minute(Duration::ZERO), pace.elapsed(Duration::from_secs(3))),
            (None, Duration::from_secs(3))
        );
        // One end a second for 100 seconds, of which we hear at once: the job was watched late.
        for second in 0..=100 {
            pace.apply(at(second), Duration::from_secs(7), second > 0);
        }
        assert_eq!(pace.per_minute(Duration::from_secs(7)), Some(60.0));
        assert_eq!(pace.left(Duration::from_secs(7), 90), Some(Duration::from_secs(90)));
        assert_eq!(pace.elapsed(Duration::from_secs(17)), Duration::from_secs(110));
        assert_eq!(pace.per_minute(Duration::from_secs(37)), Some(30.0), "half of the minute was silent");
        assert_eq!(pace.left(Duration::from_secs(200), 90), None, "nothing goes on any more");
    }

    #[test]
    fn at_the_beginning_nobody_knows() {
        let mut pace = Pace::new(Some(at(0)));
        pace.apply(at(2), Duration::ZERO, true);
        assert_eq!(pace.per_minute(Duration::ZERO), None);
        assert_eq!(pace.per_minute(Duration::from_secs(8)), Some(6.0));
    }
}
