//! Tokens and the caller's own account. A token's text appears in [`CreatedToken`] alone.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::millis;
use crate::api::accounts::{Role, TokenRecord};

/// A token as listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenView {
    pub id: Uuid,
    pub login: String,
    pub display_name: String,
    pub role: Role,
    pub description: String,
    pub created_at: String,
    pub expires_at: Option<String>,
    pub last_used_at: Option<String>,
    pub revoked_at: Option<String>,
}

/// A token that was just created, with its text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedToken {
    /// Shown this once.
    pub token: String,
    #[serde(flatten)]
    pub record: TokenView,
}

/// The account behind the caller's token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhoAmI {
    pub id: Uuid,
    pub login: String,
    pub display_name: String,
    pub role: Role,
    pub token_id: Uuid,
    pub expires_at: Option<String>,
}

impl From<&TokenRecord> for TokenView {
    fn from(token: &TokenRecord) -> Self {
        Self {
            id: token.id,
            login: token.login.clone(),
            display_name: token.display_name.clone(),
            role: token.role,
            description: token.description.clone(),
            created_at: millis(token.created_at),
            expires_at: token.expires_at.map(millis),
            last_used_at: token.last_used_at.map(millis),
            revoked_at: token.revoked_at.map(millis),
        }
    }
}

impl From<&TokenRecord> for WhoAmI {
    fn from(token: &TokenRecord) -> Self {
        Self {
            id: token.owner_id,
            login: token.login.clone(),
            display_name: token.display_name.clone(),
            role: token.role,
            token_id: token.id,
            expires_at: token.expires_at.map(millis),
        }
    }
}
