//! Which nodes may start: counts, for every node, the dependencies that have not finished.
//!
//! Linear in nodes and edges over a job's whole life; junctions (see [`super::graph`]) finish by themselves.

use crate::model::{JobSpec, NodeIndex};

use super::cycle::Arrows;

/// The dependencies of a job that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    nodes: u32,
    arrows: Arrows,
    waiting: Vec<u32>,
    /// Vertices that have finished or can never do so.
    decided: Vec<bool>,
}

impl Schedule {
    /// Nothing has run yet.
    #[must_use]
    pub fn new(spec: &JobSpec) -> Self {
        Self::over(spec.nodes.len(), &spec.edges)
    }

    /// As [`Schedule::new`], from the parts.
    #[must_use]
    pub fn over(nodes: usize, edges: &[(NodeIndex, NodeIndex)]) -> Self {
        let pairs: Vec<(u32, u32)> = edges.iter().map(|(from, to)| (from.0, to.0)).collect();
        let junctions = pairs.iter().map(|(from, to)| *from.max(to) as usize + 1).max().unwrap_or(0);
        let vertices = nodes.max(junctions);
        let arrows = Arrows::new(vertices, &pairs);
        let waiting = arrows.incoming();
        let nodes = u32::try_from(nodes).expect("a job has fewer than 2^32 nodes");
        Self { nodes, arrows, waiting, decided: vec![false; vertices] }
    }

    /// Whether all dependencies of the node have finished.
    #[must_use]
    pub fn may_start(&self, node: NodeIndex) -> bool {
        self.waiting[node.at()] == 0
    }

    /// For each node whether it may start now.
    #[must_use]
    pub fn startable(&self) -> Vec<bool> {
        self.waiting[..self.nodes as usize].iter().map(|waiting| *waiting == 0).collect()
    }

    /// The node finished; returns the nodes which may start because of it, sorted.
    pub fn finish(&mut self, node: NodeIndex) -> Vec<NodeIndex> {
        let mut freed = Vec::new();
        let mut done = vec![node.0];
        while let Some(vertex) = done.pop() {
            if std::mem::replace(&mut self.decided[vertex as usize], true) {
                continue;
            }
            for &to in self.arrows.of(vertex) {
                let waiting = &mut self.waiting[to as usize];
                *waiting -= 1;
                if *waiting == 0 {
                    if to < self.nodes { freed.push(NodeIndex(to)) } else { done.push(to) }
                }
            }
        }
        freed.retain(|freed| !self.decided[freed.at()]);
        freed.sort_unstable();
        freed
    }

    /// The node will never finish; returns the nodes which depend on it directly or not and were not yet lost, sorted.
    pub fn fail(&mut self, node: NodeIndex) -> Vec<NodeIndex> {
        self.decided[node.at()] = true;
        let mut lost = Vec::new();
        let mut open = vec![node.0];
        while let Some(vertex) = open.pop() {
            for &to in self.arrows.of(vertex) {
                if std::mem::replace(&mut self.decided[to as usize], true) {
                    continue;
                }
                open.push(to);
                if to < self.nodes {
                    lost.push(NodeIndex(to));
                }
            }
        }
        lost.sort_unstable();
        lost
    }
}
