//! The rules of node groups, as the classifier of Puppet Enterprise writes them: nested arrays of operators.
//!
//! `["and", …]`, `["or", …]` and `["not", rule]` combine conditions `[operator, what, value]`, where `what` is `"name"` or
//! a path such as `["fact", "os", "family"]` or `["trusted", "extensions", "pp_role"]`, and `value` is text. `=` compares
//! text, `~` is a regular expression that fits anywhere, the orderings compare numbers. A fact that is not there fits
//! no condition.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

/// Deeper rules are refused: nobody writes them, and they are walked recursively.
const DEEPEST: usize = 32;

/// A place in what is known of a node: `fact` or `trusted`, then the keys. Elements of arrays are named by their number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::directory) struct FactPath(Vec<String>);

impl FactPath {
    /// The value at this place of the facts, as text.
    pub(in crate::directory) fn find(&self, facts: &Value) -> Option<String> {
        let (first, keys) = self.0.split_first()?;
        let root = if first == "trusted" { facts.get("trusted")? } else { facts };
        let step = |value: &'_ Value, key: &String| -> Option<Value> {
            match value {
                Value::Object(entries) => entries.get(key).cloned(),
                Value::Array(items) => items.get(key.parse::<usize>().ok()?).cloned(),
                _ => None,
            }
        };
        let mut found = step(root, keys.first()?)?;
        for key in &keys[1..] {
            found = step(&found, key)?;
        }
        text_of(&found)
    }

    /// The place as PuppetDB names it: what is trusted is a fact of that name, and elements of arrays have numbers.
    /// Keys that look like numbers may be those of maps as well: then it may be in either of two places.
    pub(in crate::directory) fn in_puppetdb(&self) -> Vec<Vec<Value>> {
        let keys = self.0.iter().skip(usize::from(self.0.first().is_some_and(|first| first == "fact")));
        let as_keys: Vec<Value> = keys.clone().map(|key| Value::from(key.as_str())).collect();
        let inside = |(index, key): (usize, &String)| match key.parse::<u32>() {
            Ok(number) if index > 0 => Value::from(number),
            _ => Value::from(key.as_str()),
        };
        let as_elements: Vec<Value> = keys.enumerate().map(inside).collect();
        if as_keys == as_elements { vec![as_keys] } else { vec![as_elements, as_keys] }
    }
}

/// A fact's value as rules see it. Only what is no object and no array has a text.
pub(in crate::directory) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Object(_) | Value::Array(_) => None,
    }
}

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    Name,
    Fact(FactPath),
}

/// How it compares.
#[derive(Debug, Clone)]
enum Test {
    Equals(String),
    Fits(Regex),
    Less(f64),
    AtMost(f64),
    More(f64),
    AtLeast(f64),
}

impl Test {
    fn holds(&self, text: &str) -> bool {
        let number = || text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        match self {
            Self::Equals(wanted) => wanted == text,
            Self::Fits(pattern) => pattern.is_match(text),
            Self::Less(limit) => number().is_some_and(|number| number < *limit),
            Self::AtMost(limit) => number().is_some_and(|number| number <= *limit),
            Self::More(limit) => number().is_some_and(|number| number > *limit),
            Self::AtLeast(limit) => number().is_some_and(|number| number >= *limit),
        }
    }
}

/// A rule that was understood.
#[derive(Debug, Clone)]
pub(in crate::directory) enum Rule {
    All(Vec<Rule>),
    Any(Vec<Rule>),
    Not(Box<Rule>),
    Is(Condition),
}

/// One comparison.
#[derive(Debug, Clone)]
pub(in crate::directory) struct Condition {
    subject: Subject,
    test: Test,
}

impl Rule {
    /// Reads a rule.
    ///
    /// # Errors
    /// Says which part of it is wrong, and why.
    pub(in crate::directory) fn parse(rule: &Value) -> Result<Self, String> {
        Self::parse_at(rule, 0)
    }

