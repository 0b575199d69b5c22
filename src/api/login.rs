//! Logging in and out: `POST /rbac-api/v1/auth/token` as token clients of Puppet Enterprise call it, and
//! `/bunraku/v1/session`, by which browsers get their cookie and everybody gives up their token.
//!
//! A wrong login and a wrong password look alike, in the answer and in the time that it takes. Attempts are counted for
//! each login and for each address; the computation itself is expensive, and only a few are made at once.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::LazyLock;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, HeaderValue, SET_COOKIE};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use chrono::TimeDelta;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use serde_json::json;
use tokio::sync::Semaphore;

use super::accounts::{NewToken, PasswordHash, TokenHash, UserRecord, new_token_text};
use super::auth::{Caller, by_token};
use super::request::{Body, LoginRequest, login_request, password, read_body};
use super::state::State;
use super::types::WhoAmI;
use super::ui::{Browser, CSRF_HEADER, Session};
use super::{Answer, ApiError, audit, ok};

/// Attempts a minute, for each login.
const FOR_LOGIN: NonZeroU32 = NonZeroU32::new(20).unwrap();
/// Attempts a minute, for each address.
const FOR_ADDRESS: NonZeroU32 = NonZeroU32::new(60).unwrap();
/// With more names than this, those that have rested are forgotten.
const REMEMBERED: usize = 10_000;
/// So many hashes are computed at once, each with 19 MiB of memory.
const AT_ONCE: usize = 2;

/// How long a browser stays logged in.
const SESSION: Duration = Duration::from_secs(12 * 3_600);

/// What keeps guessing slow.
pub(super) struct Guard {
    logins: DefaultKeyedRateLimiter<String>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    computing: Semaphore,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            logins: RateLimiter::keyed(Quota::per_minute(FOR_LOGIN)),
            addresses: RateLimiter::keyed(Quota::per_minute(FOR_ADDRESS)),
            computing: Semaphore::new(AT_ONCE),
        }
    }
}

impl Guard {
    /// Counts an attempt.
    ///
    /// # Errors
    /// 429 when there were too many.
    fn admit(&self, login: &str, address: Option<IpAddr>) -> Result<(), ApiError> {
        if self.logins.len() > REMEMBERED {
            self.logins.retain_recent();
        }
        if self.addresses.len() > REMEMBERED {
            self.addresses.retain_recent();
        }
        let from_here = address.is_none_or(|address| self.addresses.check_key(&address).is_ok());
        if from_here && self.logins.check_key(&login.to_owned()).is_ok() {
            return Ok(());
        }
        Err(ApiError::too_many_attempts())
    }

    /// Whether a password is the one of a hash.
    async fn fits(&self, password: String, hash: String) -> bool {
        self.compute(move || {
            // Made before either answer, so that the first one of a process tells nothing.
            LazyLock::force(&NOBODY);
            let Ok(hash) = Phc::new(&hash) else { return false };
            Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
        })
        .await
        .unwrap_or(false)
    }

    /// The hash of a new password.
    ///
    /// # Errors
    /// 500 when there is no randomness.
    pub(super) async fn hash(&self, password: String) -> Result<PasswordHash, ApiError> {
        let hash = self.compute(move || hash_of(&password)).await.flatten();
        hash.map(PasswordHash).ok_or_else(|| ApiError::internal("the password could not be hashed"))
    }

    async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let _turn = self.computing.acquire().await.ok()?;
        tokio::task::spawn_blocking(work).await.ok()
    }
}

fn hash_of(password: &str) -> Option<String> {
    let hash: Phc = Argon2::default().hash_password(password.as_bytes()).ok()?;
    Some(hash.to_string())
}

/// What the password of an unknown login is held against.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash_of("nobody has this password").unwrap_or_default());

