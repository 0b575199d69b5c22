//! Commands that happen once: `Idempotency-Key`.
//!
//! The same key, caller and command within a day gives the first answer again; another command under the key is refused.
//! The key is committed with what the command makes; where that may as well be done twice (stops, ends of plan jobs), right
//! after it.

use std::fmt::Write as _;

use actix_web::HttpRequest;
use bunraku_actors::model::OnceKey;
use bunraku_actors::ports::Refusal;
use chrono::TimeDelta;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::ApiError;
use super::auth::Caller;
use super::records::Made;
use super::request::Object;
use super::state::State;

/// The header.
const HEADER: &str = "Idempotency-Key";
/// The longest key.
const LONGEST: usize = 255;
/// How long a key is kept.
const KEPT: TimeDelta = TimeDelta::hours(24);

/// Carries a command out, once for each key: `work` is handed the key to commit with what it makes.
///
/// # Errors
/// 400 for a key that is none, 409 for one that belongs to another command, and those of `work`.
pub(super) async fn once<W>(
    req: &HttpRequest,
    state: &State,
    caller: &Caller,
    body: &Object,
    work: impl FnOnce(Option<OnceKey>) -> W,
) -> Result<Made, ApiError>
where
    W: Future<Output = Result<Made, ApiError>>,
{
    let Some(key) = key_of(req, state, caller, body)? else { return work(None).await };
    if let Some(made) = before(state, &key).await? {
        return Ok(made);
    }
    match work(Some(key.clone())).await {
        // Another request with the same key came first.
        Err(error) if error.is_repeat() => before(state, &key).await?.ok_or(error),
        other => other,
    }
}

/// Keeps the key of a command that may as well be carried out twice, after it was.
///
/// # Errors
/// The store's.
pub(super) async fn remembered(state: &State, key: Option<OnceKey>, made: Made) -> Result<Made, ApiError> {
    if let Some(key) = key {
        state.records.remember(key, made.clone()).await?;
    }
    Ok(made)
}

/// What the same command made before.
async fn before(state: &State, key: &OnceKey) -> Result<Option<Made>, ApiError> {
    let Some(known) = state.records.once(&key.owner, &key.key, state.now()).await? else { return Ok(None) };
    if known.fingerprint != key.fingerprint {
        return Err(Refusal::OtherCommand(key.key.clone()).into());
    }
    Ok(Some(known.made))
}

fn key_of(req: &HttpRequest, state: &State, caller: &Caller, body: &Object) -> Result<Option<OnceKey>, ApiError> {
    let Some(value) = req.headers().get(HEADER) else { return Ok(None) };
    if req.headers().get_all(HEADER).nth(1).is_some() {
        return Err(ApiError::invalid(HEADER, format!("{HEADER} must be given once")));
    }
    let text = value.to_str().unwrap_or_default().trim();
    if text.is_empty() || text.len() > LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return Err(ApiError::invalid(HEADER, format!("{HEADER} must be 1 to {LONGEST} printable ASCII characters")));
    }
    let mut command = Zeroizing::new(format!("{} {}\n", req.method(), req.path().trim_end_matches('/')));
    canonical(body.as_map(), &mut command);
    Ok(Some(OnceKey {
        owner: caller.token.owner_id.to_string(),
        key: text.to_owned(),
        // With a key: a body may hold what is secret, and short, and a bare hash of it could be guessed.
        fingerprint: Sha256::new().chain_update(state.fingerprints).chain_update(&command).finalize().into(),
        until: state.now() + KEPT,
    }))
}

/// Writes an object with its keys in order, for clients that keep none.
fn canonical(map: &serde_json::Map<String, Value>, text: &mut String) {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(name, _)| name.as_str());
    text.push('{');
    for (name, value) in entries {
        // Writing to a text does not fail.
        let _ = write!(text, "{}:", Value::from(name.as_str()));
        canonical_value(value, text);
        text.push(',');
    }
    text.push('}');
}

fn canonical_value(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => canonical(map, text),
        Value::Array(items) => {
            text.push('[');
            for item in items {
                canonical_value(item, text);
                text.push(',');
            }
            text.push(']');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(value: &Value) -> String {
        let mut text = String::new();
        canonical_value(value, &mut text);
        text
    }

    #[test]
    fn the_order_of_keys_makes_no_other_command() {
        let one = json!({ "a": 1, "b": [{ "c": null, "d": "x" }] });
        let other = json!({ "b": [{ "d": "x", "c": null }], "a": 1 });
        assert_eq!(written(&one), written(&other));
        for different in [json!({ "a": 1 }), json!({ "a": "1", "b": [{ "c": null, "d": "x" }] }), json!([])] {
            assert_ne!(written(&one), written(&different));
        }
    }
}
