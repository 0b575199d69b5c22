//! Who calls, and what they may do: token → account → roles → rights (API §1.4).
//!
//! Handlers name what they need by the extractor that they take: [`Viewer`] and its like want one permission, whatever it
//! is limited to; [`Caller`] is anybody who is known, and the handler asks for the rest. For requests under `/ui`
//! the token is the one of the cookie, and nothing else counts. A token's text lives only as long
//! as its hash takes to compute, and tokens are found by their hash: how long that takes says nothing about the text.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev::Payload, web};
use bunraku_actors::model::{EnvironmentName, Owner, Reach};
use chrono::DateTime;
use serde_json::json;
use uuid::Uuid;

use super::accounts::{TokenHash, TokenRecord};
use super::connection::Peer;
use super::error::ApiError;
use super::request::Query;
use super::rights::{Permission, Rights};
use super::state::State;
use super::ui::Browser;

/// The header that carries a token.
pub(crate) const TOKEN_HEADER: &str = "X-Authentication";
/// The query parameter that carries one, for GET only.
pub(crate) const TOKEN_PARAMETER: &str = "token";

/// What a caller shows to be known.
#[derive(Clone)]
enum Proof {
    Token(TokenHash),
    /// A client certificate that stands for a login.
    Certificate(String),
}

/// An authenticated caller.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) token: TokenRecord,
    pub(crate) roles: Vec<String>,
    pub(crate) rights: Arc<Rights>,
    proof: Proof,
}

/// Remembered with a request once its caller is known, for the log of what was done.
#[derive(Debug, Clone)]
pub(crate) struct KnownLogin(pub(crate) String);

impl Caller {
    /// The caller as the owner of a job.
    pub(crate) fn owner(&self) -> Owner {
        Owner {
            id: self.token.owner_id.to_string(),
            login: self.token.login.clone(),
            display_name: self.token.display_name.clone(),
            role: self.roles.join(","),
        }
    }

    /// Whether the caller is still known; long answers ask again and again.
    pub(crate) async fn still_valid(&self, state: &State) -> bool {
        let rules = state.rules.load_full();
        let roles = match &self.proof {
            Proof::Token(hash) => match check(state, *hash).await {
                Ok(token) if token.role.is_empty() => rules.roles_of(&token.login),
                Ok(token) => vec![token.role],
                Err(_) => return false,
            },
            Proof::Certificate(name) => match rules.login_of(name) {
                Some(login) if !matches!(state.accounts.user(login).await, Ok(Some((user, _))) if user.revoked_at.is_some()) => {
                    rules.roles_of(login)
                }
                _ => return false,
            },
        };
        rules.rights(&roles).may(Permission::View)
    }

    /// Refuses a caller without this permission.
    pub(crate) fn must(&self, permission: Permission) -> Result<(), ApiError> {
        if self.rights.may(permission) { Ok(()) } else { Err(self.lacks(permission, None)) }
    }

    /// The nodes on which the caller may act, with this task or plan and in this environment.
    ///
    /// # Errors
    /// 403 when on none.
    pub(crate) fn reach(
        &self,
        permission: Permission,
        instance: Option<&str>,
        environment: Option<&EnvironmentName>,
    ) -> Result<Reach, ApiError> {
        reach_of(&self.rights, &self.token.login, permission, instance, environment)
    }

    /// Refuses a caller who may not do it with this task, plan or group.
    pub(crate) fn must_with(&self, permission: Permission, instance: &str) -> Result<(), ApiError> {
        if self.rights.may_with(permission, instance) { Ok(()) } else { Err(self.lacks(permission, Some(instance))) }
    }

    /// Whether somebody's thing is the caller's own.
    pub(crate) fn owns(&self, owner: &Owner) -> bool {
        owner.id == self.token.owner_id.to_string()
    }

    fn lacks(&self, permission: Permission, instance: Option<&str>) -> ApiError {
        lacks(&self.token.login, permission, instance)
    }
}

/// The nodes on which somebody with these rights may act.
///
/// # Errors
/// 403 when on none.
pub(crate) fn reach_of(
    rights: &Rights,
    login: &str,
    permission: Permission,
    instance: Option<&str>,
    environment: Option<&EnvironmentName>,
) -> Result<Reach, ApiError> {
    rights.reach(permission, instance, environment).ok_or_else(|| {
        let mut error = lacks(login, permission, instance);
        if rights.may(permission)
            && let Some(environment) = environment
        {
            let with = instance.map(|instance| format!(" with {instance}")).unwrap_or_default();
            let msg = format!("{login} lacks the permission {}{with} in environment {environment}", permission.name());
            let details = json!({ "permission": permission.name(), "instance": instance, "environment": environment });
            error = ApiError::not_permitted(msg, details);
        }
        error
    })
}

/// 403 for somebody without a permission.
pub(crate) fn lacks(login: &str, permission: Permission, instance: Option<&str>) -> ApiError {
    let name = permission.name();
    let with = instance.map(|instance| format!(" with {instance}")).unwrap_or_default();
    let mut details = json!({ "permission": name });
    if let Some(instance) = instance {
        details["instance"] = json!(instance);
    }
    ApiError::not_permitted(format!("{login} lacks the permission {name}{with}"), details)
}

