//! How deep each node of a plan stands: what a person looks at before a job starts.

use super::Plan;
use super::cycle::Arrows;

/// For each node the number of nodes that must have finished one after the other before it may start.
#[must_use]
pub fn levels(plan: &Plan) -> Vec<u32> {
    let pairs: Vec<(u32, u32)> = plan.edges.iter().map(|(from, to)| (from.0, to.0)).collect();
    let nodes = plan.nodes.len();
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
