//! What each type accepts and refuses, and what is said about it. Laws over generated types are in `properties`.

mod properties;

use serde_json::{Value, json};

use super::{DataType, Found};

fn parsed(text: &str) -> DataType {
    DataType::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Each of `fitting` fits the type, none of `others` does. Both are JSON arrays.
#[expect(clippy::needless_pass_by_value, reason = "reads better in tables")]
fn assert_fits(text: &str, fitting: Value, others: Value) {
    let wanted = parsed(text);
    for value in fitting.as_array().unwrap() {
        assert_eq!(wanted.check(value), Ok(()), "{text}: {value}");
    }
    for value in others.as_array().unwrap() {
        assert!(wanted.check(value).is_err(), "{text} accepts {value}");
    }
}

#[expect(clippy::needless_pass_by_value, reason = "reads better in tables")]
fn described(text: &str, value: Value) -> String {
    parsed(text).check(&value).unwrap_err().describe("p", false)
}

#[expect(clippy::needless_pass_by_value, reason = "reads better in tables")]
fn kept_secret(text: &str, value: Value) -> String {
    parsed(text).check(&value).unwrap_err().describe("p", true)
}

#[test]
fn plain_types() {
    let everything = json!([null, true, 1, 1.5, u64::MAX, "a", [], [null], {}, {"a": [1]}]);
    for text in ["Any", "Data", "RichData", "Stdlib::Absolutepath", "Foo['a', {b => [1]}]", "Init[Integer]", "Init"] {
        assert_fits(text, everything.clone(), json!([]));
    }
    for text in
        ["Regexp", "Regexp[/a/]", "Type", "Callable[String]", "Runtime['ruby', 'X']", "Class", "Iterator[String]"]
    {
        assert_fits(text, json!([]), everything.clone());
    }
    for text in ["Scalar", "ScalarData"] {
        assert_fits(text, json!([true, 1, 1.5, "a"]), json!([null, [], {}]));
    }
    for text in ["Timestamp", "Timespan[1, 2]", "SemVer['>=1.0.0']", "SemVerRange", "Binary", "URI"] {
        assert_fits(text, json!(["a"]), json!([null, 1, true, [], {}]));
    }
    assert_fits("Undef", json!([null]), json!([false, "", "undef"]));
    assert_fits("Numeric", json!([1, -1, 1.5]), json!(["1", null, true, u64::MAX]));
    assert_fits("Iterable[String]", json!(["a", [], {}, 3]), json!([null, true, -1, 1.5]));
}

#[test]
fn numbers_and_flags() {
    assert_fits("Boolean", json!([true, false]), json!([null, "true", 0]));
    assert_fits("Boolean[true]", json!([true]), json!([false]));
    assert_fits("Integer", json!([0, i64::MIN, i64::MAX]), json!([1.0, "1", null, true, u64::MAX]));
    assert_fits("Integer[1, 65535]", json!([1, 80, 65535]), json!([0, 65536, -1]));
    assert_fits("Integer[5]", json!([5, 6]), json!([4]));
    assert_fits("Integer[default, 5]", json!([-9, 5]), json!([6]));
    assert_fits("Integer[0x10, 020]", json!([16]), json!([15, 17, 20]));
    assert_fits("Integer[-0x10, -1]", json!([-16]), json!([-17, 0]));
    assert_fits("Integer[-9223372036854775808]", json!([i64::MIN]), json!([]));
    assert_fits("Float", json!([1.0, -2.5e300]), json!([1, "1.0", null]));
    assert_fits("Float[0, 1.5]", json!([0.0, 1.5]), json!([1, 1.6, -0.1]));
    assert_fits("Float[1e-3, 1E+2]", json!([0.001, 100.0]), json!([100.1]));
}

#[test]
fn strings() {
    assert_fits("String", json!(["", "a"]), json!([1, null, ["a"]]));
    assert_fits("String[1]", json!(["a"]), json!([""]));
    assert_fits("String[2, 3]", json!(["ää", "äöü"]), json!(["ä", "abcd"]));
    assert_fits("Enum[start, stop]", json!(["start", "stop"]), json!(["Start", "", null, 1]));
    assert_fits("Enum['a b', \"c\\td\", read-only,]", json!(["a b", "c\td", "read-only"]), json!(["c\\td"]));
    assert_fits("Enum[start, true]", json!(["start", "START"]), json!(["true"]));
    assert_fits("Enum[start, false]", json!(["start"]), json!(["START", "false"]));
    assert_fits("Enum", json!(["anything"]), json!([1]));
    assert_fits("Enum['\\'\\\\\\n']", json!(["'\\\\n"]), json!([]));
    assert_fits(r#"Enum["\u{1F600}\u0041\$\s\q$x"]"#, json!(["😀A$ \\q$x"]), json!([]));
}

#[test]
fn patterns() {
    assert_fits("Pattern", json!(["anything"]), json!([1]));
    assert_fits(
        "Pattern[/^web\\d+$/, 'db']",
        json!(["web1", "a\nweb2\nb", "mydb"]),
        json!(["web", "web1x", 1, "web١"]),
    );
    assert_fits(r"Pattern[/\A\/[^\/\n]+\z/]", json!(["/tmp"]), json!(["/tmp\n", "/a/b", "x\n/tmp"]));
    assert_fits(r"Pattern[/\Aa\Z/]", json!(["a", "a\n"]), json!(["a\n\n", "a\nb"]));
    assert_fits(r"Pattern[/\A\h{2}[\h:]\H\z/]", json!(["aF:g", "00fx"]), json!(["ag:g", "aF:f"]));
    assert_fits(r"Pattern[/\A(?<user>\w+)@\S+\z/]", json!(["a@b"]), json!(["a@", "ä@b", "a@ b"]));
    assert_fits("Pattern[/^a.b$/]", json!(["axb"]), json!(["a\nb"]));
    assert_fits(r"Pattern[/(?m:\Aa.b)/, /(?i)c/]", json!(["a\nb", "C"]), json!(["a"]));
    assert_fits("Pattern[/\\A[[:alpha:]_]+\\z/]", json!(["ä_b"]), json!(["1"]));
    assert_fits("Pattern[/^[(?m)]$/]", json!(["m"]), json!(["s"]));
    assert_fits(r"Pattern[/\A\<a\>\z/]", json!(["<a>"]), json!(["a"]));
}

#[test]
fn patterns_that_cannot_be_expressed_accept_every_string() {
    let costly = format!("Pattern[/{}/]", "(a{1,500}){1,500}");
    for text in [r"Pattern[/(?!root)/]", r"Pattern[/(a)\1/]", "Pattern[/(/]", r"Pattern[/[a--]/]", &costly] {
        assert_fits(text, json!(["", "root"]), json!([1, null]));
        assert_eq!(parsed(text).to_string(), text);
    }
}

#[test]
fn wrappers() {
    assert_fits("Optional[String]", json!([null, "a"]), json!([1]));
    assert_fits("Optional[present]", json!([null, "present"]), json!(["absent"]));
    assert_fits("NotUndef", json!([1, "", []]), json!([null]));
    assert_fits("NotUndef[Optional[String]]", json!(["a"]), json!([null, 1]));
    assert_fits("NotUndef['a']", json!(["a"]), json!([null, "b"]));
    assert_fits("Variant[Integer, Enum[all]]", json!([1, "all"]), json!([null, 1.5, "none"]));
    assert_fits("Sensitive", json!(["a", 1, null]), json!([]));
    assert_fits("Sensitive[String[8]]", json!(["12345678"]), json!(["1234567", null]));
    for text in ["TargetSpec", "Boltlib::TargetSpec"] {
        assert_fits(text, json!(["a", [], ["a", ["b", []]]]), json!([null, 1, "", ["a", [1]], {}]));
        assert_eq!(parsed(text).to_string(), "TargetSpec");
    }
}

#[test]
fn collections() {
    assert_fits("Array", json!([[], [1, null]]), json!([null, "a", {}]));
    assert_fits("Array[String, 1, 2]", json!([["a"], ["a", "b"]]), json!([[], ["a", "b", "c"], ["a", 1]]));
    assert_fits("Array[1, 2]", json!([[1], [null, "a"]]), json!([[], [1, 2, 3]]));
    assert_fits("Array[0, 0]", json!([[]]), json!([[1]]));
    assert_fits("Hash", json!([{}, {"a": null}]), json!([null, []]));
    assert_fits("Hash[String[1], Integer]", json!([{}, {"a": 1}]), json!([{"": 1}, {"a": "b"}]));
    assert_fits("Hash[Integer, Any]", json!([{}]), json!([{"1": 1}]));
    assert_fits("Hash[String, Any, 1, 1]", json!([{"a": 1}]), json!([{}, {"a": 1, "b": 1}]));
    assert_fits("Hash[default, 1]", json!([{}, {"a": 1}]), json!([{"a": 1, "b": 1}]));
    assert_fits("Collection", json!([[], {}]), json!([null, "a", 1]));
    assert_fits("Collection[1]", json!([[1], {"a": 1}]), json!([[], {}]));
    assert_fits("Tuple", json!([[], [1, "a"]]), json!([{}, null]));
    assert_fits("Tuple[String, Integer]", json!([["a", 1]]), json!([["a"], ["a", 1, 2], [1, "a"]]));
    assert_fits("Tuple[String, Integer, 1, 3]", json!([["a"], ["a", 1, 2]]), json!([[], ["a", 1, 2, 3], ["a", "b"]]));
    assert_fits("Tuple[String, 1]", json!([["a"], ["a", "b"]]), json!([[], [1]]));
}

#[test]
fn structs() {
    assert_fits("Struct", json!([{}, {"a": 1}]), json!([null, []]));
    assert_fits("Struct[{}]", json!([{}]), json!([{"a": 1}]));
    let wanted = "Struct[{ # a comment ]
        host => String, 'port' => Optional[Integer], Optional['user'] => String, NotUndef[note] => Optional[String],
    }]";
    let fitting = json!([{"host": "a", "note": null}, {"host": "a", "port": 1, "user": "b", "note": "c"}]);
    let others = json!([
        {}, [], {"note": null}, {"host": "a"}, {"host": "a", "note": null, "user": null},
        {"host": "a", "note": null, "more": 1}, {"host": null, "note": null},
    ]);
    assert_fits(wanted, fitting, others);
}

