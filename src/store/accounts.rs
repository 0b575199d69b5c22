//! [`Accounts`] on the same writer.

use async_trait::async_trait;
use bunraku_actors::ports::StoreError;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::request::Request;
use super::{Store, reader};
use crate::api::accounts::{Accounts, NewToken, TokenHash, TokenRecord};

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
        self.ask(|reply| Request::CreateToken(Box::new(token), hash, now, reply)).await
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
        self.ask(|reply| Request::RevokeToken(id, now, reply)).await
    }

    fn touch_token(&self, id: Uuid, now: DateTime<Utc>) {
        let mut touched = self.0.touched.lock();
        let fresh = touched.get(&id).is_some_and(|last| now - *last < TOUCH_EVERY);
        // With a full queue this use is not remembered; the next one tries again.
        if !fresh && self.0.requests().try_send(Request::TouchToken(id, now)).is_ok() {
            touched.insert(id, now);
        }
    }
}
