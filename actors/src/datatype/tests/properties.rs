//! Laws over generated types, values and texts.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value};

use super::super::pattern::Pattern;
use super::super::{Accepts, DataType, Field, Plain, Presence, Range, Shape, build};

fn range() -> impl Strategy<Value = Range<i64>> {
    (option::of(-9..9i64), option::of(0..9i64))
        .prop_map(|(from, length)| Range { from, to: length.map(|length| from.unwrap_or(0) + length) })
}

fn size() -> impl Strategy<Value = Range<i64>> {
    (0..3i64, option::of(0..3i64)).prop_map(|(from, more)| Range { from: Some(from), to: more.map(|more| from + more) })
}

fn plain() -> impl Strategy<Value = Shape> {
    use Plain::{Any, Data, Numeric, RichData, Scalar, ScalarData, TargetSpec, Undef};
    proptest::sample::select(vec![Any, Undef, Scalar, ScalarData, Data, RichData, Numeric, TargetSpec])
        .prop_map(Shape::Plain)
}

fn opaque() -> impl Strategy<Value = Shape> {
    let name = proptest::sample::select(vec!["Init", "Timestamp", "Regexp", "Iterable", "Stdlib::Port"]);
    let parameters = proptest::sample::select(vec!["'a]'", "[1, {b => /]/}]", "String, -1.5"]);
    (name, option::of(parameters)).prop_map(|(name, given)| build::opaque(name.to_owned(), given.map(str::to_owned)))
}

fn leaf() -> impl Strategy<Value = Shape> {
    let float = |end: Option<i64>| end.map(|end| f64::from(i32::try_from(end).unwrap()) / 4.0);
    prop_oneof![
        plain(),
        opaque(),
        option::of(any::<bool>()).prop_map(Shape::Boolean),
        range().prop_map(Shape::Integer),
        range().prop_map(move |Range { from, to }| Shape::Float(Range { from: float(from), to: float(to) })),
        size().prop_map(Shape::String),
        (vec(r#"[ab'"/\\ \n$]{0,4}"#, 1..3), any::<bool>())
            .prop_map(|(values, ignore_case)| Shape::Enum { values, ignore_case }),
        vec(r"([ab/]|\\[/w.]){0,4}", 0..3)
            .prop_map(|texts| Shape::Pattern(texts.iter().map(|text| Pattern::new(text).unwrap()).collect())),
        size().prop_map(Shape::Collection),
        Just(Shape::Struct(None)),
        Just(Shape::Tuple(Vec::new(), Range::ANY_SIZE)),
    ]
}

fn fields(inner: impl Strategy<Value = DataType>) -> impl Strategy<Value = Shape> {
    let presence = proptest::sample::select(vec![Presence::ByType, Presence::Optional, Presence::Required]);
    vec((presence, inner), 0..3).prop_map(|fields| {
        let numbered = fields.into_iter().enumerate();
        let field = |(number, (presence, value))| Field { name: format!("a '{number}"), presence, value };
        Shape::Struct(Some(numbered.map(field).collect()))
    })
}

fn data_type() -> impl Strategy<Value = DataType> {
    leaf().prop_map(DataType).prop_recursive(4, 24, 3, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            boxed().prop_map(Shape::NotUndef),
            boxed().prop_map(Shape::Optional),
            boxed().prop_map(Shape::Sensitive),
            vec(inner.clone(), 1..3).prop_map(Shape::Variant),
            (boxed(), size()).prop_map(|(item, size)| Shape::Array(item, size)),
            (boxed(), boxed(), size()).prop_map(|(key, value, size)| Shape::Hash(key, value, size)),
            (vec(inner.clone(), 1..3), size()).prop_map(|(members, size)| Shape::Tuple(members, size)),
            fields(inner),
        ]
        .prop_map(DataType)
    })
}

/// JSON of which each string and key holds `zq`, which no generated type does.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9..9i64).prop_map(Value::from),
        (-9..9i32).prop_map(|quarters| Value::from(f64::from(quarters) / 4.0)),
        "zq[ab]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec(("zq[ab]{0,2}", inner), 0..3).prop_map(|entries| entries.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

