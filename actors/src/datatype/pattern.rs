//! The regular expressions of `Pattern[…]`: Ruby's, translated to those of the `regex` crate where they differ a bit.
//!
//! What cannot be translated (looking around, references back, very large ones) matches every string here, for the task
//! will see for itself. Translations rather match more than Ruby than less: atomic groups and the like are left out.

use std::fmt;

use regex::{Regex, RegexBuilder};

/// What one pattern may cost when compiled, in bytes.
const LARGEST: usize = 256 * 1024;

/// A regular expression that fits anywhere in a string.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    text: String,
    /// `None` if it can only be kept.
    compiled: Option<Regex>,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Pattern {
    /// `None` for a text that ends with half an escape: it could not be written between slashes.
    pub(super) fn new(written: &str) -> Option<Self> {
        let mut text = String::new();
        let mut characters = written.chars();
        while let Some(next) = characters.next() {
            let escaped = if next == '\\' { Some(characters.next()?) } else { None };
            // The slash needs its escape between slashes only.
            if escaped != Some('/') {
                text.push(next);
            }
            text.extend(escaped);
        }
        let compiled = compile(&text);
        Some(Self { text, compiled })
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.compiled.as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.text.replace('/', "\\/"))
    }
}

fn compile(text: &str) -> Option<Regex> {
    // In a class the crate subtracts with these, where Ruby has characters.
    if text.contains('[') && (text.contains("--") || text.contains("~~")) {
        return None;
    }
    let mut builder = RegexBuilder::new(&translate(text));
    // In Ruby `^` and `$` always match at every line.
    builder.multi_line(true).size_limit(LARGEST).dfa_size_limit(LARGEST).nest_limit(64).build().ok()
}

fn translate(ruby: &str) -> String {
    let mut translated = String::new();
    let mut rest = ruby;
    let mut open_classes: usize = 0;
    while let Some(next) = rest.chars().next() {
        let (length, replacement) = replace(rest, next, open_classes > 0);
        match (next, &replacement) {
            ('[', None) => open_classes += 1,
            (']', None) => open_classes = open_classes.saturating_sub(1),
            _ => {}
        }
        match replacement {
            Some(replacement) => translated.push_str(&replacement),
            None => translated.push_str(&rest[..length]),
        }
        rest = &rest[length..];
    }
    translated
}

/// How many bytes at the start of the text belong together, and what to put in their place if they do not stay.
fn replace(rest: &str, next: char, in_class: bool) -> (usize, Option<String>) {
    let named = |table: &[(&str, &str)]| {
        let found = table.iter().find(|(ruby, _)| rest.starts_with(ruby));
        found.map(|(ruby, replacement)| (ruby.len(), Some((*replacement).to_owned())))
    };
    if let Some(escaped) = rest.strip_prefix('\\') {
        let length = 1 + escaped.chars().next().map_or(0, char::len_utf8);
        return named(&ESCAPES).unwrap_or((length, None));
    }
    if let Some(found) = named(&CLASSES) {
        return found;
    }
    // `m` lets the dot match line ends in Ruby, which is `s` elsewhere.
    let flags = rest.strip_prefix("(?").map(|inside| inside.split([':', ')']).next().unwrap_or(""));
    match flags {
        Some(flags) if !in_class && flags.chars().all(|flag| "mix-".contains(flag)) => {
            (flags.len() + 2, Some(format!("(?{}", flags.replace('m', "s"))))
        }
        _ => (next.len_utf8(), None),
    }
}

/// Ruby's short classes hold ASCII only, the crate's do not. A class may stand in brackets in both.
const ESCAPES: [(&str, &str); 11] = [
    (r"\h", "[0-9a-fA-F]"),
    (r"\H", "[^0-9a-fA-F]"),
    (r"\d", "[0-9]"),
    (r"\D", "[^0-9]"),
    (r"\w", "[0-9A-Za-z_]"),
    (r"\W", "[^0-9A-Za-z_]"),
    (r"\s", r"[ \t\r\n\x0B\x0C]"),
    (r"\S", r"[^ \t\r\n\x0B\x0C]"),
    // The end, or before a line end there.
    (r"\Z", r"(?:\n?\z)"),
    // To the crate these are the ends of words.
    (r"\<", r"\x3C"),
    (r"\>", r"\x3E"),
];

/// Ruby's named classes are not limited to ASCII, the crate's are.
const CLASSES: [(&str, &str); 6] = [
    ("[:alpha:]", r"\p{Alphabetic}"),
    ("[:digit:]", r"\p{Nd}"),
    ("[:alnum:]", r"\p{Alphabetic}\p{Nd}"),
    ("[:upper:]", r"\p{Uppercase}"),
    ("[:lower:]", r"\p{Lowercase}"),
    ("[:space:]", r"\s"),
];
