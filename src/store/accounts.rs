//! [`Accounts`] on the same writer.

use async_trait::async_trait;
use bunraku_actors::ports::StoreError;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::records::{audit, tokens, users};
use super::request::{Piece, Request, WORK_ROWS};
use super::{Store, reader};
use crate::api::accounts::{
    Accounts, AuditEntry, AuditQuery, AuditRecord, NewToken, PasswordHash, TokenHash, TokenRecord, UserChange,
    UserRecord,
};

/// A token's last use is written at most this often.
const TOUCH_EVERY: TimeDelta = TimeDelta::minutes(1);

#[async_trait]
impl Accounts for Store {
    async fn create_token(
        &self,
        token: NewToken,
        hash: TokenHash,
        now: DateTime<Utc>,
    ) -> Result<TokenRecord, StoreError> {
        self.change_tokens(move |connection| tokens::create(connection, &token, hash, now)).await
    }

    async fn token(&self, hash: TokenHash) -> Result<Option<TokenRecord>, StoreError> {
        let known = &self.0.shared.tokens;
        let since = match known.get(&hash) {
            Ok(token) => return Ok(Some(token)),
            Err(since) => since,
        };
        let found = self.read(move |connection, _| reader::token(connection, hash)).await?;
        if let Some(token) = &found {
            known.insert(hash, token.clone(), since);
        }
        Ok(found)
    }

    async fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        self.read(|connection, _| reader::tokens(connection)).await
    }

    async fn revoke_token(&self, id: Uuid, now: DateTime<Utc>) -> Result<bool, StoreError> {
        self.change_tokens(move |connection| tokens::revoke(connection, id, now)).await
    }

    async fn create_user(
        &self,
        login: &str,
        user: UserChange,
        now: DateTime<Utc>,
    ) -> Result<Option<UserRecord>, StoreError> {
        let login = login.to_owned();
        self.change_tokens(move |connection| users::create(connection, &login, user, now)).await
    }

    async fn change_user(
        &self,
        login: &str,
        change: UserChange,
        now: DateTime<Utc>,
    ) -> Result<Option<UserRecord>, StoreError> {
        let login = login.to_owned();
        self.change_tokens(move |connection| users::change(connection, &login, &change, now)).await
    }

    async fn user(&self, login: &str) -> Result<Option<(UserRecord, PasswordHash)>, StoreError> {
        let login = login.to_owned();
        self.read(move |connection, _| users::one(connection, &login)).await
    }

    async fn users(&self) -> Result<Vec<UserRecord>, StoreError> {
        self.read(|connection, _| users::all(connection)).await
    }

    async fn note_login(&self, login: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
        let login = login.to_owned();
        self.change(move |connection| users::note_login(connection, &login, now)).await
    }

    async fn token_roles(&self, login: &str, now: DateTime<Utc>) -> Result<Vec<String>, StoreError> {
        let login = login.to_owned();
        self.read(move |connection, _| tokens::roles(connection, &login, now)).await
    }

    async fn audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.change(move |connection| audit::append(connection, &entry)).await
    }

    fn audit_later(&self, entry: AuditEntry) {
        let (reply, _) = oneshot::channel();
        let work = Piece::boxed(WORK_ROWS, false, move |connection| audit::append(connection, &entry), reply);
        if self.0.requests().try_send(Request::Work(work)).is_err() {
            tracing::warn!("a refusal was not noted in the audit log: the store has too much to do");
        }
    }

    async fn audit_log(&self, query: AuditQuery) -> Result<Vec<AuditRecord>, StoreError> {
        self.read(move |connection, _| audit::list(connection, &query)).await
    }

    fn touch_token(&self, id: Uuid, now: DateTime<Utc>) {
        let mut touched = self.0.touched.lock();
        let fresh = touched.get(&id).is_some_and(|last| now - *last < TOUCH_EVERY);
        let (reply, _) = oneshot::channel();
        let touch =
            Request::Work(Piece::boxed(WORK_ROWS, false, move |connection| tokens::touch(connection, id, now), reply));
        // With a full queue this use is not remembered; the next one tries again.
        if !fresh && self.0.requests().try_send(touch).is_ok() {
            touched.insert(id, now);
        }
    }
}
