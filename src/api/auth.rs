//! Who calls, and whether they may: token → account → role (API §1.4).
//!
//! Handlers name the role they need by the extractor they take: [`Viewer`], [`Operator`] or [`Admin`]. The token's text
//! lives only as long as its hash takes to compute.

use std::future::Future;
use std::pin::Pin;

use actix_web::http::Method;
use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use bunraku_actors::model::Owner;
use serde_json::json;

use super::accounts::{Role, TokenHash, TokenRecord};
use super::error::ApiError;
use super::request::Query;
use super::state::State;

/// The header that carries a token.
pub(crate) const TOKEN_HEADER: &str = "X-Authentication";
/// The query parameter that carries one, for GET only.
pub(crate) const TOKEN_PARAMETER: &str = "token";

/// An authenticated caller.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) token: TokenRecord,
    hash: TokenHash,
}

impl Caller {
    /// The caller as the owner of a job.
    pub(crate) fn owner(&self) -> Owner {
        Owner {
            id: self.token.owner_id.to_string(),
            login: self.token.login.clone(),
            display_name: self.token.display_name.clone(),
            role: self.token.role.name().to_owned(),
        }
    }

    /// Whether the token still holds; long answers ask again and again.
    pub(crate) async fn still_valid(&self, state: &State) -> bool {
        check(state, self.hash).await.is_ok()
    }
}

/// A caller who may look.
pub(crate) struct Viewer(pub(crate) Caller);
/// A caller who may run and stop.
pub(crate) struct Operator(pub(crate) Caller);
/// A caller who may manage tokens.
pub(crate) struct Admin(pub(crate) Caller);

type Extraction<T> = Pin<Box<dyn Future<Output = Result<T, ApiError>>>>;

macro_rules! extractor {
    ($name:ident) => {
        impl FromRequest for $name {
            type Error = ApiError;
            type Future = Extraction<Self>;

            fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
                let req = req.clone();
                Box::pin(async move { authorize(&req, Role::$name).await.map(Self) })
            }
        }
    };
}

extractor!(Viewer);
extractor!(Operator);
extractor!(Admin);

/// The caller of a request, if their role includes `needed`.
pub(crate) async fn authorize(req: &HttpRequest, needed: Role) -> Result<Caller, ApiError> {
    let state = req.app_data::<web::Data<State>>().expect("every app is built with a state");
    let text = presented_token(req).ok_or_else(|| {
        ApiError::unauthenticated("puppetlabs.rbac/user-unauthenticated", "Route requires authentication")
    })?;
    // Looked up by its hash: how long that takes depends on bits that nobody can choose, and tells nothing of other tokens.
    let hash = TokenHash::of(&text);
    let token = check(state, hash).await?;
    state.accounts.touch_token(token.id, state.now());
    if token.role < needed {
        let msg = format!(
            "the role {} of {} does not permit this: it takes {}",
            token.role.name(),
            token.login,
            needed.name()
        );
        return Err(ApiError::not_permitted(msg, json!({ "role": token.role.name(), "needed": needed.name() })));
    }
    Ok(Caller { token, hash })
}

async fn check(state: &State, hash: TokenHash) -> Result<TokenRecord, ApiError> {
    let found = state.accounts.token(hash).await?;
    let token = found.ok_or_else(|| {
        ApiError::unauthenticated("puppetlabs.rbac/invalid-token", "The provided token is not valid.")
    })?;
    if token.revoked_at.is_some() {
        let msg = "Authentication token has been revoked.";
        return Err(ApiError::unauthenticated("puppetlabs.rbac/token-revoked", msg));
    }
    if token.expires_at.is_some_and(|end| end <= state.now()) {
        return Err(ApiError::unauthenticated("puppetlabs.rbac/token-expired", "The provided token has expired."));
    }
    Ok(token)
}

fn presented_token(req: &HttpRequest) -> Option<String> {
    let header = req.headers().get(TOKEN_HEADER).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(text) = header.filter(|text| !text.is_empty()) {
        return Some(text.to_owned());
    }
    if req.method() != Method::GET {
        return None;
    }
    let query = Query::of(req);
    query.text(TOKEN_PARAMETER).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}
