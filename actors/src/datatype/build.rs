//! What a type's name and its parameters mean together.
//!
//! Which parameters a type takes is written here only; a name that is not here belongs to a type of some module.

use super::pattern::Pattern;
use super::{Accepts, DataType, Field, Plain, Range, Shape};

/// A parameter of a type.
#[derive(Debug)]
pub(super) enum Argument {
    Type(DataType),
    Text(String),
    Regex(String),
    Integer(i64),
    Float(f64),
    Flag(bool),
    Default,
    Fields(Vec<Field>),
}

impl Plain {
    const ALL: [(&'static str, Self); 9] = [
        ("Any", Self::Any),
        ("Undef", Self::Undef),
        ("Scalar", Self::Scalar),
        ("ScalarData", Self::ScalarData),
        ("Data", Self::Data),
        ("RichData", Self::RichData),
        ("Numeric", Self::Numeric),
        ("TargetSpec", Self::TargetSpec),
        ("Boltlib::TargetSpec", Self::TargetSpec),
    ];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, plain)| *plain)
    }

    /// Its first name in the table.
    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, plain)| *plain == self).map_or("Any", |(name, _)| name)
    }
}

/// The types whose parameters are understood, and what they take.
const PARAMETERIZED: [(&str, &str); 15] = [
    ("Boolean", "true or false"),
    ("Integer", "one or two integers or default, the smaller one first"),
    ("Float", "one or two numbers or default, the smaller one first"),
    ("String", "a length: one or two numbers, the smaller one first"),
    ("Enum", "strings, and true last to ignore their case"),
    ("Pattern", "regular expressions"),
    ("NotUndef", "one type or string"),
    ("Optional", "one type or string"),
    ("Variant", "types"),
    ("Array", "a type and a size: one or two numbers, the smaller one first"),
    ("Hash", "two types, of keys and of values, and a size: one or two numbers, the smaller one first"),
    ("Collection", "a size: one or two numbers, the smaller one first"),
    ("Tuple", "types and a size: one or two numbers, the smaller one first"),
    ("Struct", "keys and types in braces"),
    ("Sensitive", "one type"),
];

/// Known types whose parameters do not matter to JSON values.
const OPAQUE: [(&str, Accepts); 17] = [
    ("Timestamp", Accepts::Strings),
    ("Timespan", Accepts::Strings),
    ("SemVer", Accepts::Strings),
    ("SemVerRange", Accepts::Strings),
    ("Binary", Accepts::Strings),
    ("URI", Accepts::Strings),
    ("Iterable", Accepts::Iterables),
    ("Iterator", Accepts::Nothing),
    ("Regexp", Accepts::Nothing),
    ("Type", Accepts::Nothing),
    ("Callable", Accepts::Nothing),
    ("Runtime", Accepts::Nothing),
    ("CatalogEntry", Accepts::Nothing),
    ("Resource", Accepts::Nothing),
    ("Class", Accepts::Nothing),
    ("Default", Accepts::Nothing),
    // What it accepts depends on how its type can be made from other values.
    ("Init", Accepts::Everything),
];

/// Whether the parameters of a type are kept as written.
pub(super) fn is_opaque(name: &str) -> bool {
    Plain::named(name).is_none() && !PARAMETERIZED.iter().any(|(known, _)| *known == name)
}

/// A type whose parameters are not understood.
pub(super) fn opaque(name: String, parameters: Option<String>) -> Shape {
    let known = OPAQUE.iter().find(|(known, _)| *known == name);
    let accepts = known.map_or(Accepts::Everything, |(_, accepts)| *accepts);
    Shape::Opaque { name, parameters, accepts }
}

/// A type that is not opaque, without or with parameters; the error says what is wrong with them.
pub(super) fn shape(name: &str, arguments: Vec<Argument>) -> Result<Shape, String> {
    if let Some(plain) = Plain::named(name) {
        return if arguments.is_empty() { Ok(Shape::Plain(plain)) } else { Err(format!("{name} takes no parameters")) };
    }
    let takes_text = name == "Enum" || name == "Pattern";
    let with_text = !takes_text && arguments.iter().any(|argument| matches!(argument, Argument::Text(_)));
    parameterized(name, arguments).ok_or_else(|| {
        let usage =
            PARAMETERIZED.iter().find(|(known, _)| *known == name).map_or("other parameters", |(_, usage)| usage);
        // Most likely `Array[string]`.
        let hint = if with_text { " (types begin with a capital letter)" } else { "" };
        format!("{name} takes {usage}{hint}")
    })
}

fn parameterized(name: &str, arguments: Vec<Argument>) -> Option<Shape> {
    match name {
        "Boolean" => boolean(&arguments),
        "Integer" => range(&arguments, integer).map(Shape::Integer),
        "Float" => range(&arguments, float).map(Shape::Float),
        "String" => size(&arguments).map(Shape::String),
        "Enum" => strings(arguments),
        "Pattern" => patterns(arguments),
        "NotUndef" if arguments.is_empty() => Some(Shape::NotUndef(Box::new(any()))),
        "NotUndef" => type_or_text(arguments).map(|inner| Shape::NotUndef(Box::new(inner))),
        "Optional" => type_or_text(arguments).map(|inner| Shape::Optional(Box::new(inner))),
        "Variant" => variant(arguments),
        "Array" => array(arguments),
        "Hash" => hash(arguments),
        "Collection" => size(&arguments).map(Shape::Collection),
        "Tuple" => tuple(arguments),
        "Struct" => fields(arguments),
        "Sensitive" => sensitive(arguments),
        _ => None,
    }
}

