//! How model values stand in columns, both ways: names as text, times as microseconds, large values packed.
//!
//! A column that cannot be read back is an error of the row, never a panic: the file may be damaged.

use std::io::{Read, Write as _};

use bunraku_actors::model::{
    Attempt, Cause, CauseCounts, CertName, EventKind, EventSeq, JobId, JobKind, JobState, Nesting, NodeCounts,
    NodeIndex, NodeState, PlanId, ScheduleId, StopMode, TransactionId,
};
use bunraku_actors::ports::Restoration;
use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Result, Row};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::fault::Fault;
use crate::api::records::{PlanState, ScheduleKind};

/// Longer JSON is deflated.
const PLAIN_BYTES: usize = 1024;
/// JSON that nests deeper is not written: the parser would refuse to read it back (it stops at 127 levels). What is
/// accepted from outside nests far less, and stands a few levels deep in what is written.
const READABLE_NESTING: usize = 120;
const TAG_PLAIN: u8 = 0;
const TAG_DEFLATE: u8 = 1;

/// A model value as a column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Db<T>(pub(super) T);

/// A column read as JSON, packed by [`pack`].
#[derive(Debug)]
pub(super) struct Packed<T>(pub(super) T);

/// The value of a column.
pub(super) fn get<T>(row: &Row<'_>, column: usize) -> Result<T>
where
    Db<T>: FromSql,
{
    row.get::<_, Db<T>>(column).map(|value| value.0)
}

/// The value of a column that may be null.
pub(super) fn get_opt<T>(row: &Row<'_>, column: usize) -> Result<Option<T>>
where
    Db<T>: FromSql,
{
    Ok(row.get::<_, Option<Db<T>>>(column)?.map(|value| value.0))
}

/// The JSON of a packed column that may be null.
pub(super) fn get_packed<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<Option<T>> {
    Ok(row.get::<_, Option<Packed<T>>>(column)?.map(|value| value.0))
}

/// One tag byte and the JSON of a value, deflated when it is long. Refuses what could not be read back.
pub(super) fn pack(value: &impl Serialize) -> std::result::Result<Vec<u8>, Fault> {
    let mut plain = vec![TAG_PLAIN];
    serde_json::to_writer(&mut plain, value).expect("model values have string keys and finite numbers");
    if Nesting::beyond(&plain[1..], READABLE_NESTING).is_some() {
        return Err(Fault::Refused(format!("the JSON nests deeper than {READABLE_NESTING} arrays and objects")));
    }
    if plain.len() <= PLAIN_BYTES {
        return Ok(plain);
    }
    let mut deflated = DeflateEncoder::new(vec![TAG_DEFLATE], Compression::fast());
    deflated.write_all(&plain[1..]).expect("writing to memory does not fail");
    Ok(deflated.finish().expect("writing to memory does not fail"))
}

/// The value of [`pack`]'s bytes.
pub(super) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> std::result::Result<T, String> {
    match bytes.split_first() {
        Some((&TAG_PLAIN, json)) => serde_json::from_slice(json).map_err(|error| error.to_string()),
        Some((&TAG_DEFLATE, rest)) => {
            let mut json = Vec::new();
            DeflateDecoder::new(rest).read_to_end(&mut json).map_err(|error| error.to_string())?;
            serde_json::from_slice(&json).map_err(|error| error.to_string())
        }
        Some((tag, _)) => Err(format!("unknown packing {tag}")),
        None => Err("an empty packed value".to_owned()),
    }
}

/// Cuts a time to what the store keeps, so that live events equal stored ones.
pub(super) fn to_micros(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at)
}

/// The first moment that an inclusive upper bound leaves out: times are shown in whole seconds, and what is shown as the
/// bound is within it.
pub(super) fn behind_shown(max: DateTime<Utc>) -> DateTime<Utc> {
    if max.nanosecond() == 0 { max + TimeDelta::seconds(1) } else { max + TimeDelta::microseconds(1) }
}

fn unknown(what: &str, value: impl std::fmt::Display) -> FromSqlError {
    FromSqlError::Other(format!("unknown {what} '{value}' in the database").into())
}

fn stop_name(mode: StopMode) -> &'static str {
    match mode {
        StopMode::Plain => "plain",
        StopMode::Force => "force",
    }
}

impl<T: DeserializeOwned> FromSql for Packed<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        unpack(value.as_blob()?).map(Packed).map_err(|reason| FromSqlError::Other(reason.into()))
    }
}

/// Columns that hold a name out of a table.
macro_rules! by_name {
    ($($kind:ty, $what:literal, $name:expr, $parse:expr;)*) => {$(
        impl ToSql for Db<$kind> {
            fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
                let name: fn($kind) -> &'static str = $name;
                Ok(name(self.0).into())
            }
        }

        impl FromSql for Db<$kind> {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                let parse: fn(&str) -> Option<$kind> = $parse;
                let name = value.as_str()?;
                parse(name).map(Db).ok_or_else(|| unknown($what, name))
            }
        }
    )*};
}