    fn parse_at(rule: &Value, depth: usize) -> Result<Self, String> {
        if depth > DEEPEST {
            return Err(format!("the rule nests deeper than {DEEPEST} levels"));
        }
        let wrong = |why: &str| format!("{rule}: {why}");
        let parts = rule.as_array().ok_or_else(|| wrong("a rule is an array"))?;
        let operator = parts.first().and_then(Value::as_str).ok_or_else(|| wrong("it begins with an operator"))?;
        let all = || parts[1..].iter().map(|part| Self::parse_at(part, depth + 1)).collect::<Result<Vec<_>, _>>();
        match operator {
            "and" | "or" if parts.len() < 2 => Err(wrong("it combines nothing")),
            "and" => all().map(Self::All),
            "or" => all().map(Self::Any),
            "not" => match &parts[1..] {
                [one] => Ok(Self::Not(Box::new(Self::parse_at(one, depth + 1)?))),
                _ => Err(wrong("not has exactly one rule")),
            },
            _ => {
                let [_, subject, value] = &parts[..] else {
                    return Err(wrong("a condition is [operator, what, value]"));
                };
                let subject = parse_subject(subject).map_err(|why| wrong(&why))?;
                let value = value.as_str().ok_or_else(|| wrong("the value is text in quotes"))?;
                let test = parse_test(operator, value).map_err(|why| wrong(&why))?;
                Ok(Self::Is(Condition { subject, test }))
            }
        }
    }

    /// Whether a node fits. `fact` tells a fact's text.
    pub(in crate::directory) fn fits(&self, name: &str, fact: &impl Fn(&FactPath) -> Option<String>) -> bool {
        match self {
            Self::All(rules) => rules.iter().all(|rule| rule.fits(name, fact)),
            Self::Any(rules) => rules.iter().any(|rule| rule.fits(name, fact)),
            Self::Not(rule) => !rule.fits(name, fact),
            Self::Is(Condition { subject: Subject::Name, test }) => test.holds(name),
            Self::Is(Condition { subject: Subject::Fact(path), test }) => {
                fact(path).is_some_and(|text| test.holds(&text))
            }
        }
    }

    /// Adds the facts that it looks at.
    pub(in crate::directory) fn add_facts(&self, facts: &mut BTreeSet<FactPath>) {
        match self {
            Self::All(rules) | Self::Any(rules) => rules.iter().for_each(|rule| rule.add_facts(facts)),
            Self::Not(rule) => rule.add_facts(facts),
            Self::Is(Condition { subject: Subject::Fact(path), .. }) => drop(facts.insert(path.clone())),
            Self::Is(Condition { subject: Subject::Name, .. }) => {}
        }
    }
}

fn parse_subject(subject: &Value) -> Result<Subject, String> {
    match subject {
        Value::String(name) if name == "name" => Ok(Subject::Name),
        Value::Array(keys) => {
            let texts: Option<Vec<String>> = keys
                .iter()
                .map(|key| key.as_str().map(str::to_owned).or_else(|| key.as_u64().map(|place| place.to_string())))
                .collect();
            match texts {
                Some(texts) if texts.len() >= 2 && ["fact", "trusted"].contains(&texts[0].as_str()) => {
                    Ok(Subject::Fact(FactPath(texts)))
                }
                _ => Err(format!("{subject} is neither [fact, …] nor [trusted, …]")),
            }
        }
        _ => Err(format!("{subject} is neither name nor [fact, …] nor [trusted, …]")),
    }
}

