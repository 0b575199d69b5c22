//! The audit log: appended to, read, and after `retention.audit` removed; never changed.

use rusqlite::types::ToSql;
use rusqlite::{Connection, Row, params, params_from_iter};

use super::{direction, next, whole};
use crate::api::accounts::{AuditEntry, AuditQuery, AuditRecord};
use crate::store::columns::{Db, get};
use crate::store::fault::Fault;

/// Appends an entry.
pub(in crate::store) fn append(connection: &Connection, entry: &AuditEntry) -> Result<(), Fault> {
    let seq = next(connection, "audit")?;
    let about = serde_json::to_string(&entry.about).expect("a map of values is JSON");
    connection
        .prepare_cached(
            "INSERT INTO audit (seq, at, login, address, action, outcome, about) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![whole(seq), Db(entry.at), entry.login, entry.address, entry.action, entry.outcome, about])?;
    Ok(())
}

/// A part of the log.
pub(in crate::store) fn list(connection: &Connection, query: &AuditQuery) -> Result<Vec<AuditRecord>, Fault> {
    let mut conditions = vec!["1 = 1"];
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    let mut with = |condition, value: Option<Box<dyn ToSql>>| {
        if let Some(value) = value {
            conditions.push(condition);
            values.push(value);
        }
    };
    let boxed = |text: &Option<String>| text.clone().map(|text| Box::new(text) as Box<dyn ToSql>);
    with("seq > ?", query.after.map(|seq| Box::new(whole(seq)) as _));
    with("seq < ?", query.before.map(|seq| Box::new(whole(seq)) as _));
    with("login = ?", boxed(&query.login));
    with("outcome = ?", boxed(&query.outcome));
    with("instr(action, ?) > 0", boxed(&query.action));
    with("at >= ?", query.since.map(|at| Box::new(at.timestamp_micros()) as _));
    with("at <= ?", query.until.map(|at| Box::new(at.timestamp_micros()) as _));
    let sql = format!(
        "SELECT seq, at, login, address, action, outcome, about FROM audit WHERE {} ORDER BY seq {} LIMIT {}",
        conditions.join(" AND "),
        direction(!query.ascending),
        query.limit
    );
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_map(params_from_iter(values), read)?.collect::<rusqlite::Result<_>>()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<AuditRecord> {
    let seq: i64 = row.get(0)?;
    let about: String = row.get(6)?;
    Ok(AuditRecord {
        seq: seq.unsigned_abs(),
        entry: AuditEntry {
            at: get(row, 1)?,
            login: row.get(2)?,
            address: row.get(3)?,
            action: row.get(4)?,
            outcome: row.get(5)?,
            // What cannot be read is shown as it stands.
            about: serde_json::from_str(&about)
                .unwrap_or_else(|_| [("text".to_owned(), about.into())].into_iter().collect()),
        },
    })
}