/// A value that fits, if one is easily found.
fn fitting(wanted: &DataType) -> Option<Value> {
    match &wanted.0 {
        Shape::Plain(Plain::Any | Plain::Undef | Plain::Data | Plain::RichData) | Shape::Optional(_) => {
            Some(Value::Null)
        }
        Shape::Plain(Plain::Scalar | Plain::ScalarData | Plain::TargetSpec) => Some("a".into()),
        Shape::Plain(Plain::Numeric) => Some(1.into()),
        Shape::Boolean(only) => Some(only.unwrap_or(true).into()),
        Shape::Integer(Range { from, to }) => Some(from.or(*to).unwrap_or(0).into()),
        Shape::Float(Range { from, to }) => Some(to.or(*from).unwrap_or(0.5).into()),
        Shape::String(size) => Some("ä".repeat(least(*size)).into()),
        Shape::Enum { values, ignore_case } => {
            values.last().map(|last| if *ignore_case { last.to_uppercase().into() } else { last.as_str().into() })
        }
        Shape::Pattern(patterns) => patterns.is_empty().then(|| "a".into()),
        Shape::NotUndef(inner) | Shape::Sensitive(inner) => {
            fitting(inner).filter(|value| !value.is_null() || matches!(wanted.0, Shape::Sensitive(_)))
        }
        Shape::Variant(members) => members.iter().find_map(fitting),
        Shape::Array(item, size) => Some(vec![fitting(item)?; least(*size)].into()),
        Shape::Hash(_, _, size) => (least(*size) == 0).then(|| Map::new().into()),
        Shape::Collection(size) => Some(vec![1; least(*size)].into()),
        Shape::Tuple(members, size) => {
            let all = members.iter().chain(std::iter::repeat(members.last()?));
            all.take(least(*size)).map(fitting).collect::<Option<Vec<_>>>().map(Value::from)
        }
        Shape::Struct(fields) => {
            let entries = fields.iter().flatten().map(|field| Some((field.name.clone(), fitting(&field.value)?)));
            entries.collect::<Option<Map<_, _>>>().map(Value::from)
        }
        Shape::Opaque { accepts, .. } => (*accepts != Accepts::Nothing).then(|| "a".into()),
    }
}

fn least(size: Range<i64>) -> usize {
    usize::try_from(size.from.unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_makes_it_panic(text in ".{0,60}") {
        let _ = DataType::parse(&text);
    }

    #[test]
    fn no_text_that_resembles_a_type_makes_it_panic(
        parts in vec(proptest::sample::select(vec![
            "Struct", "Pattern", "Optional", "Foo::Bar", "[", "]", "{", "}", "=>", ",", "'", "\"", "/", "\\", "#", "\n",
            "-1", "0x", "1e", "a", "ä", "default", "true", "\\u", "(", ")", ":",
        ]), 0..20),
    ) {
        let _ = DataType::parse(&parts.concat());
    }

    #[test]
    fn each_type_is_read_again_from_its_text(wanted in data_type()) {
        let text = wanted.to_string();
        prop_assert_eq!(DataType::parse(&text), Ok(wanted), "{}", text);
    }

    #[test]
    fn values_made_for_a_type_fit(wanted in data_type()) {
        if let Some(value) = fitting(&wanted) {
            prop_assert_eq!(wanted.check(&value), Ok(()), "{} {}", wanted, value);
        }
    }

    #[test]
    fn wrappers_obey_logic(a in data_type(), b in data_type(), value in json()) {
        let fits = |shape: Shape, value: &Value| DataType(shape).check(value).is_ok();
        let (fits_a, fits_b) = (a.check(&value).is_ok(), b.check(&value).is_ok());
        let (a, b) = (Box::new(a), Box::new(b));
        prop_assert_eq!(fits(Shape::Optional(a.clone()), &value), fits_a || value.is_null());
        prop_assert_eq!(fits(Shape::NotUndef(a.clone()), &value), fits_a && !value.is_null());
        prop_assert_eq!(fits(Shape::Array(a.clone(), Range::ANY_SIZE), &vec![value.clone(); 2].into()), fits_a);
        prop_assert_eq!(fits(Shape::Variant(vec![*a, *b]), &value), fits_a || fits_b);
    }

    #[test]
    fn descriptions_keep_secrets(wanted in data_type(), value in json()) {
        if let Err(mismatch) = wanted.check(&value) {
            let secret = mismatch.describe("p", true);
            prop_assert!(!secret.contains("zq"), "{}", secret);
            prop_assert!(mismatch.describe("p", false).contains("parameter p"));
        }
    }
}
