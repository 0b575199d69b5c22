//! Tokens and the caller's own account. A token's text appears in [`CreatedToken`] alone.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::millis;
use crate::api::accounts::{TokenRecord, UserRecord};
use crate::api::auth::Caller;
use crate::api::rights::Permission;

/// A token as listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    pub id: Uuid,
    pub login: String,
    pub display_name: String,
    /// The role it was made with; empty on the token of a session.
    pub role: String,
    pub description: String,
    pub created_at: String,
    pub expires_at: Option<String>,
    pub last_used_at: Option<String>,
    pub revoked_at: Option<String>,
}

/// A token that was just created, with its text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// Shown this once.
    pub token: String,
    #[serde(flatten)]
    pub record: TokenView,
}

/// The account behind the caller's token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhoAmI {
    pub id: Uuid,
    pub login: String,
    pub display_name: String,
    /// The roles, by name, joined by commas.
    pub role: String,
    /// What they permit, each once.
    pub permissions: Vec<String>,
    pub token_id: Uuid,
    pub expires_at: Option<String>,
}

impl From<&TokenRecord> for TokenView {
    fn from(token: &TokenRecord) -> Self {
        Self {
            id: token.id,
            login: token.login.clone(),
            display_name: token.display_name.clone(),
            role: token.role.clone(),
            description: token.description.clone(),
            created_at: millis(token.created_at),
            expires_at: token.expires_at.map(millis),
            last_used_at: token.last_used_at.map(millis),
            revoked_at: token.revoked_at.map(millis),
        }
    }
}

impl From<&Caller> for WhoAmI {
    fn from(caller: &Caller) -> Self {
        let token = &caller.token;
        let permitted = Permission::ALL.into_iter().filter(|permission| caller.rights.may(*permission));
        Self {
            id: token.owner_id,
            login: token.login.clone(),
            display_name: token.display_name.clone(),
            role: caller.roles.join(","),
            permissions: permitted.map(|permission| permission.name().to_owned()).collect(),
            token_id: token.id,
            expires_at: token.expires_at.map(millis),
        }
    }
}

/// A user as listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserView {
    pub id: Uuid,
    pub login: String,
    pub display_name: String,
    pub email: String,
    /// By `access.yaml`.
    pub roles: Vec<String>,
    pub created_at: String,
    pub last_login: Option<String>,
    pub revoked_at: Option<String>,
}

impl UserView {
    pub(crate) fn new(user: &UserRecord, roles: Vec<String>) -> Self {
        Self {
            id: user.id,
            login: user.login.clone(),
            display_name: user.display_name.clone(),
            email: user.email.clone(),
            roles,
            created_at: millis(user.created_at),
            last_login: user.last_login.map(millis),
            revoked_at: user.revoked_at.map(millis),
        }
    }
}