#[test]
fn missing_parameters() {
    for (text, expected) in [
        ("Any", true),
        ("Data", true),
        ("RichData", true),
        ("Undef", true),
        ("Optional[String]", true),
        ("Variant[String, Undef]", true),
        ("Variant[String, Array[Optional[String]]]", false),
        ("Sensitive[Optional[String]]", true),
        ("Stdlib::Port", true),
        ("NotUndef[Any]", false),
        ("String", false),
        ("Struct", false),
        ("ScalarData", false),
    ] {
        assert_eq!(parsed(text).accepts_undef(), expected, "{text}");
    }
}

#[test]
fn what_must_be_given() {
    for (text, expected) in [
        ("Optional[String]", true),
        ("Any", true),
        ("Undef", true),
        ("Sensitive[Optional[String]]", true),
        ("Variant[Undef, Stdlib::Absolutepath]", true),
        ("Stdlib::Absolutepath", false),
        ("Variant[Stdlib::Absolutepath, Stdlib::Fqdn]", false),
        ("String", false),
        ("NotUndef", false),
    ] {
        assert_eq!(parsed(text).may_be_missing(), expected, "{text}");
    }
}

#[test]
fn canonical_texts() {
    for (written, canonical) in [
        ("Optional[ Enum[start,stop , ] ]", "Optional[Enum['start', 'stop']]"),
        ("Optional[present]", "Optional[Enum['present']]"),
        ("Integer[0x10]", "Integer[16, default]"),
        ("Integer[default,default]", "Integer"),
        ("Float[1, 2]", "Float[1.0, 2.0]"),
        ("String[0,5]", "String[0, 5]"),
        ("String [ 1 ]", "String[1]"),
        ("Array[Any]", "Array"),
        ("Array[0, 0]", "Array[0, 0]"),
        ("Hash[Any, Any, 1]", "Hash[1]"),
        ("Tuple[String, Integer, 2, 2]", "Tuple[String, Integer]"),
        ("NotUndef[Any]", "NotUndef"),
        ("Struct[{a=>String,Optional[b]=>Any}]", "Struct[{'a' => String, Optional['b'] => Any}]"),
        ("Pattern['a/b', /c\\/d/]", "Pattern[/a\\/b/, /c\\/d/]"),
        ("Foo::Bar[ a, # ]\n{b => /]/, 'c]' => (1 + 2)} # d\n]", "Foo::Bar[a, # ]\n{b => /]/, 'c]' => (1 + 2)}]"),
    ] {
        assert_eq!(parsed(written).to_string(), canonical);
        assert_eq!(parsed(canonical), parsed(written), "{canonical}");
    }
}