/// Answers a login and a password with a token.
pub(super) async fn login(req: HttpRequest, state: web::Data<State>, body: Body) -> Answer {
    let body = read_body(body, &state.options).await?;
    let text = new_token(&req, &state, login_request(&body)?).await?;
    let mut answer = ok(&json!({ "token": text }))?;
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// Gives a browser its cookie, for `login` and `password`, or for a `token` that somebody has. Answers as `whoami`.
pub(super) async fn open_session(req: HttpRequest, state: web::Data<State>, body: Body) -> Answer {
    // Elsewhere any page could log its visitors in, as somebody else.
    if req.extensions().get::<Browser>().is_none() {
        return Err(ApiError::invalid(CSRF_HEADER, "sessions are for browsers: POST /ui/bunraku/v1/session"));
    }
    let body = read_body(body, &state.options).await?;
    let session = match body.text("token")? {
        Some(token) => Session::new(token.trim().to_owned(), false),
        None => {
            let request = LoginRequest { lifetime: Some(SESSION), label: "browser".into(), ..login_request(&body)? };
            Session::new(new_token(&req, &state, request).await?, true)
        }
    };
    let caller = by_token(&state, session.token()).await?;
    audit::note(&req, "login", &caller.token.login);
    end_earlier(&req, &state).await?;
    let mut answer = ok(&WhoAmI::from(&caller))?;
    set_cookie(&mut answer, &session.cookie())?;
    Ok(answer)
}

/// Ends the session that the browser had before: it has one at a time.
async fn end_earlier(req: &HttpRequest, state: &State) -> Result<(), ApiError> {
    let earlier = req.extensions().get::<Browser>().and_then(|browser| browser.session.clone());
    if let Some(earlier) = earlier.filter(|earlier| earlier.made_here)
        && let Ok(caller) = by_token(state, earlier.token()).await
    {
        state.accounts.revoke_token(caller.token.id, state.now()).await?;
    }
    Ok(())
}

fn set_cookie(answer: &mut HttpResponse, cookie: &str) -> Result<(), ApiError> {
    // What stands in a token that was accepted can stand in a header.
    let value = HeaderValue::from_str(cookie).map_err(|_| ApiError::invalid("token", "token is no token"))?;
    answer.headers_mut().insert(SET_COOKIE, value);
    Ok(())
}

/// Proves a login and gives it a token.
///
/// # Errors
/// 401 for a wrong one and a revoked one, 429 after too many attempts.
async fn new_token(req: &HttpRequest, state: &State, request: LoginRequest) -> Result<String, ApiError> {
    audit::note(req, "login", &request.login);
    let address = req.peer_addr().map(|peer| peer.ip());
    state.guard.admit(&request.login, address)?;
    let LoginRequest { login, password, lifetime, label } = request;
    let user = proven(state, &login, password).await?;
    if user.revoked_at.is_some() {
        let msg = "The user account has been revoked.";
        return Err(ApiError::unauthenticated("puppetlabs.rbac/user-revoked", msg));
    }
    let now = state.now();
    let lifetime = TimeDelta::from_std(lifetime.unwrap_or(Duration::MAX)).ok();
    let token = NewToken {
        login: user.login.clone(),
        display_name: user.display_name,
        role: String::new(),
        description: label,
        expires_at: lifetime.and_then(|lifetime| now.checked_add_signed(lifetime)),
    };
    let text = new_token_text();
    state.accounts.create_token(token, TokenHash::of(&text), now).await?;
    state.accounts.note_login(&user.login, now).await?;
    tracing::info!(login = user.login, "logged in");
    Ok(text)
}

/// The user with this login and password.
///
/// # Errors
/// 401, the same for a wrong login and a wrong password.
async fn proven(state: &State, login: &str, password: String) -> Result<UserRecord, ApiError> {
    let found = state.accounts.user(login).await?;
    let hash = found.as_ref().map_or_else(|| NOBODY.clone(), |(_, hash)| hash.0.clone());
    let fits = state.guard.fits(password, hash).await;
    found.filter(|_| fits).map(|(user, _)| user).ok_or_else(|| {
        let msg = "The login or the password is not correct.";
        ApiError::unauthenticated("puppetlabs.rbac/invalid-credentials", msg)
    })
}

/// Revokes the caller's own token. A browser loses its cookie; a token that somebody brought to it stays valid.
pub(super) async fn logout(req: HttpRequest, state: web::Data<State>, caller: Caller) -> Answer {
    let browser = req.extensions().get::<Browser>().cloned();
    let brought = browser.as_ref().and_then(|browser| browser.session.as_ref()).is_some_and(|by| !by.made_here);
    if !brought {
        state.accounts.revoke_token(caller.token.id, state.now()).await?;
    }
    let mut answer = HttpResponse::NoContent().finish();
    if browser.is_some() {
        set_cookie(&mut answer, &Session::no_cookie())?;
    }
    Ok(answer)
}

/// Changes the caller's own password; all sessions of the login end.
pub(super) async fn change_password(req: HttpRequest, state: web::Data<State>, caller: Caller, body: Body) -> Answer {
    let body = read_body(body, &state.options).await?;
    body.only(&["old", "new"])?;
    let (old, new) = (body.required_text("old")?.to_owned(), password(&body, "new")?);
    let login = &caller.token.login;
    state.guard.admit(login, req.peer_addr().map(|peer| peer.ip()))?;
    proven(&state, login, old).await?;
    let change = super::accounts::UserChange { password: Some(state.guard.hash(new).await?), ..Default::default() };
    state.accounts.change_user(login, change, state.now()).await?;
    Ok(HttpResponse::NoContent().finish())
}
