//! Values that stand in the text as they are: what is an expression is none.

use serde_json::{Map, Value};

use super::{MAX_DEPTH, Scanner};

/// The value of a text that is nothing but a literal.
pub(super) fn value(text: &str) -> Option<Value> {
    let mut scanner = Scanner { rest: text };
    let value = read(&mut scanner, 0)?;
    scanner.skip_blank()?;
    scanner.rest.is_empty().then_some(value)
}

fn read(scanner: &mut Scanner<'_>, depth: usize) -> Option<Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    scanner.skip_blank()?;
    match scanner.rest.chars().next()? {
        '\'' | '"' => string(scanner).map(Value::String),
        '[' => array(scanner, depth),
        '{' => hash(scanner, depth),
        _ => word(scanner),
    }
}

fn string(scanner: &mut Scanner<'_>) -> Option<String> {
    let quoted = scanner.quoted(0)?;
    let (quote, inner) = (quoted.chars().next()?, quoted.get(1..quoted.len() - 1)?);
    let mut text = String::new();
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', '\'') => match characters.next()? {
                plain @ ('\'' | '\\') => text.push(plain),
                other => text.extend(['\\', other]),
            },
            ('\\', _) => match characters.next()? {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                's' => text.push(' '),
                plain @ ('"' | '\'' | '\\' | '$') => text.push(plain),
                _ => return None,
            },
            // It is filled in when the plan runs.
            ('$', '"') => return None,
            (other, _) => text.push(other),
        }
    }
    Some(text)
}

fn array(scanner: &mut Scanner<'_>, depth: usize) -> Option<Value> {
    scanner.expect("[")?;
    let mut items = Vec::new();
    loop {
        scanner.skip_blank()?;
        if scanner.expect("]").is_some() {
            return Some(Value::Array(items));
        }
        items.push(read(scanner, depth + 1)?);
        separated(scanner, ']')?;
    }
}

fn hash(scanner: &mut Scanner<'_>, depth: usize) -> Option<Value> {
    scanner.expect("{")?;
    let mut entries = Map::new();
    loop {
        scanner.skip_blank()?;
        if scanner.expect("}").is_some() {
            return Some(Value::Object(entries));
        }
        // JSON has no other keys.
        let Value::String(key) = read(scanner, depth + 1)? else { return None };
        scanner.skip_blank()?;
        scanner.expect("=>")?;
        entries.insert(key, read(scanner, depth + 1)?);
        separated(scanner, '}')?;
    }
}

/// A comma, or the end that comes next.
fn separated(scanner: &mut Scanner<'_>, end: char) -> Option<()> {
    scanner.skip_blank()?;
    if scanner.rest.starts_with(end) { Some(()) } else { scanner.expect(",") }
}

fn word(scanner: &mut Scanner<'_>) -> Option<Value> {
    let goes_on = |one: char| one.is_ascii_alphanumeric() || matches!(one, '_' | '-' | '.' | ':');
    let end = scanner.rest.find(|one| !goes_on(one)).unwrap_or(scanner.rest.len());
    let (word, rest) = scanner.rest.split_at(end);
    scanner.rest = rest;
    match word {
        "undef" => Some(Value::Null),
        "true" => Some(true.into()),
        "false" => Some(false.into()),
        _ => number(word),
    }
}

/// As JSON writes them; hexadecimal, octal and other spellings are not read.
fn number(word: &str) -> Option<Value> {
    serde_json::from_str::<serde_json::Number>(word).ok().map(Value::Number)
}
