//! The body of `POST /bunraku/v1/tokens`.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::Object;
use crate::api::accounts::NewToken;
use crate::api::error::ApiError;
use crate::api::rights::Rules;

/// How long a token lives unless the request says otherwise.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(365 * 86_400);
/// The longest lifetime: a hundred years, far from the end of what times can hold.
const MAX_LIFETIME: Duration = Duration::from_secs(100 * 365 * 86_400);
/// The longest login and display name.
pub(super) const MAX_NAME: usize = 128;

/// Checks the body of a token's creation: `login`, `role`, `lifetime` (`"30d"`, or `"unlimited"`), `display_name`,
/// `description`.
///
/// # Errors
/// 400 naming the key.
pub(crate) fn token_request(body: &Object, rules: &Rules, now: DateTime<Utc>) -> Result<NewToken, ApiError> {
    body.only(&["login", "role", "lifetime", "display_name", "description"])?;
    let login = login(body)?;
    let display_name = body.text("display_name")?.unwrap_or(&login).to_owned();
    if display_name.chars().count() > MAX_NAME {
        return Err(ApiError::invalid("display_name", format!("display_name must be at most {MAX_NAME} characters")));
    }
    Ok(NewToken {
        display_name,
        login,
        role: role(body, rules)?,
        description: body.text("description")?.unwrap_or_default().to_owned(),
        expires_at: expiry(body, now)?,
    })
}

/// The login of a body.
///
/// # Errors
/// 400 for characters that a login cannot have.
pub(super) fn login(body: &Object) -> Result<String, ApiError> {
    let login = body.required_text("login")?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
    if login.is_empty() || login.len() > MAX_NAME || !login.bytes().all(legal) {
        let msg = format!("login must be 1 to {MAX_NAME} letters, digits and . _ @ -");
        return Err(ApiError::invalid("login", msg));
    }
    Ok(login.to_owned())
}

fn role(body: &Object, rules: &Rules) -> Result<String, ApiError> {
    let name = body.required_text("role")?;
    if rules.knows(name) {
        return Ok(name.to_owned());
    }
    let shown: String = name.chars().take(80).collect();
    Err(ApiError::invalid("role", format!("role must be one of {}, not '{shown}'", rules.names().join(", "))))
}

fn expiry(body: &Object, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, ApiError> {
    let lifetime = match body.text("lifetime")? {
        None => DEFAULT_LIFETIME,
        Some("unlimited") => return Ok(None),
        Some(text) => humantime::parse_duration(text).map_err(|error| {
            ApiError::invalid("lifetime", format!("lifetime must be such as 12h, 30d or unlimited: {error}"))
        })?,
    };
    if lifetime.is_zero() || lifetime > MAX_LIFETIME {
        return Err(ApiError::invalid("lifetime", "lifetime must be more than nothing and at most 100 years"));
    }
    let lifetime = TimeDelta::from_std(lifetime).expect("a hundred years fit");
    Ok(Some(now + lifetime))
}
