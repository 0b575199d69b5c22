//! How deep each node of a plan stands: what a person looks at before a job starts.

use std::collections::BTreeSet;

use super::cycle::Arrows;
use crate::model::{JobSpec, NodeIndex};

/// For each node the number of nodes that must have finished one after the other before it may start.
#[must_use]
pub fn levels(nodes: usize, edges: &[(NodeIndex, NodeIndex)]) -> Vec<u32> {
    let pairs: Vec<(u32, u32)> = edges.iter().map(|(from, to)| (from.0, to.0)).collect();
    let vertices = pairs.iter().map(|(from, to)| *from.max(to) as usize + 1).max().unwrap_or(0).max(nodes);
    let arrows = Arrows::new(vertices, &pairs);
    let mut waiting = arrows.incoming();
    let mut levels = vec![0; vertices];
    let mut free: Vec<u32> = (0..).zip(&waiting).filter(|(_, count)| **count == 0).map(|(vertex, _)| vertex).collect();
    while let Some(vertex) = free.pop() {
        // A junction stands for no node of its own.
        let next = levels[vertex as usize] + u32::from((vertex as usize) < nodes);
        for &to in arrows.of(vertex) {
            levels[to as usize] = next.max(levels[to as usize]);
            waiting[to as usize] -= 1;
            if waiting[to as usize] == 0 {
                free.push(to);
            }
        }
    }
    levels.truncate(nodes);
    levels
}

/// The nodes that must finish before this one may start and have not: directly, junctions left out. Sorted.
#[must_use]
pub fn waits_for(spec: &JobSpec, node: NodeIndex, finished: impl Fn(NodeIndex) -> bool) -> Vec<NodeIndex> {
    let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::from([node]));
    let mut open = BTreeSet::from([node]);
    // Junctions may follow each other: each round goes one arrow back, over all edges.
    while !open.is_empty() {
        let before = spec.edges.iter().filter(|(_, to)| open.contains(to)).map(|(from, _)| *from);
        let before: Vec<NodeIndex> = before.filter(|from| seen.insert(*from)).collect();
        let (nodes, junctions): (Vec<_>, Vec<_>) = before.into_iter().partition(|from| from.at() < spec.nodes.len());
        found.extend(nodes.into_iter().filter(|node| !finished(*node)));
        open = junctions.into_iter().collect();
    }
    found.into_iter().collect()
}
