//! The body of `POST /bunraku/v1/tokens`.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::Object;
use crate::api::accounts::{NewToken, Role};
use crate::api::error::ApiError;

/// How long a token lives unless the request says otherwise.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(365 * 86_400);
/// The longest lifetime: a hundred years, far from the end of what times can hold.
const MAX_LIFETIME: Duration = Duration::from_secs(100 * 365 * 86_400);
/// The longest login and display name.
const MAX_NAME: usize = 128;

/// Checks the body of a token's creation: `login`, `role`, `lifetime` (`"30d"`, or `"unlimited"`), `display_name`,
/// `description`.
///
/// # Errors
/// 400 naming the key.
pub(crate) fn token_request(body: &Object, now: DateTime<Utc>) -> Result<NewToken, ApiError> {
    body.only(&["login", "role", "lifetime", "display_name", "description"])?;
    let login = body.required_text("login")?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
    if login.is_empty() || login.len() > MAX_NAME || !login.bytes().all(legal) {
        let msg = format!("login must be 1 to {MAX_NAME} letters, digits and . _ @ -");
        return Err(ApiError::invalid("login", msg));
    }
    let display_name = body.text("display_name")?.unwrap_or(login);
    if display_name.chars().count() > MAX_NAME {
        return Err(ApiError::invalid("display_name", format!("display_name must be at most {MAX_NAME} characters")));
    }
    Ok(NewToken {
        login: login.to_owned(),
        display_name: display_name.to_owned(),
        role: role(body)?,
        description: body.text("description")?.unwrap_or_default().to_owned(),
        expires_at: expiry(body, now)?,
    })
}

fn role(body: &Object) -> Result<Role, ApiError> {
    let name = body.required_text("role")?;
    Role::from_name(name).ok_or_else(|| {
        let names: Vec<_> = Role::ALL.into_iter().map(Role::name).collect();
        let shown: String = name.chars().take(80).collect();
        ApiError::invalid("role", format!("role must be one of {}, not '{shown}'", names.join(", ")))
    })
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
