//! Bodies about users: logging in, making and changing them.

use std::time::Duration;

use super::Object;
use super::token::{MAX_NAME, login};
use crate::api::accounts::UserChange;
use crate::api::error::ApiError;

/// How long a session lasts unless the request says otherwise, as in Puppet Enterprise.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(3_600);
/// The longest session.
const MAX_LIFETIME: Duration = Duration::from_secs(10 * 365 * 86_400);
/// The shortest password.
const SHORTEST: usize = 8;
/// The longest password, in characters.
const LONGEST: usize = 256;

/// A checked login.
pub(crate) struct LoginRequest {
    pub(crate) login: String,
    pub(crate) password: String,
    /// `None` never ends.
    pub(crate) lifetime: Option<Duration>,
    pub(crate) label: String,
}

/// Checks the body of `POST /rbac-api/v1/auth/token`: `login`, `password`, `lifetime` (`"30m"`, `"4h"`, `"1d"`, `"0"` for
/// one without an end), `label`. Unknown keys are ignored, as clients of Puppet Enterprise send some.
///
/// # Errors
/// 400 naming the key.
pub(crate) fn login_request(body: &Object) -> Result<LoginRequest, ApiError> {
    let login = body.required_text("login")?;
    if login.len() > MAX_NAME {
        return Err(ApiError::invalid("login", format!("login must be at most {MAX_NAME} characters")));
    }
    let password = body.required_text("password")?;
    if password.chars().count() > LONGEST {
        return Err(ApiError::invalid("password", format!("password must be at most {LONGEST} characters")));
    }
    Ok(LoginRequest {
        login: login.to_owned(),
        password: password.to_owned(),
        lifetime: lifetime(body)?,
        label: body.text("label")?.unwrap_or_default().chars().take(MAX_NAME).collect(),
    })
}

fn lifetime(body: &Object) -> Result<Option<Duration>, ApiError> {
    let Some(text) = body.text("lifetime")? else { return Ok(Some(DEFAULT_LIFETIME)) };
    if text == "0" {
        return Ok(None);
    }
    // Clients of Puppet Enterprise write a plain number for seconds.
    let plain = text.parse().ok().map(Duration::from_secs);
    let lifetime = plain.or_else(|| humantime::parse_duration(text).ok());
    lifetime.filter(|lifetime| !lifetime.is_zero() && *lifetime <= MAX_LIFETIME).map(Some).ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        ApiError::invalid("lifetime", format!("lifetime must be such as 30m, 4h, 1d, at most 10 years, not '{shown}'"))
    })
}

/// Checks the body of a new user: `login`, `password`, `display_name`, `email`. Returns the password apart: it is hashed
/// elsewhere.
///
/// # Errors
/// 400 naming the key.
pub(crate) fn new_user(body: &Object) -> Result<(String, String, UserChange), ApiError> {
    body.only(&["login", "password", "display_name", "email"])?;
    Ok((login(body)?, password(body, "password")?, names(body)?))
}

/// Checks what to change of a user: `password`, `display_name`, `email`, `revoked`.
///
/// # Errors
/// 400 naming the key.
pub(crate) fn user_change(body: &Object) -> Result<(Option<String>, UserChange), ApiError> {
    body.only(&["password", "display_name", "email", "revoked"])?;
    let new_password = body.value("password").map(|_| password(body, "password")).transpose()?;
    Ok((new_password, UserChange { revoked: body.flag("revoked")?, ..names(body)? }))
}

fn names(body: &Object) -> Result<UserChange, ApiError> {
    let text = |key: &str| {
        let text = body.text(key)?;
        match text {
            Some(text) if text.chars().count() > MAX_NAME => {
                Err(ApiError::invalid(key, format!("{key} must be at most {MAX_NAME} characters")))
            }
            text => Ok(text.map(str::to_owned)),
        }
    };
    Ok(UserChange { display_name: text("display_name")?, email: text("email")?, ..UserChange::default() })
}

/// A new password.
///
/// # Errors
/// 400 naming the key; the password is never shown.
pub(crate) fn password(body: &Object, key: &str) -> Result<String, ApiError> {
    let password = body.required_text(key)?;
    if !(SHORTEST..=LONGEST).contains(&password.chars().count()) {
        let msg = format!("{key} must have {SHORTEST} to {LONGEST} characters");
        return Err(ApiError::invalid(key, msg));
    }
    Ok(password.to_owned())
}