by_name! {
    NodeState, "node state", NodeState::name, NodeState::from_name;
    JobState, "job state", JobState::name, JobState::from_name;
    Cause, "cause", Cause::name, Cause::from_name;
    EventKind, "event type", EventKind::name, EventKind::from_name;
    PlanState, "state of a plan job", PlanState::name, PlanState::from_name;
    ScheduleKind, "type of a scheduled job", ScheduleKind::name, ScheduleKind::from_name;
    JobKind, "job type", JobKind::name, |name| {
        [JobKind::Deploy, JobKind::Task].into_iter().find(|kind| kind.name() == name)
    };
    StopMode, "stop mode", stop_name, |name| {
        [StopMode::Plain, StopMode::Force].into_iter().find(|mode| stop_name(*mode) == name)
    };
}

/// Numbers of the model, all far below the range of an SQLite integer.
macro_rules! by_number {
    ($($kind:ident($inner:ty);)*) => {$(
        impl ToSql for Db<$kind> {
            fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
                let number = i64::try_from(self.0.0).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
                Ok(number.into())
            }
        }

        impl FromSql for Db<$kind> {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                let number = value.as_i64()?;
                <$inner>::try_from(number).map(|number| Db($kind(number))).map_err(|_| FromSqlError::OutOfRange(number))
            }
        }
    )*};
}

by_number! {
    JobId(u64);
    PlanId(u64);
    ScheduleId(u64);
    EventSeq(u64);
    NodeIndex(u32);
    Attempt(u32);
}

impl ToSql for Db<DateTime<Utc>> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(self.0.timestamp_micros().into())
    }
}

/// As the column `restored` has it.
const RESTORATIONS: [Restoration; 3] = [Restoration::None, Restoration::Waiting, Restoration::Resumed];

impl ToSql for Db<Restoration> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok((self.0 as i64).into())
    }
}

impl FromSql for Db<Restoration> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let number = value.as_i64()?;
        let found = RESTORATIONS.into_iter().find(|known| *known as i64 == number);
        found.map(Db).ok_or_else(|| unknown("restoration", number))
    }
}

impl FromSql for Db<DateTime<Utc>> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let micros = value.as_i64()?;
        DateTime::from_timestamp_micros(micros).map(Db).ok_or(FromSqlError::OutOfRange(micros))
    }
}

impl ToSql for Db<Uuid> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(self.0.as_bytes().as_slice().into())
    }
}

impl FromSql for Db<Uuid> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Uuid::from_slice(value.as_blob()?).map(Db).map_err(|error| FromSqlError::Other(error.into()))
    }
}

impl ToSql for Db<TransactionId> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(self.0.0.as_bytes().as_slice().into())
    }
}

impl FromSql for Db<TransactionId> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Db::<Uuid>::column_result(value).map(|Db(id)| Db(TransactionId(id)))
    }
}

impl FromSql for Db<CertName> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        CertName::parse(value.as_str()?).map(Db).map_err(|error| FromSqlError::Other(error.into()))
    }
}

impl ToSql for Db<&CauseCounts> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        let text = serde_json::to_string(self.0).expect("names and numbers are JSON");
        Ok(text.into())
    }
}

impl FromSql for Db<CauseCounts> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map(Db).map_err(|error| FromSqlError::Other(error.into()))
    }
}

impl ToSql for Db<NodeCounts> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        let text = serde_json::to_string(&self.0).expect("an array of numbers is JSON");
        Ok(text.into())
    }
}

impl FromSql for Db<NodeCounts> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map(Db).map_err(|error| FromSqlError::Other(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    proptest! {
        #[test]
        fn packed_values_come_back(text in ".{0,3000}", number in any::<i64>()) {
            let value = json!({"text": text, "number": number});
            prop_assert_eq!(unpack::<Value>(&pack(&value).unwrap()).unwrap(), value);
        }

        #[test]
        fn damaged_bytes_are_an_error_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = unpack::<Value>(&bytes) {
                prop_assert_eq!(unpack::<Value>(&pack(&value).unwrap()).unwrap(), value);
            }
        }
    }

    #[test]
    fn what_is_written_can_be_read_back_and_the_rest_is_refused() {
        let nested = |levels| (0..levels).fold(json!(1), |inner, _| json!([inner]));
        let just = nested(READABLE_NESTING);
        assert_eq!(unpack::<Value>(&pack(&just).unwrap()).unwrap(), just);
        let refused = pack(&nested(READABLE_NESTING + 1)).unwrap_err();
        assert!(refused.to_string().contains("nests deeper than 120"), "{refused}");
    }

    #[test]
    fn long_values_are_deflated_and_short_ones_are_not() {
        assert_eq!(pack(&json!({})).unwrap()[0], TAG_PLAIN);
        let long = pack(&json!("x".repeat(10_000))).unwrap();
        assert_eq!(long[0], TAG_DEFLATE);
        assert!(long.len() < 1_000, "{} bytes", long.len());
    }
}
