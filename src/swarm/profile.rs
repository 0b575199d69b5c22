//! How simulated agents behave.

use std::str::FromStr;
use std::time::Duration;

use rand::RngExt;

/// Why a profile's value is none.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error("'{0}' is no time such as 2s, nor two of them such as 1s..5s")]
    Span(String),
}

/// A time between two others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub least: Duration,
    pub most: Duration,
}

impl Span {
    /// No time at all.
    pub const NONE: Self = Self { least: Duration::ZERO, most: Duration::ZERO };

    /// Any of its times.
    pub(super) fn draw(self) -> Duration {
        rand::rng().random_range(self.least..=self.most)
    }
}

impl FromStr for Span {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ProfileError::Span(text.chars().take(80).collect());
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        let time = |text: &str| humantime::parse_duration(text.trim()).map_err(|_| wrong());
        let span = Self { least: time(least)?, most: time(most)? };
        if span.least > span.most { Err(wrong()) } else { Ok(span) }
    }
}

/// How a swarm behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// How long a run takes.
    pub run_time: Span,
    /// Which share of the runs fails, of 1.
    pub failing: f64,
    /// Bytes of output of a run.
    pub output: usize,
    /// Which share of the sessions is cut in a minute, of 1.
    pub dropping: f64,
    /// Which share of the agents takes seconds to answer anything, of 1.
    pub slow: f64,
    /// As pxp-agent: no cancel, no word of the catalog.
    pub pxp: bool,
}

/// How long a slow agent takes to answer.
const SLOWNESS: Span = Span { least: Duration::from_secs(1), most: Duration::from_secs(8) };

impl Profile {
    pub(super) fn fails(&self) -> bool {
        rand::rng().random_bool(self.failing.clamp(0.0, 1.0))
    }

    /// How long this agent takes to answer anything.
    pub(super) fn slowness(&self) -> Duration {
        if rand::rng().random_bool(self.slow.clamp(0.0, 1.0)) { SLOWNESS.draw() } else { Duration::ZERO }
    }

    /// How long a session lasts; `None` is as long as it can.
    pub(super) fn lifetime(&self) -> Option<Duration> {
        if self.dropping <= 0.0 {
            return None;
        }
        // Sessions are cut independently of their age, at a constant rate.
        let chance: f64 = rand::rng().random_range(f64::EPSILON..1.0);
        Some(Duration::from_secs_f64((-chance.ln() * 60.0 / self.dropping).min(1e6)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_one_time_or_two() {
        let seconds = Duration::from_secs;
        assert_eq!("2s".parse::<Span>().unwrap(), Span { least: seconds(2), most: seconds(2) });
        assert_eq!("1s..5s".parse::<Span>().unwrap(), Span { least: seconds(1), most: seconds(5) });
        for wrong in ["", "5s..1s", "2", "1s..", "a..b"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
        let span = "1s..5s".parse::<Span>().unwrap();
        assert!((0..100).all(|_| (span.least..=span.most).contains(&span.draw())));
    }
}