type Extraction<T> = Pin<Box<dyn Future<Output = Result<T, ApiError>>>>;

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Extraction<Self>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let req = req.clone();
        Box::pin(async move { identify(&req).await })
    }
}

macro_rules! extractors {
    ($($(#[$doc:meta])* $name:ident: $permission:ident;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name(pub(crate) Caller);

        impl FromRequest for $name {
            type Error = ApiError;
            type Future = Extraction<Self>;

            fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
                let req = req.clone();
                Box::pin(async move { authorize(&req, Permission::$permission).await.map(Self) })
            }
        }
    )*};
}

extractors! {
    /// A caller who may look.
    Viewer: View;
    /// A caller who may let jobs go on.
    Resumer: ResumeJobs;
    /// A caller who may choose nodes by some group.
    GroupViewer: ViewGroups;
    /// A caller who may make task targets.
    TargetEditor: EditTaskTargets;
    /// A caller who may compare ledgers.
    Verifier: VerifyLedgers;
    /// A caller who may drain the service.
    Drainer: Drain;
    /// A caller who may manage users and tokens.
    AccountManager: ManageAccounts;
    /// A caller who may read the audit log.
    Auditor: ReadAudit;
}

/// The caller of a request, if they have the permission on anything.
pub(crate) async fn authorize(req: &HttpRequest, permission: Permission) -> Result<Caller, ApiError> {
    let caller = identify(req).await?;
    caller.must(permission)?;
    Ok(caller)
}

/// The caller of a request: by a token, else by a certificate that stands for a login.
async fn identify(req: &HttpRequest) -> Result<Caller, ApiError> {
    let state = req.app_data::<web::Data<State>>().expect("every app is built with a state");
    let rules = state.rules.load();
    let browser = req.extensions().get::<Browser>().cloned();
    let by_browser = browser.is_some();
    let presented = match browser {
        Some(browser) => browser.session.map(|session| session.token().to_owned()),
        None => presented_token(req),
    };
    let caller = match presented {
        Some(text) => by_token(state, &text).await?,
        None => {
            // A browser sends a certificate without being asked to, so it is not enough for one.
            let name = req.conn_data::<Peer>().and_then(|peer| peer.certname.clone()).filter(|_| !by_browser);
            let known = name.and_then(|name| Some((rules.login_of(name.as_str())?.to_owned(), name.to_string())));
            let (login, name) = known.ok_or_else(|| {
                ApiError::unauthenticated("puppetlabs.rbac/user-unauthenticated", "Route requires authentication")
            })?;
            let user = state.accounts.user(&login).await?.map(|(user, _)| user);
            if user.as_ref().is_some_and(|user| user.revoked_at.is_some()) {
                let msg = "The user of the certificate has been revoked.";
                return Err(ApiError::unauthenticated("puppetlabs.rbac/user-revoked", msg));
            }
            let roles = rules.roles_of(&login);
            let token = of_certificate(&login, user.map(|user| user.id));
            let rights = state.rights_by(rules.rights(&roles)).await?;
            Caller { rights, roles, token, proof: Proof::Certificate(name) }
        }
    };
    req.extensions_mut().insert(KnownLogin(caller.token.login.clone()));
    Ok(caller)
}

/// The caller who shows this token.
///
/// # Errors
/// 401 for one that is not valid; the store's.
pub(crate) async fn by_token(state: &State, text: &str) -> Result<Caller, ApiError> {
    let hash = TokenHash::of(text);
    let token = check(state, hash).await?;
    state.accounts.touch_token(token.id, state.now());
    let rules = state.rules.load();
    let roles = if token.role.is_empty() { rules.roles_of(&token.login) } else { vec![token.role.clone()] };
    let rights = state.rights_by(rules.rights(&roles)).await?;
    Ok(Caller { rights, roles, token, proof: Proof::Token(hash) })
}

/// A record like that of a token, for a login that a certificate stands for. Its id follows from the login.
fn of_certificate(login: &str, user: Option<Uuid>) -> TokenRecord {
    let id = Uuid::new_v5(&Uuid::NAMESPACE_X500, login.as_bytes());
    TokenRecord {
        id,
        // What the user made with a token is their own by a certificate too.
        owner_id: user.unwrap_or(id),
        login: login.to_owned(),
        display_name: login.to_owned(),
        role: String::new(),
        description: String::new(),
        created_at: DateTime::UNIX_EPOCH,
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
        user_revoked: false,
    }
}

async fn check(state: &State, hash: TokenHash) -> Result<TokenRecord, ApiError> {
    let refused = |kind, msg| Err(ApiError::unauthenticated(kind, msg));
    let Some(token) = state.accounts.token(hash).await? else {
        return refused("puppetlabs.rbac/invalid-token", "The provided token is not valid.");
    };
    if token.user_revoked {
        return refused("puppetlabs.rbac/user-revoked", "The user of the token has been revoked.");
    }
    if token.revoked_at.is_some() {
        return refused("puppetlabs.rbac/token-revoked", "Authentication token has been revoked.");
    }
    if token.expires_at.is_some_and(|end| end <= state.now()) {
        return refused("puppetlabs.rbac/token-expired", "The provided token has expired.");
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
