//! How deep JSON from outside may nest. What is accepted is kept and shown inside other JSON, and every reader of that
//! has a limit of its own; so there is one limit at the doors, far below those.

use serde_json::Value;

/// The most arrays and objects inside each other in what a client or an agent sends.
pub const MAX_NESTING: usize = 64;

/// Walks along a JSON text and knows how deep it is. It does not judge whether the text is JSON.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nesting {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Nesting {
    /// Takes the next byte; returns the depth at which it stands. Brackets count to what they enclose.
    pub fn step(&mut self, byte: u8) -> usize {
        let here = self.depth;
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            b'[' | b'{' if !self.in_string => {
                self.depth += 1;
                return self.depth;
            }
            b']' | b'}' if !self.in_string => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        here
    }

    /// The place of the first bracket in a JSON text that opens more than `limit` levels.
    #[must_use]
    pub fn beyond(json: &[u8], limit: usize) -> Option<usize> {
        let mut nesting = Self::default();
        json.iter().position(|byte| nesting.step(*byte) > limit)
    }
}

/// The value, or its JSON text when it nests deeper than [`MAX_NESTING`]: nothing is lost, and everyone can read it.
#[must_use]
pub fn shallow(value: Value) -> Value {
    if within(&value, MAX_NESTING) { value } else { Value::String(value.to_string()) }
}

fn within(value: &Value, limit: usize) -> bool {
    match value {
        Value::Array(items) => limit > 0 && items.iter().all(|item| within(item, limit - 1)),
        Value::Object(entries) => limit > 0 && entries.values().all(|entry| within(entry, limit - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn depth_is_counted_outside_of_strings_only() {
        assert_eq!(Nesting::beyond(nested(3).as_bytes(), 3), None);
        assert_eq!(Nesting::beyond(nested(3).as_bytes(), 2), Some(2));
        assert_eq!(Nesting::beyond(br#"["[[[[\"[[", "\\", {}]"#, 2), None);
        assert_eq!(Nesting::beyond(br#"{"a": "\\", "b": [{}]}"#, 2), Some(18));
        assert_eq!(Nesting::beyond(b"[] [] [] []", 1), None);
    }

    #[test]
    fn values_too_deep_become_their_text() {
        let just: Value = serde_json::from_str(&nested(MAX_NESTING)).unwrap();
        assert_eq!(shallow(just.clone()), just);
        let text = nested(MAX_NESTING + 1);
        assert_eq!(shallow(serde_json::from_str(&text).unwrap()), json!(text));
    }
}
