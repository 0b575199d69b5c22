//! Reads JSON of any depth. Servers keep what they send shallow; one that does not must not spoil a job's exit code.

use bunraku_actors::model::Nesting;
use serde_json::Value;

/// The parser refuses deeper text: it would use up the stack.
const READABLE: usize = 120;

/// Parses an answer. What nests too deep in it is shown as its text.
pub(crate) fn parse(json: &[u8]) -> serde_json::Result<Value> {
    if Nesting::beyond(json, READABLE).is_none() {
        serde_json::from_slice(json)
    } else {
        serde_json::from_slice(&folded(json))
    }
}

/// The same JSON with every array and object beyond the limit as a string.
fn folded(json: &[u8]) -> Vec<u8> {
    let mut nesting = Nesting::default();
    let mut shown = Vec::with_capacity(json.len());
    let mut deep = Vec::new();
    for byte in json.iter().copied() {
        if nesting.step(byte) > READABLE {
            deep.push(byte);
            continue;
        }
        // Between two that are too deep stands at least a comma.
        if !deep.is_empty() {
            let text = String::from_utf8_lossy(&deep).into_owned();
            shown.extend(Value::String(text).to_string().into_bytes());
            deep.clear();
        }
        shown.push(byte);
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn deep_parts_are_shown_as_text_and_the_rest_as_it_is() {
        let deep = format!("{}\"a\"{}", "[".repeat(500), "]".repeat(500));
        let answer = format!(r#"{{"state": "finished", "userdata": {deep}, "after": [1]}}"#);
        let read = parse(answer.as_bytes()).unwrap();
        assert_eq!((&read["state"], &read["after"]), (&json!("finished"), &json!([1])));
        let mut inner = &read["userdata"];
        while let Value::Array(items) = inner {
            inner = &items[0];
        }
        let levels = 500 - (READABLE - 1);
        assert_eq!(*inner, json!(format!("{}\"a\"{}", "[".repeat(levels), "]".repeat(levels))));
    }

    #[test]
    fn what_is_no_json_is_still_refused() {
        assert!(parse(b"{").is_err());
        assert!(parse("[".repeat(500).as_bytes()).is_err());
    }
}
