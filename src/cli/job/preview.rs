//! `bunraku job run --preview`: what a Puppet run would be.

use serde_json::Value;

use crate::cli::answers::joined;
use crate::cli::output::{Output, counted};

/// So many names are shown of one set.
const NAMES: usize = 10;

/// Shows the answer of the service.
pub(super) fn show(preview: &Value, out: Output) {
    if out.is_json() {
        out.json(preview);
        return;
    }
    let nodes = preview["nodes"].as_u64().unwrap_or_default();
    out.line(format!("Puppet would run on {}.", counted(nodes, "node", "nodes")));
    if count(&preview["not_connected"]) > 0 {
        out.line(format!("Not connected now: {}", some(&preview["not_connected"])));
    }
    let levels = preview["levels"].as_array().map_or(&[][..], Vec::as_slice);
    if levels.len() > 1 {
        out.line("One after the other:");
        for (number, level) in levels.iter().enumerate() {
            out.line(format!("  {}. {}", number + 1, some(level)));
        }
    }
    for (number, tier) in preview["order"].as_array().into_iter().flatten().enumerate() {
        let what = match (&tier["group"], &tier["query"]) {
            (Value::String(group), _) => format!("group {group}"),
            (_, Value::String(query)) => query.clone(),
            (_, Value::Null) => "nodes".to_owned(),
            (_, query) => query.to_string(),
        };
        out.line(format!("Tier {}, {what}: {}", number + 1, some(&tier["nodes"])));
    }
    if let Some(rule) = preview["rule"].as_str() {
        out.line(format!("In no tier: {}", some(&preview["in_no_tier"])));
        out.line(format!("Mind that {rule}."));
    }
}

fn count(set: &Value) -> u64 {
    set["count"].as_u64().unwrap_or_default()
}

/// The size of a set and its first names.
fn some(set: &Value) -> String {
    let all = count(set);
    if all == 0 {
        return "no node".to_owned();
    }
    let mut first = set.clone();
    let names = first["names"].as_array_mut().map(|names| names.drain(NAMES.min(names.len())..).count());
    let names_shown = joined(&first, "/names", ", ");
    let more = if names.unwrap_or_default() > 0 || all > NAMES as u64 { ", …" } else { "" };
    format!("{} ({names_shown}{more})", counted(all, "node", "nodes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_set_is_told_by_its_size_and_first_names() {
        let names: Vec<String> = (0..12).map(|number| format!("n{number}")).collect();
        assert_eq!(some(&json!({ "count": 1, "names": ["a"] })), "1 node (a)");
        assert_eq!(
            some(&json!({ "count": 12, "names": names })),
            "12 nodes (n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, …)"
        );
        assert_eq!(some(&json!({ "count": 0, "names": [] })), "no node");
    }
}
