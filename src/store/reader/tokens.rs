//! Reads of tokens.

use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::api::accounts::{TokenHash, TokenRecord};
use crate::store::columns::{get, get_opt};
use crate::store::fault::Fault;

/// The columns that [`read`] expects.
macro_rules! token_columns {
    () => {
        "id, owner_id, login, display_name, role, description, created_at, expires_at, last_used_at, revoked_at, \
         EXISTS (SELECT 1 FROM users u WHERE u.login = tokens.login AND u.revoked_at IS NOT NULL)"
    };
}

/// The token with this hash.
pub(in crate::store) fn token(connection: &Connection, hash: TokenHash) -> Result<Option<TokenRecord>, Fault> {
    let mut statement =
        connection.prepare_cached(concat!("SELECT ", token_columns!(), " FROM tokens WHERE hash = ?1"))?;
    Ok(statement.query_row([hash.0.as_slice()], read).optional()?)
}

/// All tokens, oldest first.
pub(in crate::store) fn tokens(connection: &Connection) -> Result<Vec<TokenRecord>, Fault> {
    let mut statement =
        connection.prepare_cached(concat!("SELECT ", token_columns!(), " FROM tokens ORDER BY created_at, id"))?;
    Ok(statement.query_map([], read)?.collect::<rusqlite::Result<_>>()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<TokenRecord> {
    Ok(TokenRecord {
        id: get(row, 0)?,
        owner_id: get(row, 1)?,
        login: row.get(2)?,
        display_name: row.get(3)?,
        role: row.get(4)?,
        description: row.get(5)?,
        created_at: get(row, 6)?,
        expires_at: get_opt(row, 7)?,
        last_used_at: get_opt(row, 8)?,
        revoked_at: get_opt(row, 9)?,
        user_revoked: row.get(10)?,
    })
}