#[test]
fn what_is_no_type_is_told() {
    for (text, expected) in [
        ("", "expected a type at character 1"),
        ("string", "expected a type, which begins with a capital letter, not 'string', at character 1"),
        ("String String", "expected the end of the type at character 8"),
        ("Enum[a, b", "expected ']' at character 10"),
        ("Enum['ü', b c]", "expected ']' at character 13"),
        ("Enum[]", "expected a parameter at character 6"),
        ("Enum[true]", "Enum takes strings, and true last to ignore their case at character 1"),
        ("Any[1]", "Any takes no parameters at character 1"),
        ("Array[string]", "(types begin with a capital letter) at character 1"),
        ("Optional", "Optional takes one type or string at character 1"),
        ("Variant", "Variant takes types at character 1"),
        ("Variant[String, Integer[5, 1]]", "the smaller one first at character 17"),
        ("String[-1]", "String takes a length"),
        ("Tuple[1, 2]", "Tuple takes types"),
        ("Hash[String]", "Hash takes two types"),
        ("Integer[99999999999999999999]", "expected a number within 64 bits at character 9"),
        ("Integer[1_0]", "expected a number within 64 bits"),
        ("Float[1e999]", "expected a number within 64 bits"),
        ("Enum['a]", "unclosed text in quotes at character 6"),
        ("Enum[\"\\u{110000}\"]", "expected the code of a character at character 9"),
        ("Pattern[/a]", "unclosed regular expression at character 9"),
        ("Pattern['a\\\\']", "Pattern takes regular expressions at character 1"),
        ("Struct[{a => String, 'a' => Any}]", "the key 'a' a second time at character 22"),
        ("Struct[{a: String}]", "expected '=>' at character 10"),
        ("Struct[{'' => String}]", "expected a key that is not empty at character 9"),
        ("Struct[{a => string}]", "not 'string', at character 14"),
        ("Stdlib::path", "expected a capital letter after '::' in the name at character 1"),
        ("Foo[(a]", "expected ')' at character 7"),
        ("Foo[a", "expected ']' at character 6"),
        ("Foo[]", "expected a parameter at character 5"),
    ] {
        let error = DataType::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn bounds() {
    let nested = |levels: usize| format!("{}String{}", "Array[".repeat(levels), "]".repeat(levels));
    assert_eq!(parsed(&nested(64)).to_string(), nested(64));
    let error = |text: &str| DataType::parse(text).unwrap_err().to_string();
    assert_eq!(error(&nested(65)), "more than 64 levels at character 390");
    assert_eq!(error(&"Array[".repeat(2000)), "more than 64 levels at character 390");
    assert_eq!(error(&"Struct[{a=>".repeat(1000)), "more than 64 levels at character 711");
    assert_eq!(error(&"ä".repeat(9000)), "more than 16384 bytes at character 8193");
    assert!(parsed(&format!("Foo{}{}", "[".repeat(8000), "]".repeat(8000).replacen(']', "1]", 1))).accepts_undef());
    assert_eq!(error(&format!("Variant[{}]", "Pattern[/a/],".repeat(33))), "more than 32 patterns at character 425");
    let deep = (0..5000).fold(json!("a"), |inner, _| Value::Array(vec![inner]));
    assert_eq!(parsed("TargetSpec").check(&deep), Ok(()));
    // Nesting of this depth overflows the stack of a test when it is dropped recursively.
    std::mem::forget(deep);
}

#[test]
fn mismatches_name_the_place() {
    let hosts = "Array[Struct[{host => String, port => Integer[1, 65535]}]]";
    let (good, bad) = (json!({"host": "a", "port": 1}), json!({"host": "a", "port": 70000}));
    let mismatch = parsed(hosts).check(&json!([good, good, bad])).unwrap_err();
    assert_eq!((mismatch.path.as_str(), mismatch.expected.as_str()), ("[2].port", "Integer[1, 65535]"));
    assert_eq!(mismatch.found, Found::Value { kind: "this number", shown: "70000".to_owned() });
    assert_eq!(mismatch.describe("hosts", false), "parameter hosts[2].port must match Integer[1, 65535], not 70000");

    let optional = "Optional[Enum[start, stop]]";
    assert_eq!(described(optional, json!("restart")), "parameter p must match Enum['start', 'stop'], not \"restart\"");
    assert_eq!(described(optional, json!(1)), "parameter p must match Optional[Enum['start', 'stop']], not 1");
    let one = "Variant[Integer[1], Array[String]]";
    assert_eq!(described(one, json!(["a", 1])), "parameter p[1] must match String, not 1");
    assert_eq!(described(one, json!(0)), "parameter p must match Integer[1, default], not 0");
    assert_eq!(described(one, json!({})), "parameter p must match Variant[Integer[1, default], Array[String]], not {}");
    assert_eq!(
        described("Variant[Enum[a], Pattern[/b/]]", json!("c")),
        "parameter p must match Variant[Enum['a'], Pattern[/b/]], not \"c\""
    );
    assert_eq!(described("Array[String, 1]", json!([])), "parameter p must match Array[String, 1], not []");
    assert_eq!(described(hosts, json!([{"host": "a"}])), "parameter p[0] lacks the key port");
    let unknown = json!([{"host": "a", "port": 1, "prot": 1}]);
    assert_eq!(described(hosts, unknown), "parameter p[0] has the unknown key prot");
    let limits = "Hash[Pattern[/\\A\\w+\\z/], Integer]";
    assert_eq!(
        described(limits, json!({"a b": 1})),
        "parameter p has the key \"a b\", which does not match Pattern[/\\A\\w+\\z/]"
    );
    assert_eq!(
        described("Hash[String, Integer]", json!({"a 'b": "c"})),
        "parameter p[\"a 'b\"] must match Integer, not \"c\""
    );
}

#[test]
fn long_values_are_cut() {
    let text = described("Integer", json!("ä".repeat(5000)));
    assert!(text.ends_with("ä…") && text.chars().count() < 250, "{text}");
    let text = described("Hash[String, Integer]", json!({"k".repeat(5000): "c"}));
    assert!(text.chars().count() < 300, "{text}");
}

#[test]
fn secrets_are_not_repeated() {
    for (text, value, expected) in [
        ("String[8]", json!("hunter2"), "parameter p must match String[8], not this string"),
        ("String", json!(42), "parameter p must match String, not this number"),
        ("String", json!(null), "parameter p must match String, not null"),
        ("String", json!(true), "parameter p must match String, not this boolean"),
        ("Array[String]", json!(["a", ["hunter2"]]), "a value in parameter p must match String, not this array"),
        ("Hash[String, Integer]", json!({"hunter2": {}}), "a value in parameter p must match Integer, not this object"),
        ("Hash[String[8], Any]", json!({"hunter2": 1}), "parameter p has a key that does not match String[8]"),
        ("Struct[{a => Any}]", json!({"hunter2": 1}), "parameter p has an unknown key"),
        ("Struct[{a => String}]", json!({"hunter2": 1}), "parameter p lacks the key a"),
    ] {
        assert_eq!(kept_secret(text, value), expected);
    }
}

#[test]
fn what_a_type_calls_sensitive_is_not_repeated() {
    let account = "Struct[{name => String, password => Optional[Sensitive[String[8]]]}]";
    for (value, expected) in [
        (json!({"name": 7}), "parameter p.name must match String, not 7"),
        (json!({"name": "a", "password": "hunter2"}), "a value in parameter p must match String[8], not this string"),
        (
            json!({"name": "a", "password": 42}),
            "a value in parameter p must match Optional[Sensitive[String[8]]], not this number",
        ),
        (json!("hunter2"), "not this string"),
    ] {
        let text = described(account, value);
        assert!(text.ends_with(expected), "{text}");
    }
}
