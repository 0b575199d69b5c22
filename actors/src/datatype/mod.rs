//! Puppet's data types, as the metadata of tasks writes them, and whether JSON values fit them.
//!
//! Three deliberate limits. Aliases of modules (`Stdlib::Absolutepath`), other unknown names and `Init[…]` are kept as
//! they are written and accept every value, `null` included: their definitions are not to be seen here. Of the types
//! whose values JSON cannot carry, those with a usual text (`Timestamp`, `Timespan`, `SemVer`, `SemVerRange`, `Binary`,
//! `URI`) accept every string, the others (`Regexp`, `Type`, `Callable`, …) accept nothing, and the parameters of both
//! are not looked at. A pattern that only Ruby's regular expressions can express accepts every string.
//!
//! Resolving aliases, converting values and making forms are left out.

mod build;
mod check;
mod lexer;
mod mismatch;
mod parse;
mod pattern;
mod shown;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use mismatch::{Found, Mismatch};

/// A data type that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct DataType(Shape);

/// Why a text is no data type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at character {at}")]
pub struct TypeError {
    problem: String,
    /// The first character is 1.
    at: usize,
}

impl DataType {
    /// Whether what it takes must not be shown, as a whole or in parts.
    #[must_use]
    pub fn has_secrets(&self) -> bool {
        check::has_secrets(self)
    }

    /// Reads a type. Texts of more than 16 KiB, nesting beyond 64 levels and more than 32 patterns are refused.
    ///
    /// # Errors
    /// Says what is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, TypeError> {
        parse::parse(text)
    }

    /// Whether a parameter of this type need not be given: undef fits. What is not known here, such as an alias, is taken for
    /// a type that wants a value.
    #[must_use]
    pub fn may_be_missing(&self) -> bool {
        match &self.0 {
            Shape::Opaque { .. } => false,
            Shape::Sensitive(inner) => inner.may_be_missing(),
            Shape::Variant(members) => members.iter().any(Self::may_be_missing),
            Shape::Plain(_)
            | Shape::Boolean(_)
            | Shape::Integer(_)
            | Shape::Float(_)
            | Shape::String(_)
            | Shape::Enum { .. }
            | Shape::Pattern(_)
            | Shape::NotUndef(_)
            | Shape::Optional(_)
            | Shape::Array(..)
            | Shape::Hash(..)
            | Shape::Collection(_)
            | Shape::Tuple(..)
            | Shape::Struct(_) => self.accepts_undef(),
        }
    }

    /// Whether undef, which is `null` in JSON, fits.
    fn accepts_undef(&self) -> bool {
        check::check(self, &Value::Null).is_ok()
    }

    /// Checks a value.
    ///
    /// # Errors
    /// The first part of the value that does not fit.
    pub fn check(&self, value: &Value) -> Result<(), Mismatch> {
        check::check(self, value).map_err(Mismatch::from)
    }
}

impl TypeError {
    fn new(problem: impl Into<String>, text: &str, offset: usize) -> Self {
        let before = text.char_indices().take_while(|(start, _)| *start < offset).count();
        Self { problem: problem.into(), at: before + 1 }
    }
}

/// What a type demands, by the name of the type.
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Plain(Plain),
    Boolean(Option<bool>),
    Integer(Range<i64>),
    Float(Range<f64>),
    /// The length in characters.
    String(Range<i64>),
    /// Without values: every string.
    Enum {
        values: Vec<String>,
        ignore_case: bool,
    },
    /// Without patterns: every string.
    Pattern(Vec<pattern::Pattern>),
    NotUndef(Box<DataType>),
    Optional(Box<DataType>),
    Variant(Vec<DataType>),
    Array(Box<DataType>, Range<i64>),
    /// Keys, values, size.
    Hash(Box<DataType>, Box<DataType>, Range<i64>),
    Collection(Range<i64>),
    /// Without members: every array.
    Tuple(Vec<DataType>, Range<i64>),
    /// `None` for a bare `Struct`: every object.
    Struct(Option<Vec<Field>>),
    Sensitive(Box<DataType>),
    /// A type whose parameters are kept as written, without the brackets.
    Opaque {
        name: String,
        parameters: Option<String>,
        accepts: Accepts,
    },
}

/// The types that never have parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plain {
    Any,
    Undef,
    Scalar,
    ScalarData,
    Data,
    RichData,
    Numeric,
    TargetSpec,
}

/// What an opaque type accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accepts {
    Everything,
    Strings,
    /// What Puppet can iterate over; the type of the elements is not looked at.
    Iterables,
    Nothing,
}

/// Both ends are inside; `None` is an open end.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Range<T> {
    from: Option<T>,
    to: Option<T>,
}

impl<T: PartialOrd> Range<T> {
    fn contains(&self, value: &T) -> bool {
        self.from.as_ref().is_none_or(|from| from <= value) && self.to.as_ref().is_none_or(|to| value <= to)
    }
}

impl Range<i64> {
    /// Sizes always have a lower end, so that each has one text only.
    const ANY_SIZE: Self = Self { from: Some(0), to: None };

    fn exactly(size: usize) -> Self {
        let size = i64::try_from(size).ok();
        Self { from: size, to: size }
    }

    fn has_size(&self, size: usize) -> bool {
        i64::try_from(size).is_ok_and(|size| self.contains(&size))
    }
}

/// A key of a `Struct`.
#[derive(Debug, Clone, PartialEq)]
struct Field {
    name: String,
    presence: Presence,
    value: DataType,
}

/// Whether a key of a `Struct` must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// Unless its type accepts undef.
    ByType,
    Optional,
    Required,
}

/// At most some 200 characters of a text, for people to read.
fn cut(text: &str) -> String {
    const LONGEST: usize = 200;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
