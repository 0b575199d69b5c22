//! Whether a value fits a type, and where it does not.
//!
//! Borrows everything, so that a member of a `Variant` that does not fit costs nothing; texts are made by `mismatch`.

use serde_json::{Map, Value};

use super::{Accepts, DataType, Field, Plain, Presence, Range, Shape};

/// Why a value does not fit.
#[derive(Debug)]
pub(super) struct Failure<'a> {
    /// The type at that place.
    pub(super) wanted: &'a DataType,
    pub(super) problem: Problem<'a>,
    /// The way to that place, the last step first.
    pub(super) steps: Vec<Step<'a>>,
    /// Whether that place is inside of a `Sensitive`.
    pub(super) secret: bool,
}

/// What is wrong at one place.
#[derive(Debug)]
pub(super) enum Problem<'a> {
    /// The value itself.
    Value(&'a Value),
    /// A key is not there.
    Missing(&'a str),
    /// A key that a `Struct` does not have.
    Unknown(&'a str),
    /// A key that does not fit the type of keys, which is then the wanted one.
    Key(&'a str),
}

/// A step into a value.
#[derive(Debug)]
pub(super) enum Step<'a> {
    Index(usize),
    Key(&'a str),
}

type Checked<'a> = Result<(), Failure<'a>>;

/// Checks a value; recursion is bounded by the nesting of the type.
pub(super) fn check<'a>(wanted: &'a DataType, value: &'a Value) -> Checked<'a> {
    let fits = match &wanted.0 {
        Shape::Plain(plain) => plain_fits(*plain, value),
        Shape::Boolean(only) => value.as_bool().is_some_and(|flag| only.is_none_or(|only| only == flag)),
        Shape::Integer(range) => value.as_i64().is_some_and(|number| range.contains(&number)),
        Shape::Float(range) => value.is_f64() && value.as_f64().is_some_and(|number| range.contains(&number)),
        Shape::String(size) => value.as_str().is_some_and(|text| size.has_size(text.chars().count())),
        Shape::Enum { values, ignore_case } => value.as_str().is_some_and(|text| in_enum(values, *ignore_case, text)),
        Shape::Pattern(patterns) => value
            .as_str()
            .is_some_and(|text| patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(text))),
        Shape::Collection(size) => size_of(value).is_some_and(|count| size.has_size(count)),
        Shape::Opaque { accepts, .. } => opaque_fits(*accepts, value),
        Shape::NotUndef(inner) => return if value.is_null() { fail(wanted, value) } else { check(inner, value) },
        Shape::Sensitive(inner) => {
            return check(inner, value).map_err(|failure| Failure { secret: true, ..failure });
        }
        Shape::Optional(inner) => return check_optional(wanted, inner, value),
        Shape::Variant(members) => return check_variant(wanted, members, value),
        Shape::Array(item, size) => return check_array(wanted, std::slice::from_ref(&**item), *size, value),
        Shape::Tuple(members, size) => return check_array(wanted, members, *size, value),
        Shape::Hash(key, inner, size) => return check_hash(wanted, (key, inner), *size, value),
        Shape::Struct(fields) => return check_struct(wanted, fields.as_deref(), value),
    };
    if fits { Ok(()) } else { fail(wanted, value) }
}

fn fail<'a>(wanted: &'a DataType, value: &'a Value) -> Checked<'a> {
    Err(Failure { wanted, problem: Problem::Value(value), steps: Vec::new(), secret: false })
}

fn below<'a>(step: Step<'a>, checked: Checked<'a>) -> Checked<'a> {
    checked.map_err(|mut failure| {
        failure.steps.push(step);
        failure
    })
}

fn plain_fits(plain: Plain, value: &Value) -> bool {
    match plain {
        // JSON has nothing that is no data.
        Plain::Any | Plain::Data | Plain::RichData => true,
        Plain::Undef => value.is_null(),
        Plain::Scalar | Plain::ScalarData => value.is_string() || value.is_boolean() || is_number(value),
        Plain::Numeric => is_number(value),
        Plain::TargetSpec => names_targets(value),
    }
}

/// Integers beyond 64 bits are no numbers of Puppet's.
fn is_number(value: &Value) -> bool {
    value.is_i64() || value.is_f64()
}

/// A string that is not empty, or an array of such and of such arrays. Arrays may be deep, so there is no recursion.
fn names_targets(value: &Value) -> bool {
    let mut open = vec![value];
    while let Some(next) = open.pop() {
        match next {
            Value::String(name) if !name.is_empty() => {}
            Value::Array(items) => open.extend(items),
            _ => return false,
        }
    }
    true
}

fn in_enum(values: &[String], ignore_case: bool, text: &str) -> bool {
    let same = |value: &String| if ignore_case { value.eq_ignore_ascii_case(text) } else { value == text };
    values.is_empty() || values.iter().any(same)
}

fn size_of(value: &Value) -> Option<usize> {
    value.as_array().map(Vec::len).or_else(|| value.as_object().map(Map::len))
}

fn opaque_fits(accepts: Accepts, value: &Value) -> bool {
    match accepts {
        Accepts::Everything => true,
        Accepts::Strings => value.is_string(),
        Accepts::Iterables => {
            value.is_string() || size_of(value).is_some() || value.as_i64().is_some_and(|times| times >= 0)
        }
        Accepts::Nothing => false,
    }
}

fn check_optional<'a>(wanted: &'a DataType, inner: &'a DataType, value: &'a Value) -> Checked<'a> {
    match check(inner, value) {
        Ok(()) => Ok(()),
        Err(_) if value.is_null() => Ok(()),
        Err(failure) if is_kind(inner, value) => Err(failure),
        Err(_) => fail(wanted, value),
    }
}

