//! Keys that every job-creating command has, and the helpers that normalized `options` share.

use std::num::NonZeroU32;
use std::time::Duration;

use bunraku_actors::model::{Common, Origin, Owner, Reach};
use serde_json::{Map, Value, json};

use super::Object;
use crate::api::error::ApiError;

/// The most that `userdata` and a task's `params` may each be, as JSON: they are kept with the job, and lists show them.
pub(super) const ATTACHED_BYTES: usize = 64 * 1024;

/// Reads `description`, `concurrency`, `timeout` and `userdata`; `options` is filled in by the caller.
///
/// # Errors
/// 400 naming the key.
pub(super) fn common(body: &Object, owner: Owner) -> Result<Common, ApiError> {
    Ok(Common {
        owner,
        description: body.text("description")?.unwrap_or_default().to_owned(),
        concurrency: concurrency(body)?,
        timeout: body.integer("timeout", 1)?.map(Duration::from_secs),
        userdata: Value::Object(attached(body, "userdata")?),
        options: Value::Null,
        reach: Reach::All,
        origin: Origin::default(),
        once: None,
    })
}

/// An object that is kept with the job as it came, `{}` when absent.
///
/// # Errors
/// 400 naming the key and its size when it is larger than [`ATTACHED_BYTES`].
pub(super) fn attached(body: &Object, key: &str) -> Result<Map<String, Value>, ApiError> {
    let Some(map) = body.map(key)? else { return Ok(Map::new()) };
    let size = serde_json::to_vec(map).map_or(usize::MAX, |json| json.len());
    if size > ATTACHED_BYTES {
        let msg = format!("{key} must be at most {ATTACHED_BYTES} bytes of JSON, not {size}");
        return Err(ApiError::validation(msg, json!({ "key": key, "size": size, "limit": ATTACHED_BYTES })));
    }
    Ok(map.clone())
}

fn concurrency(body: &Object) -> Result<Option<NonZeroU32>, ApiError> {
    let Some(number) = body.integer("concurrency", 1)? else { return Ok(None) };
    let fits = u32::try_from(number).ok().and_then(NonZeroU32::new);
    fits.map(Some).ok_or_else(|| {
        ApiError::invalid("concurrency", format!("concurrency must be at most {}, not {number}", u32::MAX))
    })
}

/// A text that becomes an argument of `puppet agent`. Agents refuse other characters on every node, so they are refused
/// here; a leading hyphen would be read as another flag.
///
/// # Errors
/// 400 naming the key.
pub(super) fn argument(body: &Object, key: &str) -> Result<Option<String>, ApiError> {
    let Some(text) = body.text(key)? else { return Ok(None) };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_:,.-".contains(&byte);
    if text.is_empty() || text.starts_with('-') || !text.bytes().all(legal) {
        let shown: String = text.chars().take(80).collect();
        let msg = format!(
            "{key} must consist of letters, digits and _ : , . - only and not begin with a hyphen, unlike '{shown}'"
        );
        return Err(ApiError::invalid(key, msg));
    }
    Ok(Some(text.to_owned()))
}

/// Copies keys that the request gave, and only those, into the normalized options.
pub(super) fn copy_given(body: &Object, keys: &[&str], options: &mut Map<String, Value>) {
    for key in keys {
        if let Some(value) = body.value(key) {
            options.insert((*key).to_owned(), value.clone());
        }
    }
}

/// `concurrency` as options show it.
pub(super) fn shown_concurrency(common: &Common) -> Value {
    common.concurrency.map_or(Value::Null, |number| json!(number.get()))
}
