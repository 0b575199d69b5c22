//! When the turns of a schedule are: pure arithmetic on times.
//!
//! Intervals count elapsed seconds from the first turn, whatever the clocks of people do. A cron expression is read on the
//! wall of its zone: what a change to summer time leaves out happens once, right after the gap; what happens twice in
//! autumn is done once, the first time.

use std::str::FromStr as _;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use serde::{Deserialize, Serialize};

/// Whether and how a schedule comes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recurrence {
    /// One turn, at its start.
    Once,
    /// At its start, and every so many seconds after it.
    Every { seconds: u64 },
    /// At the times of a cron expression of five fields, in a time zone; not before its start. An addition of ours.
    Cron { expression: String, zone: String },
}

/// Why a cron expression or its zone cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCron {
    /// Not the name of a zone.
    #[error("'{0}' is no time zone; write one such as Europe/Berlin or UTC")]
    Zone(String),
    /// Not an expression of five fields.
    #[error("'{expression}' is no cron expression of five fields: {reason}")]
    Expression { expression: String, reason: String },
    /// It names a day that there never is.
    #[error("'{0}' never comes")]
    Never(String),
}

impl Recurrence {
    /// The first turn of a schedule that starts then; `None` when there is none.
    ///
    /// # Errors
    /// See [`BadCron`].
    pub fn first(&self, start: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, BadCron> {
        match self {
            Self::Once | Self::Every { .. } => Ok(Some(start)),
            Self::Cron { expression, zone } => occurrence(expression, zone, start, true).map(Some),
        }
    }

    /// The first turn after `after`, which is not before the start; `None` when none follows.
    ///
    /// # Errors
    /// See [`BadCron`].
    pub fn next(&self, start: DateTime<Utc>, after: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, BadCron> {
        match self {
            Self::Once => Ok(Some(start).filter(|start| *start > after)),
            Self::Every { seconds } => Ok(every(start, *seconds, after)),
            Self::Cron { expression, zone } if after < start => occurrence(expression, zone, start, true).map(Some),
            Self::Cron { expression, zone } => occurrence(expression, zone, after, false).map(Some),
        }
    }
}

/// The first of `start`, `start + seconds`, … after `after`; `None` beyond the end of what times can hold.
fn every(start: DateTime<Utc>, seconds: u64, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if start > after {
        return Some(start);
    }
    let seconds = i64::try_from(seconds).ok().filter(|seconds| *seconds > 0)?;
    let turns = (after - start).num_seconds() / seconds + 1;
    start.checked_add_signed(TimeDelta::try_seconds(turns.checked_mul(seconds)?)?)
}

fn occurrence(expression: &str, zone: &str, from: DateTime<Utc>, inclusive: bool) -> Result<DateTime<Utc>, BadCron> {
    let zone = Tz::from_str(zone).map_err(|_| BadCron::Zone(zone.to_owned()))?;
    let found = parse(expression)?.find_next_occurrence(&from.with_timezone(&zone), inclusive);
    found.map(|time| time.with_timezone(&Utc)).map_err(|_| BadCron::Never(expression.to_owned()))
}

fn parse(expression: &str) -> Result<Cron, BadCron> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let refused = |reason: String| BadCron::Expression { expression: expression.to_owned(), reason };
    parser.parse(expression).map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn cron(expression: &str, zone: &str) -> Recurrence {
        Recurrence::Cron { expression: expression.to_owned(), zone: zone.to_owned() }
    }

    /// The turns from `start` on, `count` of them.
    fn turns(recurrence: &Recurrence, start: &str, count: usize) -> Vec<String> {
        let start = at(start);
        let mut found = Vec::new();
        let mut next = recurrence.first(start).unwrap();
        while let Some(turn) = next.filter(|_| found.len() < count) {
            found.push(turn.to_rfc3339());
            next = recurrence.next(start, turn).unwrap();
        }
        found
    }

    #[test]
    fn a_time_that_spring_leaves_out_comes_once_right_after_the_gap() {
        let found = turns(&cron("30 2 * * *", "Europe/Berlin"), "2026-03-28T00:00:00Z", 3);
        // 29 March 2026: 02:00 becomes 03:00, which is 01:00 UTC.
        assert_eq!(found, ["2026-03-28T01:30:00+00:00", "2026-03-29T01:00:00+00:00", "2026-03-30T00:30:00+00:00"]);
    }

    #[test]
    fn a_time_that_autumn_has_twice_comes_the_first_time() {
        let found = turns(&cron("30 2 * * *", "Europe/Berlin"), "2026-10-24T00:00:00Z", 3);
        // 25 October 2026: 03:00 becomes 02:00; the first 02:30 is 00:30 UTC.
        assert_eq!(found, ["2026-10-24T00:30:00+00:00", "2026-10-25T00:30:00+00:00", "2026-10-26T01:30:00+00:00"]);
    }

    #[test]
    fn an_interval_counts_seconds_across_a_change_of_the_clocks() {
        let found = turns(&Recurrence::Every { seconds: 86_400 }, "2026-03-28T01:30:00Z", 3);
        assert_eq!(found, ["2026-03-28T01:30:00+00:00", "2026-03-29T01:30:00+00:00", "2026-03-30T01:30:00+00:00"]);
    }

    #[test]
    fn once_is_once() {
        assert_eq!(turns(&Recurrence::Once, "2026-03-28T01:30:00Z", 3).len(), 1);
    }

    #[test]
    fn what_cannot_be_a_schedule_is_refused_with_its_text() {
        let start = at("2026-01-01T00:00:00Z");
        let refusal = |expression: &str, zone: &str| cron(expression, zone).first(start).unwrap_err().to_string();
        assert!(refusal("30 2 * * *", "Mars/Olympus").contains("Mars/Olympus"));
        assert!(refusal("30 2 * *", "UTC").contains("'30 2 * *'"));
        assert!(refusal("0 30 2 * * *", "UTC").contains("five fields"));
        assert!(refusal("0 0 31 2 *", "UTC").contains("never"));
    }

    proptest! {
        #[test]
        fn turns_of_an_interval_go_on_and_lie_on_its_grid(
            seconds in 1u64..400_000, start in 0i64..4_000_000_000, later in 0i64..100_000_000,
        ) {
            let start = DateTime::from_timestamp(start, 0).unwrap();
            let after = start + TimeDelta::seconds(later);
            let next = Recurrence::Every { seconds }.next(start, after).unwrap().unwrap();
            prop_assert!(next > after && (next - after).num_seconds() as u64 <= seconds);
            prop_assert_eq!((next - start).num_seconds() as u64 % seconds, 0);
        }
    }
}