/// If exactly one member is of the value's kind, its own failure says the most.
fn check_variant<'a>(wanted: &'a DataType, members: &'a [DataType], value: &'a Value) -> Checked<'a> {
    let mut failures = Vec::new();
    for member in members {
        let Err(failure) = check(member, value) else { return Ok(()) };
        if is_kind(member, value) {
            failures.push(failure);
        }
    }
    match (failures.pop(), failures.is_empty()) {
        (Some(failure), true) => Err(failure),
        _ => fail(wanted, value),
    }
}

/// The last member stands for all further items.
fn check_array<'a>(wanted: &'a DataType, members: &'a [DataType], size: Range<i64>, value: &'a Value) -> Checked<'a> {
    let Some(items) = value.as_array().filter(|items| size.has_size(items.len())) else { return fail(wanted, value) };
    for (index, item) in items.iter().enumerate() {
        if let Some(member) = members.get(index).or(members.last()) {
            below(Step::Index(index), check(member, item))?;
        }
    }
    Ok(())
}

fn check_hash<'a>(
    wanted: &'a DataType,
    (key_type, inner): (&'a DataType, &'a DataType),
    size: Range<i64>,
    value: &'a Value,
) -> Checked<'a> {
    let Some(entries) = value.as_object().filter(|entries| size.has_size(entries.len())) else {
        return fail(wanted, value);
    };
    for (key, value) in entries {
        if check(key_type, &Value::from(key.as_str())).is_err() {
            return Err(Failure { wanted: key_type, problem: Problem::Key(key), steps: Vec::new(), secret: false });
        }
        below(Step::Key(key), check(inner, value))?;
    }
    Ok(())
}

fn check_struct<'a>(wanted: &'a DataType, fields: Option<&'a [Field]>, value: &'a Value) -> Checked<'a> {
    let Some(entries) = value.as_object() else { return fail(wanted, value) };
    let Some(fields) = fields else { return Ok(()) };
    let wrong = |problem| Err(Failure { wanted, problem, steps: Vec::new(), secret: false });
    for field in fields {
        match entries.get(&field.name) {
            Some(value) => below(Step::Key(&field.name), check(&field.value, value))?,
            None if may_be_missing(field) => {}
            None => return wrong(Problem::Missing(&field.name)),
        }
    }
    match entries.keys().find(|key| !fields.iter().any(|field| field.name == **key)) {
        Some(unknown) => wrong(Problem::Unknown(unknown)),
        None => Ok(()),
    }
}

fn may_be_missing(field: &Field) -> bool {
    match field.presence {
        Presence::ByType => field.value.accepts_undef(),
        Presence::Optional => true,
        Presence::Required => false,
    }
}

/// Whether a type accepts values of this kind at all, whatever else it demands.
fn is_kind(wanted: &DataType, value: &Value) -> bool {
    match &wanted.0 {
        Shape::Plain(Plain::TargetSpec) => value.is_string() || value.is_array(),
        Shape::Plain(plain) => plain_fits(*plain, value),
        Shape::Boolean(_) => value.is_boolean(),
        Shape::Integer(_) => value.is_i64() || value.is_u64(),
        Shape::Float(_) => value.is_f64(),
        Shape::String(_) | Shape::Enum { .. } | Shape::Pattern(_) => value.is_string(),
        Shape::NotUndef(inner) | Shape::Sensitive(inner) => is_kind(inner, value),
        Shape::Optional(inner) => value.is_null() || is_kind(inner, value),
        Shape::Variant(members) => members.iter().any(|member| is_kind(member, value)),
        Shape::Array(..) | Shape::Tuple(..) => value.is_array(),
        Shape::Hash(..) | Shape::Struct(_) => value.is_object(),
        Shape::Collection(_) => size_of(value).is_some(),
        Shape::Opaque { accepts, .. } => opaque_fits(*accepts, value),
    }
}

/// Whether there is a `Sensitive` anywhere inside of a type.
pub(super) fn has_secrets(wanted: &DataType) -> bool {
    match &wanted.0 {
        Shape::Sensitive(_) => true,
        Shape::NotUndef(inner) | Shape::Optional(inner) | Shape::Array(inner, _) => has_secrets(inner),
        Shape::Hash(key, inner, _) => has_secrets(key) || has_secrets(inner),
        Shape::Variant(members) | Shape::Tuple(members, _) => members.iter().any(has_secrets),
        Shape::Struct(fields) => fields.iter().flatten().any(|field| has_secrets(&field.value)),
        Shape::Plain(_)
        | Shape::Boolean(_)
        | Shape::Integer(_)
        | Shape::Float(_)
        | Shape::String(_)
        | Shape::Enum { .. }
        | Shape::Pattern(_)
        | Shape::Collection(_)
        | Shape::Opaque { .. } => false,
    }
}
