//! The API's own port: tokens and who stands behind them. The store implements it on the same writer.

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bunraku_actors::ports::StoreError;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// What a token may do; each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May look.
    Viewer,
    /// May run and stop.
    Operator,
    /// May manage tokens.
    Admin,
}

impl Role {
    /// Every role, weakest first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The name on the wire and in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// SHA-256 of a token's text: all that is ever stored of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    /// Hashes the text of a token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

/// The text of a new token: 256 random bits, URL-safe, without padding.
#[must_use]
pub fn new_token_text() -> String {
    let bits: [u8; 32] = rand::random();
    URL_SAFE_NO_PAD.encode(bits)
}

/// A token as listed; its text is shown once, at creation, and never again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    pub id: Uuid,
    /// The owner's id, the same for all tokens of a login.
    pub owner_id: Uuid,
    pub login: String,
    pub display_name: String,
    pub role: Role,
    pub description: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A token to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    pub login: String,
    pub display_name: String,
    pub role: Role,
    pub description: String,
    pub expires_at: Option<DateTime<Utc>>,
}

/// Tokens and their owners.
#[async_trait]
pub trait Accounts: Send + Sync + 'static {
    /// Commits a token. A login keeps its `owner_id` over all its tokens.
    async fn create_token(
        &self,
        token: NewToken,
        hash: TokenHash,
        now: DateTime<Utc>,
    ) -> Result<TokenRecord, StoreError>;

    /// The token with this hash, also when expired or revoked.
    async fn token(&self, hash: TokenHash) -> Result<Option<TokenRecord>, StoreError>;

    /// All tokens, oldest first.
    async fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError>;

    /// Revokes a token; `false` when there is none with this id. Idempotent.
    async fn revoke_token(&self, id: Uuid, now: DateTime<Utc>) -> Result<bool, StoreError>;

    /// Remembers that a token was used; written lazily, at most once a minute per token.
    fn touch_token(&self, id: Uuid, now: DateTime<Utc>);
}
