//! Keys of commands that happen once, committed with what the command made.

use bunraku_actors::model::OnceKey;
use bunraku_actors::ports::Refusal;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::api::records::{Made, Once};
use crate::store::columns::Db;
use crate::store::fault::Fault;

/// The command that used a key.
pub(in crate::store) fn find(
    connection: &Connection,
    owner: &str,
    key: &str,
    now: DateTime<Utc>,
) -> Result<Option<Once>, Fault> {
    let sql = "SELECT fingerprint, answer FROM once_keys WHERE owner = ?1 AND key = ?2 AND until > ?3";
    let found = connection
        .prepare_cached(sql)?
        .query_row(params![owner, key, Db(now)], |row| Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    let Some((fingerprint, answer)) = found else { return Ok(None) };
    let made = serde_json::from_str(&answer)
        .map_err(|error| Fault::Inconsistent(format!("what the key '{key}' made cannot be read: {error}")))?;
    Ok(Some(Once { fingerprint, made }))
}

/// Refuses a command whose key was used.
pub(in crate::store) fn check(
    connection: &Connection,
    once: Option<&OnceKey>,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let Some(once) = once else { return Ok(()) };
    let Some(known) = find(connection, &once.owner, &once.key, now)? else { return Ok(()) };
    Err(Fault::Denied(match known.made {
        _ if known.fingerprint != once.fingerprint => Refusal::OtherCommand(once.key.clone()),
        Made::Job(job) => Refusal::Repeated(job),
        _ => Refusal::Again,
    }))
}

/// Keeps a key, in the place of one that is over.
pub(in crate::store) fn keep(connection: &Connection, once: Option<&OnceKey>, made: &Made) -> Result<(), Fault> {
    let Some(once) = once else { return Ok(()) };
    let answer = serde_json::to_string(made).expect("numbers and names are JSON");
    let write = "INSERT OR REPLACE INTO once_keys (owner, key, fingerprint, answer, until) VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.prepare_cached(write)?.execute(params![
        once.owner,
        once.key,
        once.fingerprint,
        answer,
        Db(once.until)
    ])?;
    Ok(())
}
