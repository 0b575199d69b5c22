//! What went wrong in a job, grouped by what the nodes have in common: one sentence for 37 failures.

use std::collections::BTreeMap;

use bunraku_actors::model::{CertName, common_message};

use crate::cli::answers::Node;
use crate::cli::output::counted;
use crate::cli::terminal::{cut, one_line, some_of};

/// So many names of a group are told at most.
const NAMES: usize = 10;

/// Nodes that ended in the same way for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// `failed`, or `errored, not_connected` where the cause is known.
    pub(crate) end: String,
    /// What their messages have in common; the message itself while there is one node.
    pub(crate) text: String,
    pub(crate) count: u64,
    /// The first of them.
    pub(crate) names: Vec<String>,
}

/// Groups of nodes that did not finish.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failures(BTreeMap<(String, String), Group>);

impl Failures {
    /// The failures of these nodes, as they are after a job.
    pub(crate) fn of<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Self {
        let mut failures = Self::default();
        for node in nodes {
            failures.add(&node.name, &node.end_in_words(), node.reason());
        }
        failures
    }

    /// Counts one node.
    pub(crate) fn add(&mut self, node: &str, end: &str, reason: &str) {
        let reason = one_line(reason);
        let common = match CertName::parse(node) {
            Ok(name) => common_message(&name, &reason),
            Err(_) => reason.clone(),
        };
        let group = self.0.entry((end.to_owned(), common.clone())).or_insert_with(|| Group {
            end: end.to_owned(),
            text: reason,
            count: 0,
            names: Vec::new(),
        });
        group.count += 1;
        if group.count == 2 {
            group.text = common;
        }
        if group.names.len() < NAMES {
            group.names.push(node.to_owned());
        }
    }

    /// The groups, the largest first.
    pub(crate) fn groups(&self) -> Vec<&Group> {
        let mut groups: Vec<_> = self.0.values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        groups
    }

    /// Two lines for each of the largest groups, and one about the others when there are more than `most`.
    pub(crate) fn lines(&self, job: &str, most: usize, width: usize) -> Vec<String> {
        let groups = self.groups();
        let digits = groups.first().map_or(0, |group| group.count.to_string().len());
        let mut lines = Vec::new();
        for group in groups.iter().take(most) {
            let text = if group.text.is_empty() { "no reason given" } else { &group.text };
            lines.push(cut(&format!("{:>digits$} {}: {text}", group.count, group.end), width));
            let indent = digits + 1;
            let names = some_of(&group.names, group.count, width.saturating_sub(indent));
            lines.push(cut(&format!("{:indent$}{names}", ""), width));
        }
        let others = groups.get(most..).unwrap_or_default();
        if !others.is_empty() {
            let nodes: u64 = others.iter().map(|group| group.count).sum();
            let reasons = counted(others.len() as u64, "other reason", "other reasons");
            let more = format!("and {nodes} more for {reasons}: bunraku job show {job} --failed");
            lines.push(cut(&more, width));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_with_the_same_trouble_are_one_group() {
        let mut failures = Failures::default();
        for number in 1..=37 {
            let name = format!("web{number}.example.com");
            failures.add(&name, "failed", &format!("{name}: lock held by pid {}", 4000 + number));
        }
        failures.add("db1", "errored", "db1: lock held by\npid 7");
        let shown = failures.lines("42", 9, 70);
        let expected = [
            "37 failed: <node>: lock held by pid <n>",
            "   web1.example.com, web2.example.com, web3.example.com and 34 more",
            " 1 errored: db1: lock held by pid 7",
            "   db1",
        ];
        assert_eq!(shown, expected);
        let cut_off = failures.lines("42", 1, 70);
        assert_eq!(cut_off[2], "and 1 more for 1 other reason: bunraku job show 42 --failed");
    }
}
