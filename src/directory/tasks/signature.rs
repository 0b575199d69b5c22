//! The parameters of a plan in Puppet's language, from its head: `plan shop::deploy(TargetSpec $nodes, Integer $n = 5) {`.
//!
//! This is no parser of the language. What it does not understand (heredocs, divisions, regular expressions in defaults, types
//! that [`DataType`] does not know how to read) makes the whole head one that is not understood; nothing is guessed.

mod literal;

use bunraku_actors::datatype::DataType;
use serde_json::{Map, Value, json};

/// The deepest nesting of brackets, and of strings in strings.
const MAX_DEPTH: usize = 32;

/// The parameters of the plan of that name, as API §6.1 shows them; `None` where the head is not understood.
pub(super) fn parameters(text: &str, plan: &str) -> Option<Map<String, Value>> {
    let mut head = Scanner { rest: text };
    head.skip_blank()?;
    head.expect("plan")?;
    let blank = head.rest;
    head.skip_blank()?;
    if head.rest.len() == blank.len() {
        return None;
    }
    // Puppet takes a name from the top as well.
    let _ = head.expect("::");
    head.expect(plan)?;
    let goes_on = |character: char| character.is_alphanumeric() || character == '_' || character == ':';
    if head.rest.starts_with(goes_on) {
        return None;
    }
    head.skip_blank()?;
    let mut found = Map::new();
    if head.expect("(").is_some() {
        while !head.at_end_of_list()? {
            let (name, shown) = head.parameter()?;
            if found.insert(name, shown).is_some() {
                return None;
            }
            head.skip_blank()?;
            if head.expect(",").is_none() && !head.rest.starts_with(')') {
                return None;
            }
        }
        head.expect(")")?;
        head.skip_blank()?;
    }
    head.rest.starts_with('{').then_some(found)
}

/// What is still to be read.
struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn expect(&mut self, text: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    /// One character.
    fn take(&mut self) -> Option<char> {
        let first = self.rest.chars().next()?;
        self.rest = &self.rest[first.len_utf8()..];
        Some(first)
    }

    /// Passes white space and comments; `None` for a comment without an end.
    fn skip_blank(&mut self) -> Option<()> {
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.starts_with('#') {
                self.rest = self.rest.find('\n').map_or("", |end| &self.rest[end..]);
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                self.rest = &comment[comment.find("*/")? + 2..];
            } else {
                return Some(());
            }
        }
    }

    fn at_end_of_list(&mut self) -> Option<bool> {
        self.skip_blank()?;
        Some(self.rest.starts_with(')'))
    }

    /// `Type $name = default`; type and default may be missing.
    fn parameter(&mut self) -> Option<(String, Value)> {
        let of_type = self.expression(&['$'], true)?;
        let shown_type = if of_type.is_empty() { "Any" } else { of_type.as_str() };
        DataType::parse(shown_type).ok()?;
        self.expect("$")?;
        let end = self.rest.find(|one: char| !(one.is_ascii_alphanumeric() || one == '_')).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        let begins_well = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
        if !begins_well {
            return None;
        }
        self.rest = rest;
        self.skip_blank()?;
        let mut shown = json!({ "type": shown_type });
        if self.expect("=").is_some() {
            self.skip_blank()?;
            let default = self.expression(&[',', ')'], false)?;
            if default.is_empty() {
                return None;
            }
            shown["default_value"] = literal::value(&default).unwrap_or(Value::String(default));
        }
        Some((name.to_owned(), shown))
    }

    /// The text up to one of these characters outside of all brackets and strings: without comments, blanks as one.
    fn expression(&mut self, ends: &[char], is_type: bool) -> Option<String> {
        let mut text = String::new();
        let mut open = Vec::new();
        loop {
            let before = self.rest.len();
            self.skip_blank()?;
            if self.rest.len() < before && !text.is_empty() {
                text.push(' ');
            }
            let next = self.rest.chars().next()?;
            if open.is_empty() && ends.contains(&next) {
                text.truncate(text.trim_end().len());
                return Some(text);
            }
            match next {
                '\'' | '"' => text.push_str(self.quoted(0)?),
                '/' if is_type => text.push_str(self.pattern()?),
                // A division, a regular expression, a heredoc: not told apart here.
                '/' | '@' => return None,
                '(' | '[' | '{' => {
                    if open.len() == MAX_DEPTH {
                        return None;
                    }
                    open.push(next);
                    text.push(self.take()?);
                }
                ')' | ']' | '}' => {
                    let pair = matches!((open.pop()?, next), ('(', ')') | ('[', ']') | ('{', '}'));
                    if !pair {
                        return None;
                    }
                    text.push(self.take()?);
                }
                _ => text.push(self.take()?),
            }
        }
    }

    /// A string with its quotes; what is interpolated may hold strings again.
    fn quoted(&mut self, depth: usize) -> Option<&'a str> {
        let whole = self.rest;
        let quote = self.take()?;
        if depth > MAX_DEPTH {
            return None;
        }
        loop {
            match self.take()? {
                '\\' => drop(self.take()?),
                end if end == quote => return Some(&whole[..whole.len() - self.rest.len()]),
                '$' if quote == '"' && self.rest.starts_with('{') => self.interpolated(depth)?,
                _ => {}
            }
        }
    }

    /// `{ … }` behind a dollar sign in a string.
    fn interpolated(&mut self, depth: usize) -> Option<()> {
        let mut open = 0_usize;
        loop {
            match self.rest.chars().next()? {
                '\'' | '"' => drop(self.quoted(depth + 1)?),
                '{' => {
                    open += 1;
                    self.take()?;
                }
                '}' => {
                    open -= 1;
                    self.take()?;
                    if open == 0 {
                        return Some(());
                    }
                }
                _ => drop(self.take()?),
            }
        }
    }

    /// A regular expression with its strokes.
    fn pattern(&mut self) -> Option<&'a str> {
        let whole = self.rest;
        self.take()?;
        loop {
            match self.take()? {
                '\\' => drop(self.take()?),
                '\n' => return None,
                '/' => return Some(&whole[..whole.len() - self.rest.len()]),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
