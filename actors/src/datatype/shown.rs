//! Types as text: one text for each type, which is read as the same type again.
//!
//! Comments, bare words and defaults of the text that was read are not kept.

use std::fmt;

use super::{DataType, Field, Plain, Presence, Range, Shape};

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, parameters) = parts(&self.0);
        f.write_str(name)?;
        if parameters.is_empty() { Ok(()) } else { write!(f, "[{}]", parameters.join(", ")) }
    }
}

fn parts(shape: &Shape) -> (&str, Vec<String>) {
    match shape {
        Shape::Plain(plain) => (plain.name(), Vec::new()),
        Shape::Boolean(only) => ("Boolean", only.iter().map(ToString::to_string).collect()),
        Shape::Integer(range) => ("Integer", ends(range)),
        Shape::Float(range) => ("Float", ends(range)),
        Shape::String(size) => ("String", sizes(*size)),
        Shape::Enum { values, ignore_case } => {
            let flag = ignore_case.then(|| "true".to_owned());
            ("Enum", values.iter().map(|value| quoted(value)).chain(flag).collect())
        }
        Shape::Pattern(patterns) => ("Pattern", patterns.iter().map(ToString::to_string).collect()),
        Shape::NotUndef(inner) => ("NotUndef", unless_any(&[inner])),
        Shape::Optional(inner) => ("Optional", vec![inner.to_string()]),
        Shape::Variant(members) => ("Variant", members.iter().map(ToString::to_string).collect()),
        Shape::Array(item, size) => ("Array", sized(unless_any(&[item]), *size)),
        Shape::Hash(key, value, size) => ("Hash", sized(unless_any(&[key, value]), *size)),
        Shape::Collection(size) => ("Collection", sizes(*size)),
        Shape::Tuple(members, size) => ("Tuple", tuple_parts(members, *size)),
        Shape::Struct(None) => ("Struct", Vec::new()),
        Shape::Struct(Some(fields)) => {
            let fields: Vec<String> = fields.iter().map(shown_field).collect();
            ("Struct", vec![format!("{{{}}}", fields.join(", "))])
        }
        Shape::Sensitive(inner) => ("Sensitive", unless_any(&[inner])),
        Shape::Opaque { name, parameters, .. } => (name, parameters.iter().cloned().collect()),
    }
}

/// Text in single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Both ends, for `Integer[1]` looks as if it meant 1 only.
fn ends<T: fmt::Debug>(range: &Range<T>) -> Vec<String> {
    let end = |end: &Option<T>| end.as_ref().map_or("default".to_owned(), |number| format!("{number:?}"));
    match range {
        Range { from: None, to: None } => Vec::new(),
        Range { from, to } => vec![end(from), end(to)],
    }
}

fn sizes(size: Range<i64>) -> Vec<String> {
    if size == Range::ANY_SIZE { Vec::new() } else { numbers(size) }
}

fn numbers(size: Range<i64>) -> Vec<String> {
    size.from.iter().chain(&size.to).map(ToString::to_string).collect()
}

fn sized(mut types: Vec<String>, size: Range<i64>) -> Vec<String> {
    types.extend(sizes(size));
    types
}

/// Members without a size mean exactly as many items.
fn tuple_parts(members: &[DataType], size: Range<i64>) -> Vec<String> {
    let mut parts: Vec<String> = members.iter().map(ToString::to_string).collect();
    if !members.is_empty() && size != Range::exactly(members.len()) {
        parts.extend(numbers(size));
    }
    parts
}

/// Nothing if all are `Any`, as in the bare form.
fn unless_any(types: &[&DataType]) -> Vec<String> {
    if types.iter().all(|inner| inner.0 == Shape::Plain(Plain::Any)) {
        return Vec::new();
    }
    types.iter().map(ToString::to_string).collect()
}

fn shown_field(field: &Field) -> String {
    let name = quoted(&field.name);
    let key = match field.presence {
        Presence::ByType => name,
        Presence::Optional => format!("Optional[{name}]"),
        Presence::Required => format!("NotUndef[{name}]"),
    };
    format!("{key} => {}", field.value)
}
