//! Tokens and the caller's own account: `/bunraku/v1/tokens` and `/bunraku/v1/whoami`.
//!
//! A token's text exists in the answer to its creation and nowhere else; only its hash is kept.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use uuid::Uuid;

use super::accounts::{TokenHash, new_token_text};
use super::auth::{AccountManager, Caller};
use super::request::{Body, read_body, token_request};
use super::state::State;
use super::types::{CreatedToken, Items, TokenView, WhoAmI};
use super::{Answer, ApiError, audit, json, ok};

/// All tokens, oldest first.
pub(super) async fn list(state: web::Data<State>, _: AccountManager) -> Answer {
    let tokens = state.accounts.tokens().await?;
    ok(&Items { items: tokens.iter().map(TokenView::from).collect::<Vec<_>>() })
}

/// Creates a token and shows its text, this once.
pub(super) async fn create(
    req: HttpRequest,
    state: web::Data<State>,
    AccountManager(caller): AccountManager,
    body: Body,
) -> Answer {
    let now = state.now();
    let new = token_request(&read_body(body, &state.options).await?, &state.rules.load(), now)?;
    let text = new_token_text();
    let token = state.accounts.create_token(new, TokenHash::of(&text), now).await?;
    let (by, role) = (&caller.token.login, &token.role);
    audit::note(&req, "login", &token.login);
    audit::note(&req, "role", role);
    tracing::info!(token_id = %token.id, login = token.login, role, by, "token created");
    let mut answer = json(StatusCode::CREATED, &CreatedToken { token: text, record: TokenView::from(&token) })?;
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// Revokes a token.
pub(super) async fn revoke(
    state: web::Data<State>,
    AccountManager(caller): AccountManager,
    id: web::Path<String>,
) -> Answer {
    let parsed = Uuid::parse_str(&id).map_err(|_| ApiError::invalid("id", "id must be a token's id, a UUID"))?;
    if !state.accounts.revoke_token(parsed, state.now()).await? {
        return Err(ApiError::not_found(format!("unknown token {parsed}")));
    }
    tracing::info!(token_id = %parsed, by = caller.token.login, "token revoked");
    Ok(HttpResponse::NoContent().finish())
}

/// The caller's own account.
pub(super) async fn whoami(caller: Caller) -> Answer {
    ok(&WhoAmI::from(&caller))
}
