//! Which nodes somebody may act on: data, so that the engine can hold it against the nodes that it resolved.

use std::sync::Arc;

use super::CertName;

/// A name in which `*` stands for any text, also for none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(String);

impl Pattern {
    /// Any text is a pattern.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole name fits.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        // The leftmost place of each part leaves the most room for those that follow.
        for part in parts {
            let Some(place) = rest.find(part) else { return false };
            rest = &rest[place + part.len()..];
        }
        rest.ends_with(last)
    }
}

/// The nodes on which a command may act.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Reach {
    /// All of them.
    #[default]
    All,
    /// Those that fit one of these.
    Only(Limited),
}

/// Nodes by name, by the groups that they are in, and by the queries that find them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limited {
    pub names: Arc<[Pattern]>,
    /// Groups by id or name. Who is in them is for the directory to say.
    pub groups: Arc<[Pattern]>,
    /// Queries in PQL. Whom they find is for the directory to say, each time anew.
    pub queries: Arc<[String]>,
}

impl Reach {
    /// Whether a command may act on this node because of its name.
    #[must_use]
    pub fn covers_by_name(&self, node: &CertName) -> bool {
        match self {
            Self::All => true,
            Self::Only(limited) => limited.names.iter().any(|pattern| pattern.matches(node.as_str())),
        }
    }

    /// The groups whose nodes are covered too.
    #[must_use]
    pub fn groups(&self) -> &[Pattern] {
        match self {
            Self::All => &[],
            Self::Only(limited) => &limited.groups,
        }
    }

    /// The queries whose nodes are covered too.
    #[must_use]
    pub fn queries(&self) -> &[String] {
        match self {
            Self::All => &[],
            Self::Only(limited) => &limited.queries,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        let matches = |pattern: &str, name: &str| Pattern::new(pattern).matches(name);
        for (pattern, name) in [
            ("*", ""),
            ("*", "a"),
            ("a", "a"),
            ("", ""),
            ("a*", "a"),
            ("*a", "ba"),
            ("a*c", "abc"),
            ("a*c", "ac"),
            ("web*.example.com", "web12.example.com"),
            ("*.a.*.b", "x.a.y.a.z.b"),
            ("**", "ab"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("a", ""), ("", "a"), ("a", "ab"), ("a*", "ba"), ("*a", "ab"), ("a*a", "a"), ("ab*ba", "aba")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    /// The definition, without cleverness.
    fn slow(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => slow(rest, name) || (!name.is_empty() && slow(pattern, &name[1..])),
            (Some((one, rest)), Some((other, tail))) => one == other && slow(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_is_what_the_definition_says(pattern in "[ab*]{0,8}", name in "[ab]{0,8}") {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(Pattern::new(pattern.as_str()).matches(&name), slow(&letters(&pattern), &letters(&name)));
        }
    }
}
