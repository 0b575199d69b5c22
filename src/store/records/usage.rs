//! What each day came to: distinct nodes, and changes that Puppet made.
//!
//! Nodes of a recent day stand in rows of their own, so that none is counted twice; later the rows become a number, piece
//! by piece. What a day came to is always its numbers and its rows together.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rusqlite::{Connection, params};

use super::whole;
use crate::api::records::{USAGE_CURSOR, Usage, UsageKind, UsageNotes};
use crate::store::fault::Fault;

/// Rows that become a number in one transaction.
const PIECE: u32 = 500;

/// Adds what was noted, and moves the cursor of events on.
pub(in crate::store) fn add(connection: &Connection, notes: &UsageNotes) -> Result<(), Fault> {
    for (day, kind, node) in &notes.nodes {
        touch(connection, *day)?;
        connection
            .prepare_cached("INSERT INTO usage_nodes (day, kind, node) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
            .execute(params![day.to_string(), kind.name(), node.as_str()])?;
    }
    for (day, (corrective, intentional)) in &notes.changes {
        touch(connection, *day)?;
        connection
            .prepare_cached(
                "UPDATE usage_days SET corrective = corrective + ?2, intentional = intentional + ?3 WHERE day = ?1",
            )?
            .execute(params![day.to_string(), whole(*corrective), whole(*intentional)])?;
    }
    if let Some(cursor) = notes.cursor {
        let write =
            "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
        connection.prepare_cached(write)?.execute((USAGE_CURSOR, cursor.to_string()))?;
    }
    Ok(())
}

fn touch(connection: &Connection, day: NaiveDate) -> Result<(), Fault> {
    let write = "INSERT INTO usage_days (day) VALUES (?1) ON CONFLICT DO NOTHING";
    connection.prepare_cached(write)?.execute([day.to_string()])?;
    Ok(())
}

/// Turns a piece of the rows of days before `day` into numbers; whether there were any.
pub(in crate::store) fn settle(connection: &Connection, day: NaiveDate) -> Result<bool, Fault> {
    let find = "SELECT day, kind FROM usage_nodes WHERE day < ?1 LIMIT 1";
    let found = connection
        .prepare_cached(find)?
        .query_map([day.to_string()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?
        .next()
        .transpose()?;
    let Some((day, kind)) = found else { return Ok(false) };
    let delete = "DELETE FROM usage_nodes WHERE day = ?1 AND kind = ?2 AND node IN \
                  (SELECT node FROM usage_nodes WHERE day = ?1 AND kind = ?2 LIMIT ?3)";
    let rows = connection.prepare_cached(delete)?.execute(params![day, kind, PIECE])?;
    let column = UsageKind::ALL.into_iter().find(|known| known.name() == kind).map_or("with_agent", column);
    connection
        .prepare_cached(&format!("UPDATE usage_days SET {column} = {column} + ?2 WHERE day = ?1"))?
        .execute(params![day, i64::try_from(rows).unwrap_or(i64::MAX)])?;
    Ok(true)
}

/// Where the numbers of a kind stand.
fn column(kind: UsageKind) -> &'static str {
    match kind {
        UsageKind::Agent => "with_agent",
        UsageKind::Task => "by_tasks",
        UsageKind::Plan => "by_plans",
    }
}

/// The days from `first` to `last`, newest first.
pub(in crate::store) fn days(
    connection: &Connection,
    first: Option<NaiveDate>,
    last: Option<NaiveDate>,
) -> Result<Vec<Usage>, Fault> {
    // Written as ISO dates, which sort as texts.
    let bounds = params![
        first.map(|day| day.to_string()).unwrap_or_default(),
        last.map_or_else(|| "9999-12-31".to_owned(), |day| day.to_string())
    ];
    let mut open: BTreeMap<(String, String), u64> = BTreeMap::new();
    let sql = "SELECT day, kind, count(*) FROM usage_nodes WHERE day >= ?1 AND day <= ?2 GROUP BY day, kind";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(bounds)?;
    while let Some(row) = rows.next()? {
        open.insert((row.get(0)?, row.get(1)?), row.get::<_, i64>(2)?.unsigned_abs());
    }
    let sql = "SELECT day, with_agent, by_tasks, by_plans, corrective, intentional FROM usage_days \
               WHERE day >= ?1 AND day <= ?2 ORDER BY day DESC";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(bounds)?;
    let mut days = Vec::new();
    while let Some(row) = rows.next()? {
        let day: String = row.get(0)?;
        let number = |column: usize| row.get::<_, i64>(column).map(i64::unsigned_abs);
        let nodes = |kind: UsageKind| open.get(&(day.clone(), kind.name().to_owned())).copied().unwrap_or(0);
        days.push(Usage {
            with_agent: number(1)? + nodes(UsageKind::Agent),
            by_tasks: number(2)? + nodes(UsageKind::Task),
            by_plans: number(3)? + nodes(UsageKind::Plan),
            corrective: number(4)?,
            intentional: number(5)?,
            day,
        });
    }
    Ok(days)
}
