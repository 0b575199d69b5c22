//! Writes about tokens. Of a token's text only the hash ever comes here.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, params};
use uuid::Uuid;

use crate::api::accounts::{NewToken, TokenHash, TokenRecord};
use crate::store::columns::{Db, get, to_micros};
use crate::store::fault::Fault;

/// Writes a token; a login keeps its `owner_id` over all its tokens.
pub(super) fn create(
    connection: &Connection,
    token: &NewToken,
    hash: TokenHash,
    now: DateTime<Utc>,
) -> Result<TokenRecord, Fault> {
    let mut statement = connection.prepare_cached("SELECT owner_id FROM tokens WHERE login = ?1 LIMIT 1")?;
    let owner: Option<Uuid> = statement.query_row([&token.login], |row| get(row, 0)).optional()?;
    let record = TokenRecord {
        id: Uuid::now_v7(),
        owner_id: owner.unwrap_or_else(Uuid::new_v4),
        login: token.login.clone(),
        display_name: token.display_name.clone(),
        role: token.role,
        description: token.description.clone(),
        created_at: to_micros(now),
        expires_at: token.expires_at.map(to_micros),
        last_used_at: None,
        revoked_at: None,
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
            Db(record.role),
            record.description,
            Db(record.created_at),
            record.expires_at.map(Db)
        ])?;
    Ok(record)
}

/// Revokes a token; an earlier revocation keeps its time. `false` when there is none with this id.
pub(super) fn revoke(connection: &Connection, id: Uuid, now: DateTime<Utc>) -> Result<bool, Fault> {
    let mut statement =
        connection.prepare_cached("UPDATE tokens SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1")?;
    Ok(statement.execute(params![Db(id), Db(now)])? > 0)
}

/// Remembers a use.
pub(super) fn touch(connection: &Connection, id: Uuid, now: DateTime<Utc>) -> Result<(), Fault> {
    connection
        .prepare_cached("UPDATE tokens SET last_used_at = ?2 WHERE id = ?1 AND coalesce(last_used_at, 0) < ?2")?
        .execute(params![Db(id), Db(now)])?;
    Ok(())
}
