//! Tiers: groups of nodes that follow each other, each behind a barrier.
//!
//! A node belongs to the first tier that names it; one that none names waits for nobody. The barrier behind a tier is a
//! junction (see [`super::graph`]), so a tier of n nodes before one of m costs n + m edges.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::CertName;

/// The tier of each of these nodes (sorted, each once), by its place in `tiers`.
#[must_use]
pub fn tiers_of(nodes: &[CertName], tiers: &[Vec<CertName>]) -> Vec<Option<u32>> {
    let mut first: BTreeMap<&CertName, u32> = BTreeMap::new();
    for (place, tier) in (0..).zip(tiers) {
        for node in tier {
            first.entry(node).or_insert(place);
        }
    }
    nodes.iter().map(|node| first.get(node).copied()).collect()
}

/// The edges of the tiers, with their barriers from the vertex `next` on.
pub(super) fn edges(placed: &[Option<u32>], next: &mut u32) -> Vec<(u32, u32)> {
    // A barrier behind no node would never open: tiers without nodes of this job are as if they were not there.
    let used: BTreeSet<u32> = placed.iter().flatten().copied().collect();
    let barriers: BTreeMap<u32, u32> = used.into_iter().zip(*next..).collect();
    let mut pairs = Vec::new();
    for (node, tier) in (0..).zip(placed) {
        let Some(tier) = tier else { continue };
        pairs.push((node, barriers[tier]));
        pairs.extend(barriers.range(..tier).next_back().map(|(_, before)| (*before, node)));
    }
    *next += u32::try_from(barriers.len()).expect("a request has few tiers");
    pairs
}
