//! The API's own port: tokens, users, the audit log. The store implements it on the same writer.

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bunraku_actors::ports::StoreError;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::rights::{ADMIN, OPERATOR, VIEWER};

/// The roles that are always there; each includes the ones before it. `access.yaml` adds others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May look.
    Viewer,
    /// May run and stop.
    Operator,
    /// May do everything.
    Admin,
}

impl Role {
    /// Every role, weakest first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The name on the wire and in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => VIEWER,
            Self::Operator => OPERATOR,
            Self::Admin => ADMIN,
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

impl From<Role> for String {
    fn from(role: Role) -> Self {
        role.name().to_owned()
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
    /// The role that the token was made with; empty on the token of a session, which has the roles of its login.
    pub role: String,
    pub description: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    /// Whether the user of that login is revoked.
    pub user_revoked: bool,
}

/// A token to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    pub login: String,
    pub display_name: String,
    /// As in [`TokenRecord`].
    pub role: String,
    pub description: String,
    pub expires_at: Option<DateTime<Utc>>,
}

/// Somebody who logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    pub id: Uuid,
    pub login: String,
    pub display_name: String,
    pub email: String,
    pub created_at: DateTime<Utc>,
    pub last_login: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// The hash of a password, in the PHC format of argon2.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

/// A user to make, or what to change of one; what is absent stays as it is, or empty.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UserChange {
    pub display_name: Option<String>,
    pub email: Option<String>,
    pub password: Option<PasswordHash>,
    /// Revoking a user revokes all tokens of the login.
    pub revoked: Option<bool>,
}

/// Something that somebody did, or was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    pub at: DateTime<Utc>,
    /// Empty when nobody was known.
    pub login: String,
    /// The address of the caller.
    pub address: String,
    /// Method and route, such as `POST /orchestrator/v1/command/deploy`.
    pub action: String,
    /// `accepted`, `refused` or `failed`.
    pub outcome: String,
    /// What it was about: `status`, and as it fits `job`, `nodes`, `kind`, `msg` and others.
    pub about: Map<String, Value>,
}

/// An entry with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRecord {
    pub seq: u64,
    pub entry: AuditEntry,
}

/// A part of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditQuery {
    /// Entries behind this place only.
    pub after: Option<u64>,
    /// Entries before this place only.
    pub before: Option<u64>,
    pub login: Option<String>,
    pub outcome: Option<String>,
    /// A part of the action.
    pub action: Option<String>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    /// Oldest first, else newest first.
    pub ascending: bool,
    pub limit: u32,
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

    /// Makes a user; `None` when there is one with this login. The id is that of the login's tokens.
    async fn create_user(
        &self,
        login: &str,
        user: UserChange,
        now: DateTime<Utc>,
    ) -> Result<Option<UserRecord>, StoreError>;

    /// Changes a user; `None` when there is none with this login.
    async fn change_user(
        &self,
        login: &str,
        change: UserChange,
        now: DateTime<Utc>,
    ) -> Result<Option<UserRecord>, StoreError>;

    /// A user with the hash of the password.
    async fn user(&self, login: &str) -> Result<Option<(UserRecord, PasswordHash)>, StoreError>;

    /// All users, by login.
    async fn users(&self) -> Result<Vec<UserRecord>, StoreError>;

    /// Remembers that a user logged in.
    async fn note_login(&self, login: &str, now: DateTime<Utc>) -> Result<(), StoreError>;

    /// The role of every token of a login that is neither expired nor revoked, each once.
    async fn token_roles(&self, login: &str, now: DateTime<Utc>) -> Result<Vec<String>, StoreError>;

    /// Appends to the audit log; returns after the entry is synced to disk.
    async fn audit(&self, entry: AuditEntry) -> Result<(), StoreError>;

    /// Appends to the audit log some time later, or never when the store has too much to do.
    fn audit_later(&self, entry: AuditEntry);

    /// A part of the audit log.
    async fn audit_log(&self, query: AuditQuery) -> Result<Vec<AuditRecord>, StoreError>;
}