fn any() -> DataType {
    DataType(Shape::Plain(Plain::Any))
}

fn boolean(arguments: &[Argument]) -> Option<Shape> {
    match arguments {
        [] => Some(Shape::Boolean(None)),
        [Argument::Flag(flag)] => Some(Shape::Boolean(Some(*flag))),
        _ => None,
    }
}

fn range<T: PartialOrd>(arguments: &[Argument], number: impl Fn(&Argument) -> Option<T>) -> Option<Range<T>> {
    let end = |argument: &Argument| {
        if matches!(argument, Argument::Default) { Ok(None) } else { number(argument).map(Some).ok_or(()) }
    };
    let range = match arguments {
        [] => Range { from: None, to: None },
        [from] => Range { from: end(from).ok()?, to: None },
        [from, to] => Range { from: end(from).ok()?, to: end(to).ok()? },
        _ => return None,
    };
    let ascends = range.from.as_ref().is_none_or(|from| range.to.as_ref().is_none_or(|to| from <= to));
    ascends.then_some(range)
}

fn integer(argument: &Argument) -> Option<i64> {
    if let Argument::Integer(number) = argument { Some(*number) } else { None }
}

#[expect(clippy::cast_precision_loss, reason = "as Puppet compares them")]
fn float(argument: &Argument) -> Option<f64> {
    if let Argument::Float(number) = argument { Some(*number) } else { integer(argument).map(|number| number as f64) }
}

fn size(arguments: &[Argument]) -> Option<Range<i64>> {
    let natural = |argument: &Argument| integer(argument).filter(|number| *number >= 0);
    let Range { from, to } = range(arguments, natural)?;
    Some(Range { from: from.or(Some(0)), to })
}

fn strings(mut arguments: Vec<Argument>) -> Option<Shape> {
    let flag = arguments.pop_if(|last| matches!(last, Argument::Flag(_)));
    let ignore_case = matches!(flag, Some(Argument::Flag(true)));
    if flag.is_some() && arguments.is_empty() {
        return None;
    }
    let values =
        arguments.into_iter().map(|argument| if let Argument::Text(text) = argument { Some(text) } else { None });
    Some(Shape::Enum { values: values.collect::<Option<_>>()?, ignore_case })
}

fn patterns(arguments: Vec<Argument>) -> Option<Shape> {
    let pattern = |argument| {
        if let Argument::Text(text) | Argument::Regex(text) = argument { Pattern::new(&text) } else { None }
    };
    arguments.into_iter().map(pattern).collect::<Option<_>>().map(Shape::Pattern)
}

fn type_or_text(arguments: Vec<Argument>) -> Option<DataType> {
    let [argument] = <[Argument; 1]>::try_from(arguments).ok()?;
    if let Argument::Text(text) = argument {
        return Some(DataType(Shape::Enum { values: vec![text], ignore_case: false }));
    }
    if let Argument::Type(inner) = argument { Some(inner) } else { None }
}

/// The types that come first, and the parameters after them.
fn split(arguments: Vec<Argument>) -> (Vec<DataType>, Vec<Argument>) {
    let mut types = Vec::new();
    let mut others = Vec::new();
    for argument in arguments {
        match argument {
            Argument::Type(inner) if others.is_empty() => types.push(inner),
            other => others.push(other),
        }
    }
    (types, others)
}

fn variant(arguments: Vec<Argument>) -> Option<Shape> {
    let (members, others) = split(arguments);
    (!members.is_empty() && others.is_empty()).then_some(Shape::Variant(members))
}

fn array(arguments: Vec<Argument>) -> Option<Shape> {
    let (mut types, others) = split(arguments);
    let item = types.pop().unwrap_or_else(any);
    let size = size(&others)?;
    types.is_empty().then_some(Shape::Array(Box::new(item), size))
}

fn hash(arguments: Vec<Argument>) -> Option<Shape> {
    let (types, others) = split(arguments);
    let size = size(&others)?;
    if types.is_empty() {
        return Some(Shape::Hash(Box::new(any()), Box::new(any()), size));
    }
    let [key, value] = <[DataType; 2]>::try_from(types).ok()?;
    Some(Shape::Hash(Box::new(key), Box::new(value), size))
}

fn tuple(arguments: Vec<Argument>) -> Option<Shape> {
    let (members, others) = split(arguments);
    let size = match (members.len(), others.len()) {
        (0, 0) => Range::ANY_SIZE,
        (0, _) => return None,
        (count, 0) => Range::exactly(count),
        _ => size(&others)?,
    };
    Some(Shape::Tuple(members, size))
}

fn fields(arguments: Vec<Argument>) -> Option<Shape> {
    if arguments.is_empty() {
        return Some(Shape::Struct(None));
    }
    let [argument] = <[Argument; 1]>::try_from(arguments).ok()?;
    if let Argument::Fields(fields) = argument { Some(Shape::Struct(Some(fields))) } else { None }
}

fn sensitive(arguments: Vec<Argument>) -> Option<Shape> {
    let (mut types, others) = split(arguments);
    let inner = types.pop().unwrap_or_else(any);
    (types.is_empty() && others.is_empty()).then_some(Shape::Sensitive(Box::new(inner)))
}
