//! What is kept beside jobs: [`Records`] on the same writer.
//!
//! Each part has its statements in a file of its own; what has to happen together with a job's creation is called from
//! there.
//!
//! [`Records`]: crate::api::records::Records

pub(super) mod audit;
pub(super) mod once;
pub(super) mod plans;
mod port;
pub(super) mod schedules;
pub(super) mod targets;
pub(super) mod tokens;
pub(super) mod usage;
pub(super) mod users;

use rusqlite::Connection;

use super::fault::Fault;

/// The next number of a sequence.
fn next(connection: &Connection, counter: &str) -> Result<u64, Fault> {
    let sql = "UPDATE counters SET value = value + 1 WHERE name = ?1 RETURNING value";
    let value: i64 = connection.prepare_cached(sql)?.query_row([counter], |row| row.get(0))?;
    u64::try_from(value).map_err(|_| Fault::Inconsistent(format!("the counter of {counter} stands at {value}")))
}

/// `ASC` or `DESC`.
fn direction(descending: bool) -> &'static str {
    if descending { "DESC" } else { "ASC" }
}

/// A number as SQLite takes it; what does not fit lies beyond every record.
fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