fn parse_test(operator: &str, value: &str) -> Result<Test, String> {
    let number = || {
        let number = value.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        number.ok_or_else(|| format!("'{value}' is no number, and {operator} compares numbers"))
    };
    Ok(match operator {
        "=" => Test::Equals(value.to_owned()),
        "~" => Test::Fits(Regex::new(value).map_err(|error| format!("'{value}' is no regular expression: {error}"))?),
        "<" => Test::Less(number()?),
        "<=" => Test::AtMost(number()?),
        ">" => Test::More(number()?),
        ">=" => Test::AtLeast(number()?),
        _ => return Err(format!("'{operator}' is no operator: use and, or, not, =, ~, <, <=, > or >=")),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn fits(rule: &Value, name: &str, facts: &Value) -> bool {
        Rule::parse(rule).unwrap().fits(name, &|path| path.find(facts))
    }

    #[test]
    fn conditions_look_at_names_and_facts() {
        let facts = json!({
            "os": { "family": "RedHat", "release": { "major": "9" } }, "processorcount": 4, "is_virtual": true,
            "disks": ["sda", "sdb"], "trusted": { "extensions": { "pp_role": "web" } },
        });
        for (rule, expected) in [
            (json!(["=", "name", "web1"]), true),
            (json!(["=", "name", "web"]), false),
            (json!(["~", "name", "^web\\d+$"]), true),
            (json!(["~", "name", "eb"]), true),
            (json!(["=", ["fact", "os", "family"], "RedHat"]), true),
            (json!(["=", ["fact", "os", "family"], "redhat"]), false),
            (json!(["=", ["fact", "is_virtual"], "true"]), true),
            (json!(["=", ["fact", "processorcount"], "4"]), true),
            (json!(["=", ["fact", "disks", "1"], "sdb"]), true),
            (json!(["=", ["fact", "disks", 1], "sdb"]), true),
            (json!(["=", ["fact", "os"], "RedHat"]), false),
            (json!([">=", ["fact", "os", "release", "major"], "9"]), true),
            (json!([">", ["fact", "os", "release", "major"], "9"]), false),
            (json!(["<", ["fact", "processorcount"], "10"]), true),
            (json!(["<", ["fact", "os", "family"], "10"]), false),
            (json!(["=", ["trusted", "extensions", "pp_role"], "web"]), true),
            (json!(["=", ["fact", "none"], ""]), false),
            (json!(["not", ["=", ["fact", "none"], "x"]]), true),
            (json!(["and", ["=", "name", "web1"], ["not", ["=", ["fact", "os", "family"], "Debian"]]]), true),
            (json!(["or", ["=", "name", "a"], ["=", "name", "web1"]]), true),
            (json!(["or", ["=", "name", "a"], ["=", "name", "b"]]), false),
        ] {
            assert_eq!(fits(&rule, "web1", &facts), expected, "{rule}");
        }
        let mut used = BTreeSet::new();
        Rule::parse(&json!(["or", ["=", "name", "a"], ["not", ["~", ["fact", "os", "family"], "x"]]]))
            .unwrap()
            .add_facts(&mut used);
        assert_eq!(
            used.into_iter().collect::<Vec<_>>(),
            [FactPath(["fact", "os", "family"].map(str::to_owned).into())]
        );
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        let refusal = |rule: Value| Rule::parse(&rule).unwrap_err();
        assert!(refusal(json!("web")).contains("a rule is an array"));
        assert!(refusal(json!([])).contains("begins with an operator"));
        assert!(refusal(json!(["and"])).contains("combines nothing"));
        assert!(refusal(json!(["not", ["=", "name", "a"], ["=", "name", "b"]])).contains("exactly one"));
        assert!(refusal(json!(["like", "name", "a"])).contains("'like' is no operator"));
        assert!(refusal(json!(["=", "certname", "a"])).contains("neither name nor"));
        assert!(refusal(json!(["=", ["facts", "os"], "a"])).contains("neither [fact"));
        assert!(refusal(json!(["=", "name", 3])).contains("text in quotes"));
        assert!(refusal(json!(["~", "name", "("])).contains("no regular expression"));
        assert!(refusal(json!(["<", ["fact", "x"], "many"])).contains("'many' is no number"));
        let deep = (0..40).fold(json!(["=", "name", "a"]), |inner, _| json!(["not", inner]));
        assert!(refusal(deep).contains("nests deeper"));
    }

    fn rule() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            "[ab]{1,2}".prop_map(|name| json!(["=", "name", name])),
            ("[xy]", "[01]").prop_map(|(fact, value)| json!(["=", ["fact", fact], value])),
        ];
        leaf.prop_recursive(4, 20, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 1..3)
                    .prop_map(|rules| { json!(std::iter::once(json!("and")).chain(rules).collect::<Vec<_>>()) }),
                proptest::collection::vec(inner.clone(), 1..3)
                    .prop_map(|rules| { json!(std::iter::once(json!("or")).chain(rules).collect::<Vec<_>>()) }),
                inner.prop_map(|rule| json!(["not", rule])),
            ]
        })
    }

    proptest! {
        /// De Morgan: the denial of a combination is the combination of the denials.
        #[test]
        fn combinations_obey_logic(a in rule(), b in rule(), name in "[ab]{1,2}", x in "[01]") {
            let facts = json!({ "x": x });
            let holds = |rule: Value| fits(&rule, &name, &facts);
            let (not_a, not_b) = (json!(["not", a]), json!(["not", b]));
            prop_assert_eq!(holds(json!(["not", ["and", a, b]])), holds(json!(["or", not_a, not_b])));
            prop_assert_eq!(holds(json!(["not", ["or", a, b]])), holds(json!(["and", not_a, not_b])));
            prop_assert_eq!(holds(json!(["not", not_a])), holds(a.clone()));
        }

        #[test]
        fn nothing_makes_it_panic(text in ".{0,60}") {
            if let Ok(value) = serde_json::from_str::<Value>(&text) {
                let _ = Rule::parse(&value);
            }
        }
    }
}
