//! Dependencies between the nodes of a job, projected from the components of an environment.
//!
//! A component depends on all that produce what it consumes; a node depends on the nodes of the components that its own
//! depend on. Where many nodes consume what many nodes produce, the edges go through a *junction*: a vertex without a
//! node, so that the graph grows with the number of nodes and not with its square. Edges to nodes outside the job are
//! left out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{CertName, NodeIndex};
use crate::ports::{Component, Environment};

use super::cycle::{self, Arrows};
use super::tiers;

/// More direct edges than this for one capability go through a junction.
const DIRECT_EDGES: usize = 64;

/// The nodes of a job and what waits for what.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Sorted, each once.
    pub nodes: Arc<[CertName]>,
    /// As in [`JobSpec::edges`](crate::model::JobSpec::edges).
    pub edges: Arc<[(NodeIndex, NodeIndex)]>,
}

/// Who makes and who needs one capability, by vertex.
#[derive(Debug, Default)]
struct Capability {
    makers: BTreeSet<u32>,
    users: BTreeSet<u32>,
}

/// Orders these nodes (sorted, each once) by the environment's components and by tiers; without either they are all
/// independent.
///
/// # Errors
/// The names along a cycle, first one repeated at the end: of components (`Type[title]`), or else of nodes.
pub fn build(
    nodes: Vec<CertName>,
    environment: Option<&Environment>,
    tiers: &[Vec<CertName>],
) -> Result<Plan, Vec<String>> {
    let mut vertices = count(nodes.len());
    let mut pairs = match environment {
        Some(environment) => project(&nodes, environment, &mut vertices)?,
        None => BTreeSet::new(),
    };
    pairs.extend(tiers::edges(&tiers::tiers_of(&nodes, tiers), &mut vertices));
    let edges = without_cycle(&nodes, vertices, pairs)?;
    Ok(Plan { nodes: nodes.into(), edges: edges.into() })
}

/// The edges of the components.
fn project(
    nodes: &[CertName],
    environment: &Environment,
    vertices: &mut u32,
) -> Result<BTreeSet<(u32, u32)>, Vec<String>> {
    let components = chosen_components(nodes, environment);
    refuse_component_cycle(&components)?;
    let by_node = capabilities(components.iter().map(|(node, component)| (*node, *component)));
    let mut pairs = BTreeSet::new();
    for capability in by_node.values() {
        connect(capability, vertices, &mut pairs);
    }
    Ok(pairs)
}

fn without_cycle(
    nodes: &[CertName],
    vertices: u32,
    pairs: BTreeSet<(u32, u32)>,
) -> Result<Vec<(NodeIndex, NodeIndex)>, Vec<String>> {
    let pairs: Vec<(u32, u32)> = pairs.into_iter().collect();
    if let Some(cycle) = cycle::find(&Arrows::new(vertices as usize, &pairs)) {
        let names = cycle.into_iter().filter_map(|vertex| nodes.get(vertex as usize)).map(ToString::to_string);
        return Err(closed(names.collect()));
    }
    Ok(pairs.into_iter().map(|(from, to)| (NodeIndex(from), NodeIndex(to))).collect())
}

/// The components on these nodes, each with its node's index.
fn chosen_components<'a>(nodes: &[CertName], environment: &'a Environment) -> Vec<(u32, &'a Component)> {
    let all = environment.instances.iter().flat_map(|instance| &instance.components);
    all.filter_map(|component| {
        let at = nodes.binary_search(component.node.as_ref()?).ok()?;
        Some((count(at), component))
    })
    .collect()
}

fn refuse_component_cycle(components: &[(u32, &Component)]) -> Result<(), Vec<String>> {
    let numbered = (0..).zip(components).map(|(at, (_, component))| (at, *component));
    let mut pairs = Vec::new();
    let mut vertices = count(components.len());
    for capability in capabilities(numbered).values() {
        if capability.users.is_empty() {
            continue;
        }
        // Component → capability → component: linear, and a cycle of components is a cycle here.
        pairs.extend(capability.makers.iter().map(|maker| (*maker, vertices)));
        pairs.extend(capability.users.iter().map(|user| (vertices, *user)));
        vertices += 1;
    }
    let Some(cycle) = cycle::find(&Arrows::new(vertices as usize, &pairs)) else { return Ok(()) };
    let named = cycle.into_iter().filter_map(|vertex| components.get(vertex as usize));
    Err(closed(named.map(|(_, component)| format!("{}[{}]", component.kind, component.title)).collect()))
}

/// Makes the last name of a cycle equal to its first, also where the walk began at a vertex without a name.
fn closed(mut names: Vec<String>) -> Vec<String> {
    if names.len() < 2 || names.first() != names.last() {
        names.extend(names.first().cloned());
    }
    names
}

fn capabilities<'a>(components: impl Iterator<Item = (u32, &'a Component)>) -> BTreeMap<&'a str, Capability> {
    let mut found: BTreeMap<&str, Capability> = BTreeMap::new();
    for (vertex, component) in components {
        for name in &component.produces {
            found.entry(name).or_default().makers.insert(vertex);
        }
        for name in &component.consumes {
            found.entry(name).or_default().users.insert(vertex);
        }
    }
    found
}

/// Adds the edges maker → user; a node never depends on itself.
fn connect(capability: &Capability, vertices: &mut u32, pairs: &mut BTreeSet<(u32, u32)>) {
    let Capability { makers, users } = capability;
    if makers.len().saturating_mul(users.len()) <= DIRECT_EDGES {
        let all = makers.iter().flat_map(|maker| users.iter().map(|user| (*maker, *user)));
        pairs.extend(all.filter(|(maker, user)| maker != user));
        return;
    }
    // Nodes on both sides are tied one by one: through the junction they would wait for themselves. Two of them wait
    // for each other, which is a cycle that the first two already show.
    let both: Vec<u32> = makers.intersection(users).copied().take(2).collect();
    let junction = *vertices;
    *vertices += 1;
    pairs.extend(makers.iter().filter(|maker| !both.contains(maker)).map(|maker| (*maker, junction)));
    pairs.extend(users.iter().map(|user| (junction, *user)));
    for node in both {
        pairs.extend(users.iter().filter(|user| **user != node).map(|user| (node, *user)));
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).expect("environments have fewer than 2^32 nodes and components")
}
