//! Changes of tokens. Of a token's text only the hash ever comes here.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, params};
use uuid::Uuid;

use crate::api::accounts::{NewToken, TokenHash, TokenRecord};
use crate::store::columns::{Db, get, to_micros};
use crate::store::fault::Fault;

/// Writes a token; a login keeps its `owner_id` over all its tokens.
pub(in crate::store) fn create(
    connection: &Connection,
    token: &NewToken,
    hash: TokenHash,
    now: DateTime<Utc>,
) -> Result<TokenRecord, Fault> {
    let owner = owner_of(connection, &token.login)?;
    let record = TokenRecord {
        id: Uuid::now_v7(),
        owner_id: owner.unwrap_or_else(Uuid::new_v4),
        login: token.login.clone(),
        display_name: token.display_name.clone(),
        role: token.role.clone(),
        description: token.description.clone(),
        created_at: to_micros(now),
        expires_at: token.expires_at.map(to_micros),
        last_used_at: None,
        revoked_at: None,
        user_revoked: false,
    };
    connection
        .prepare_cached(
            "INSERT INTO tokens (id, hash, owner_id, login, display_name, role, description, created_at, expires_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            Db(record.id),
            hash.0.as_slice(),
            Db(record.owner_id),
            record.login,
            record.display_name,
            record.role,
            record.description,
            Db(record.created_at),
            record.expires_at.map(Db)
        ])?;
    Ok(record)
}

/// The id that a login has already, as a user or by a token.
pub(super) fn owner_of(connection: &Connection, login: &str) -> Result<Option<Uuid>, Fault> {
    let find = "SELECT id FROM users WHERE login = ?1 UNION ALL SELECT owner_id FROM tokens WHERE login = ?1 LIMIT 1";
    Ok(connection.prepare_cached(find)?.query_row([login], |row| get(row, 0)).optional()?)
}

/// Revokes a token; an earlier revocation keeps its time. `false` when there is none with this id.
pub(in crate::store) fn revoke(connection: &Connection, id: Uuid, now: DateTime<Utc>) -> Result<bool, Fault> {
    let mut statement =
        connection.prepare_cached("UPDATE tokens SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1")?;
    Ok(statement.execute(params![Db(id), Db(now)])? > 0)
}

/// Remembers a use.
pub(in crate::store) fn touch(connection: &Connection, id: Uuid, now: DateTime<Utc>) -> Result<(), Fault> {
    connection
        .prepare_cached("UPDATE tokens SET last_used_at = ?2 WHERE id = ?1 AND coalesce(last_used_at, 0) < ?2")?
        .execute(params![Db(id), Db(now)])?;
    Ok(())
}

/// The roles of a login's tokens that hold.
pub(in crate::store) fn roles(connection: &Connection, login: &str, now: DateTime<Utc>) -> Result<Vec<String>, Fault> {
    let sql = "SELECT DISTINCT role FROM tokens WHERE login = ?1 AND revoked_at IS NULL \
               AND (expires_at IS NULL OR expires_at > ?2) ORDER BY role";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_map(params![login, Db(now)], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}
