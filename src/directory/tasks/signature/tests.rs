//! Heads of plans as people write them, and texts that are none.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Option<Value> {
    parameters(text, "shop::deploy").map(Value::Object)
}

fn of(list: &str) -> Option<Value> {
    read(&format!("plan shop::deploy({list}) {{ }}"))
}

fn default(text: &str) -> Value {
    of(&format!("Any $x = {text}")).unwrap_or_else(|| panic!("{text}"))["x"]["default_value"].clone()
}

#[test]
fn a_head_tells_names_types_and_defaults_in_its_order() {
    let text = r"
# Deploys the shop.
# @param nodes Where
/* not yet: $all */
plan shop::deploy(
  TargetSpec $nodes,
  Optional[String] $x = undef,  # a comment, with $dollars
  Enum['a', 'b, $c']
    $kind = 'a',
  Pattern[/\A[a-z$]+\z/] $name = 'abc',
  Hash[
    String[1],
    Integer
  ] $sizes = { 'small' => 1, 'large' => 20, },
  $anything,
) {
  run_task('x', $nodes)
}
";
    let found = read(text).unwrap();
    assert_eq!(
        found,
        json!({
            "nodes": { "type": "TargetSpec" },
            "x": { "type": "Optional[String]", "default_value": null },
            "kind": { "type": "Enum['a', 'b, $c']", "default_value": "a" },
            "name": { "type": r"Pattern[/\A[a-z$]+\z/]", "default_value": "abc" },
            "sizes": { "type": "Hash[ String[1], Integer ]", "default_value": { "small": 1, "large": 20 } },
            "anything": { "type": "Any" },
        })
    );
    let names: Vec<&String> = found.as_object().unwrap().keys().collect();
    assert_eq!(names, ["nodes", "x", "kind", "name", "sizes", "anything"]);
    assert_eq!(read("plan shop::deploy { }"), Some(json!({})));
    assert_eq!(read("plan ::shop::deploy ( ) { }"), Some(json!({})));
}

#[test]
fn literals_are_values_and_expressions_stay_text() {
    for (text, value) in [
        ("true", json!(true)),
        ("-5", json!(-5)),
        ("1.5", json!(1.5)),
        (r"'it\'s \d \\'", json!(r"it's \d \")),
        (r#""a\t\"b\" \$c""#, json!("a\t\"b\" $c")),
        ("[1, ['a'], {},]", json!([1, ["a"], {}])),
        ("{ 'a' => undef }", json!({ "a": null })),
        ("0x1F", json!("0x1F")),
        ("default", json!("default")),
        ("$nodes", json!("$nodes")),
        (r#""${facts['os']["name"]}, ${x}""#, json!(r#""${facts['os']["name"]}, ${x}""#)),
        ("get_targets( 'all' )[0]", json!("get_targets( 'all' )[0]")),
        ("{ 1 => 2 }", json!("{ 1 => 2 }")),
        ("['a', $b]", json!("['a', $b]")),
        ("1 +\n  2 # three\n", json!("1 + 2")),
    ] {
        assert_eq!(default(text), value, "{text}");
    }
}

#[test]
fn what_is_not_understood_is_not_guessed() {
    for list in [
        "Enum['a $x",
        "String[ $x",
        "String] $x",
        "Integer[1, $x",
        "Integer['a'] $x",
        "string $x",
        "*$rest",
        "$X",
        "$",
        "$a $b",
        "$a, $a",
        "$a =",
        "$a = @(END)",
        "$a = 6 / 2",
        "$a = 'open",
        "$a = \"${open\"",
        "$a = (1]",
        "/* open $a",
        ",",
    ] {
        assert_eq!(of(list), None, "{list}");
    }
    for text in [
        "",
        "plan",
        "plan shop::deploy",
        "plan shop::deploy(",
        "plan shop::deploy($a)",
        "plan shop::deploy($a) >> String {",
        "plan shop::deployed() { }",
        "plan shop::other() { }",
        "planshop::deploy() { }",
        "function shop::deploy() { }",
        "class shop::deploy { }",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
    let deep = |count: usize| format!("$a = {}{}", "[".repeat(count), "]".repeat(count));
    assert!(of(&deep(MAX_DEPTH)).is_some());
    assert_eq!(of(&deep(MAX_DEPTH + 1)), None);
    let strings = format!("$a = {}", "\"${".repeat(100_000));
    assert_eq!(of(&strings), None);
}

proptest! {
    #[test]
    fn no_text_is_too_odd(text in ".*", list in "[ \\PC\n]*") {
        let _ = read(&text);
        let _ = of(&list);
    }

    /// Made of what means something here, so that all of it is reached.
    #[test]
    fn no_head_is_too_odd(parts in prop::collection::vec(prop::sample::select(vec![
        "String", "Optional", "[", "]", "(", ")", "{", "}", "'", "\"", "${", "$a", "$b", "=", "=>", ",", " ", "\n", "#", "/*",
        "*/", "/", "\\", "@", "undef", "1", "-", "é", "plan", "::",
    ]), 0..40)) {
        let list = parts.concat();
        if let Some(found) = of(&list) {
            for (name, shown) in found.as_object().unwrap() {
                prop_assert!(["a", "b"].iter().any(|known| name.starts_with(known)), "{}: {}", name, shown);
                prop_assert!(DataType::parse(shown["type"].as_str().unwrap()).is_ok());
            }
        }
        let _ = literal::value(&list);
    }
}
