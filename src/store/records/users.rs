//! Users. Of a password only its argon2 hash ever comes here.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

use super::tokens;
use crate::api::accounts::{PasswordHash, UserChange, UserRecord};
use crate::store::columns::{Db, get, get_opt};
use crate::store::fault::Fault;

/// The columns that [`read`] expects.
macro_rules! user_columns {
    () => {
        "id, login, display_name, email, created_at, last_login, revoked_at"
    };
}

/// Makes a user; `None` when the login is taken.
pub(in crate::store) fn create(
    connection: &Connection,
    login: &str,
    user: UserChange,
    now: DateTime<Utc>,
) -> Result<Option<UserRecord>, Fault> {
    if one(connection, login)?.is_some() {
        return Ok(None);
    }
    let id = tokens::owner_of(connection, login)?.unwrap_or_else(Uuid::new_v4);
    let password = user.password.map(|hash| hash.0).unwrap_or_default();
    connection
        .prepare_cached(
            "INSERT INTO users (id, login, display_name, email, password, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            Db(id),
            login,
            user.display_name.as_deref().unwrap_or(login),
            user.email.unwrap_or_default(),
            password,
            Db(now)
        ])?;
    Ok(one(connection, login)?.map(|(user, _)| user))
}

/// Changes a user; `None` when there is none.
pub(in crate::store) fn change(
    connection: &Connection,
    login: &str,
    change: &UserChange,
    now: DateTime<Utc>,
) -> Result<Option<UserRecord>, Fault> {
    let sql = "UPDATE users SET display_name = coalesce(?2, display_name), email = coalesce(?3, email), \
               password = coalesce(?4, password), \
               revoked_at = CASE ?5 WHEN 1 THEN coalesce(revoked_at, ?6) WHEN 0 THEN NULL ELSE revoked_at END \
               WHERE login = ?1";
    let password = change.password.as_ref().map(|hash| hash.0.as_str());
    let values = params![login, change.display_name, change.email, password, change.revoked, Db(now)];
    connection.prepare_cached(sql)?.execute(values)?;
    // Who is let in again, or has another password, begins anew.
    if change.revoked == Some(true) || change.password.is_some() {
        let sessions =
            "UPDATE tokens SET revoked_at = ?2 WHERE login = ?1 AND revoked_at IS NULL AND (role = '' OR ?3)";
        let all = change.revoked == Some(true);
        connection.prepare_cached(sessions)?.execute(params![login, Db(now), all])?;
    }
    Ok(one(connection, login)?.map(|(user, _)| user))
}

/// A user with the hash of the password.
pub(in crate::store) fn one(connection: &Connection, login: &str) -> Result<Option<(UserRecord, PasswordHash)>, Fault> {
    let sql = concat!("SELECT ", user_columns!(), ", password FROM users WHERE login = ?1");
    let found = connection.prepare_cached(sql)?.query_row([login], |row| Ok((read(row)?, PasswordHash(row.get(7)?))));
    Ok(found.optional()?)
}

/// All users, by login.
pub(in crate::store) fn all(connection: &Connection) -> Result<Vec<UserRecord>, Fault> {
    let sql = concat!("SELECT ", user_columns!(), " FROM users ORDER BY login");
    Ok(connection.prepare_cached(sql)?.query_map([], read)?.collect::<rusqlite::Result<_>>()?)
}

/// Remembers a login.
pub(in crate::store) fn note_login(connection: &Connection, login: &str, now: DateTime<Utc>) -> Result<(), Fault> {
    let sql = "UPDATE users SET last_login = ?2 WHERE login = ?1";
    connection.prepare_cached(sql)?.execute(params![login, Db(now)])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<UserRecord> {
    Ok(UserRecord {
        id: get(row, 0)?,
        login: row.get(1)?,
        display_name: row.get(2)?,
        email: row.get(3)?,
        created_at: get(row, 4)?,
        last_login: get_opt(row, 5)?,
        revoked_at: get_opt(row, 6)?,
    })
}
