//! Finds a cycle in a directed graph in linear time, without recursion (a chain may be 100,000 vertices long).

/// A directed graph as adjacency lists in two flat arrays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Arrows {
    offsets: Vec<u32>,
    targets: Vec<u32>,
}

impl Arrows {
    /// Arrows over `vertices` vertices; pairs may come in any order.
    pub(super) fn new(vertices: usize, pairs: &[(u32, u32)]) -> Self {
        let mut offsets = vec![0_u32; vertices + 1];
        for &(from, _) in pairs {
            offsets[from as usize + 1] += 1;
        }
        for at in 0..vertices {
            offsets[at + 1] += offsets[at];
        }
        let mut next = offsets.clone();
        let mut targets = vec![0; pairs.len()];
        for &(from, to) in pairs {
            let slot = &mut next[from as usize];
            targets[*slot as usize] = to;
            *slot += 1;
        }
        Self { offsets, targets }
    }

    /// Where the arrows of a vertex lead.
    pub(super) fn of(&self, vertex: u32) -> &[u32] {
        let at = vertex as usize;
        &self.targets[self.offsets[at] as usize..self.offsets[at + 1] as usize]
    }

    pub(super) fn vertices(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// How many arrows lead to each vertex.
    pub(super) fn incoming(&self) -> Vec<u32> {
        let mut counts = vec![0; self.vertices()];
        for &to in &self.targets {
            counts[to as usize] += 1;
        }
        counts
    }
}

/// The vertices of a cycle in the order of its arrows, the first one repeated at the end; `None` when there is none.
pub(super) fn find(arrows: &Arrows) -> Option<Vec<u32>> {
    let mut waiting = arrows.incoming();
    let mut free: Vec<u32> = (0..).zip(&waiting).filter(|(_, count)| **count == 0).map(|(vertex, _)| vertex).collect();
    let mut left = arrows.vertices();
    while let Some(vertex) = free.pop() {
        left -= 1;
        for &to in arrows.of(vertex) {
            waiting[to as usize] -= 1;
            if waiting[to as usize] == 0 {
                free.push(to);
            }
        }
    }
    (left > 0).then(|| walk_back(arrows, &waiting))
}

/// Every vertex that still waits has a predecessor that waits too, so walking backward must meet itself.
fn walk_back(arrows: &Arrows, waiting: &[u32]) -> Vec<u32> {
    let count = arrows.vertices();
    let mut before = vec![None; count];
    let mut first = None;
    for vertex in (0..).take(count).filter(|vertex: &u32| waiting[*vertex as usize] > 0) {
        first = first.or(Some(vertex));
        for &to in arrows.of(vertex) {
            before[to as usize] = before[to as usize].or(Some(vertex));
        }
    }
    let mut at = first.expect("called only when some vertex waits");
    let mut seen_at = vec![None; count];
    let mut path: Vec<u32> = Vec::new();
    loop {
        if let Some(start) = seen_at[at as usize] {
            let mut cycle = path.split_off(start);
            cycle.push(at);
            cycle.reverse();
            return cycle;
        }
        seen_at[at as usize] = Some(path.len());
        path.push(at);
        at = before[at as usize].expect("a waiting vertex has a waiting predecessor");
    }
}
