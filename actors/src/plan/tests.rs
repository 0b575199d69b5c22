//! Targets, edges, cycles, and schedules against a naive model.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::model::{ApplicationTarget, CertName, NodeIndex, Scope};
use crate::ports::{Component, Environment, EnvironmentSettings, Instance};

use super::*;

fn name(text: &str) -> CertName {
    CertName::parse(text).unwrap()
}

fn component(title: &str, node: &str, produces: &[&str], consumes: &[&str]) -> Component {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Component {
        kind: "Part".into(),
        title: title.into(),
        node: (!node.is_empty()).then(|| name(node)),
        produces: owned(produces),
        consumes: owned(consumes),
    }
}

fn environment(components: Vec<Component>, nodes: &[&str]) -> Environment {
    let instances = if components.is_empty() {
        Vec::new()
    } else {
        vec![Instance { kind: "Shop::Eu".into(), title: "x".into(), components }]
    };
    Environment {
        name: crate::model::EnvironmentName::parse("production").unwrap(),
        settings: EnvironmentSettings::default(),
        applications: Vec::new(),
        instances,
        nodes: nodes.iter().map(|node| name(node)).collect(),
        order: Vec::new(),
    }
}

fn application(kind: &str, title: Option<&str>) -> Scope {
    Scope::Application(ApplicationTarget { kind: kind.into(), title: title.map(str::to_owned) })
}

fn texts(nodes: &[CertName]) -> Vec<&str> {
    nodes.iter().map(CertName::as_str).collect()
}

#[test]
fn targets_are_sorted_and_each_once() {
    let known = environment(vec![component("a", "b1", &[], &[]), component("b", "a1", &[], &[])], &["c1", "a1"]);
    let nodes = resolve(&Scope::Nodes(vec![name("z"), name("a"), name("z")]), None).unwrap();
    assert_eq!(texts(&nodes), ["a", "z"]);
    assert_eq!(texts(&resolve(&Scope::WholeEnvironment, Some(&known)).unwrap()), ["a1", "b1", "c1"]);
    for (kind, title) in [("Shop::Eu", None), ("shop::eu", Some("x")), ("shop::Eu", Some("'x'"))] {
        assert_eq!(texts(&resolve(&application(kind, title), Some(&known)).unwrap()), ["a1", "b1"]);
    }
}

#[test]
fn targets_without_nodes_are_refused_with_their_word() {
    let empty = environment(Vec::new(), &[]);
    let known = environment(vec![component("a", "a1", &[], &[])], &[]);
    assert_eq!(resolve(&Scope::WholeEnvironment, Some(&empty)), Err(ResolveError::EmptyEnvironment));
    assert_eq!(resolve(&application("Shop::Eu", None), Some(&empty)), Err(ResolveError::EmptyEnvironment));
    let target = |scope: &Scope| match resolve(scope, Some(&known)) {
        Err(ResolveError::EmptyTarget(target)) => target,
        other => panic!("{other:?}"),
    };
    assert_eq!(target(&Scope::Nodes(Vec::new())), "nodes");
    assert_eq!(target(&application("SHOP::Eu", None)), "SHOP::Eu", "only first letters compare without case");
    assert_eq!(target(&application("Shop::Eu", Some("y"))), "Shop::Eu[y]");
    assert!(matches!(resolve(&Scope::NodeGroup("g".into()), Some(&known)), Err(ResolveError::Unsupported(_))));
}

#[test]
fn edges_join_the_nodes_of_components() {
    let known = environment(
        vec![
            component("db", "db", &["Sql[x]"], &[]),
            component("app", "app", &["Http[x]"], &["Sql[x]"]),
            component("local", "db", &[], &["Sql[x]"]),
            component("web", "web", &[], &["Http[x]"]),
            component("nowhere", "", &["Http[x]"], &["Sql[x]"]),
        ],
        &[],
    );
    let nodes = vec![name("app"), name("db"), name("web")];
    let plan = build(nodes, Some(&known), &[]).unwrap();
    assert_eq!(*plan.edges, [(NodeIndex(0), NodeIndex(2)), (NodeIndex(1), NodeIndex(0))]);
    let without_app = build(vec![name("db"), name("web")], Some(&known), &[]).unwrap();
    assert_eq!(*without_app.edges, [], "edges to nodes outside the job are left out");
    assert_eq!(*build(vec![name("db"), name("web")], None, &[]).unwrap().edges, []);
}

#[test]
fn cycles_are_named() {
    let components = vec![component("a", "n1", &["A[1]"], &["B[1]"]), component("b", "n2", &["B[1]"], &["A[1]"])];
    let cycle = build(vec![name("n1"), name("n2")], Some(&environment(components, &[])), &[]).unwrap_err();
    assert_eq!(cycle.first(), cycle.last());
    assert_eq!(cycle.iter().collect::<BTreeSet<_>>().len(), 2);
    assert!(cycle.contains(&"Part[a]".to_owned()), "{cycle:?}");

    // Components a → b and c → d have no cycle, their nodes have one.
    let crossed = vec![
        component("a", "n1", &["A[1]"], &[]),
        component("b", "n2", &[], &["A[1]"]),
        component("c", "n2", &["C[1]"], &[]),
        component("d", "n1", &[], &["C[1]"]),
    ];
    let cycle = build(vec![name("n1"), name("n2")], Some(&environment(crossed, &[])), &[]).unwrap_err();
    assert!(cycle == ["n1", "n2", "n1"] || cycle == ["n2", "n1", "n2"], "{cycle:?}");

    let own = vec![component("a", "n1", &["A[1]"], &["A[1]"])];
    assert_eq!(build(vec![name("n1")], Some(&environment(own, &[])), &[]).unwrap_err(), ["Part[a]", "Part[a]"]);
}

#[test]
fn a_barrier_of_many_nodes_stays_linear_and_orders_them() {
    let makers = (0..500).map(|n| component(&format!("m{n}"), &format!("m{n:03}"), &["Sql[x]"], &[]));
    let users = (0..2_000).map(|n| component(&format!("u{n}"), &format!("u{n:04}"), &[], &["Sql[x]"]));
    let known = environment(makers.chain(users).collect(), &[]);
    let nodes = resolve(&Scope::WholeEnvironment, Some(&known)).unwrap();
    let plan = build(nodes, Some(&known), &[]).unwrap();
    assert_eq!(plan.edges.len(), 2_500);
    let mut schedule = Schedule::over(plan.nodes.len(), &plan.edges);
    assert_eq!(schedule.startable().iter().filter(|ready| **ready).count(), 500);
    for node in 0..499 {
        assert_eq!(schedule.finish(NodeIndex(node)), []);
    }
    assert_eq!(schedule.finish(NodeIndex(499)).len(), 2_000);
    let mut failing = Schedule::over(plan.nodes.len(), &plan.edges);
    assert_eq!(failing.fail(NodeIndex(7)).len(), 2_000);
    assert_eq!(failing.fail(NodeIndex(8)), [], "each is lost once");
}

#[test]
fn a_node_on_both_sides_of_a_barrier_waits_for_the_others_only() {
    let mut components: Vec<Component> =
        (0..20).map(|n| component(&format!("m{n}"), &format!("m{n:02}"), &["Sql[x]"], &[])).collect();
    components.extend((0..20).map(|n| component(&format!("u{n}"), &format!("u{n:02}"), &[], &["Sql[x]"])));
    components.push(component("both", "m00", &[], &["Sql[x]"]));
    let known = environment(components, &[]);
    let plan = build(resolve(&Scope::WholeEnvironment, Some(&known)).unwrap(), Some(&known), &[]).unwrap();
    let mut schedule = Schedule::over(plan.nodes.len(), &plan.edges);
    assert!(!schedule.may_start(NodeIndex(0)));
    let freed: Vec<NodeIndex> = (1..20).flat_map(|node| schedule.finish(NodeIndex(node))).collect();
    assert_eq!(freed, [NodeIndex(0)]);
    assert_eq!(schedule.finish(NodeIndex(0)).len(), 20);
}

#[test]
fn a_long_chain_needs_no_deep_stack() {
    let edges: Vec<_> = (0..99_999).map(|n| (NodeIndex(n), NodeIndex(n + 1))).collect();
    let mut schedule = Schedule::over(100_000, &edges);
    assert_eq!(schedule.fail(NodeIndex(0)).len(), 99_999);
    let mut round: Vec<(u32, u32)> = edges.iter().map(|(a, b)| (a.0, b.0)).collect();
    round.push((99_999, 0));
    let cycle = super::cycle::find(&super::cycle::Arrows::new(100_000, &round)).unwrap();
    assert_eq!(cycle.len(), 100_001);
}

/// Pairs from lower to higher numbers: never a cycle.
fn acyclic() -> impl Strategy<Value = (usize, Vec<(u32, u32)>)> {
    (2_usize..12).prop_flat_map(|count| {
        let most = u32::try_from(count).unwrap();
        let pair = (0..most, 0..most).prop_filter_map("no loops", |(a, b)| (a != b).then(|| (a.min(b), a.max(b))));
        (Just(count), proptest::collection::btree_set(pair, 0..20).prop_map(|pairs| pairs.into_iter().collect()))
    })
}

proptest! {
    #[test]
    fn schedules_do_what_the_naive_model_does(
        (count, pairs) in acyclic(),
        outcomes in proptest::collection::vec(any::<bool>(), 12),
        picks in proptest::collection::vec(any::<prop::sample::Index>(), 12),
    ) {
        let edges: Vec<_> = pairs.iter().map(|(a, b)| (NodeIndex(*a), NodeIndex(*b))).collect();
        let mut schedule = Schedule::over(count, &edges);
        let before = |node: u32| pairs.iter().filter(move |(_, to)| *to == node).map(|(from, _)| *from);
        let mut finished = BTreeSet::new();
        let mut lost = BTreeSet::new();
        let mut ready: BTreeSet<u32> =
            (0..).zip(schedule.startable()).filter(|(_, may)| *may).map(|(node, _)| node).collect();
        for (outcome, pick) in outcomes.into_iter().zip(picks) {
            let Some(node) = (!ready.is_empty()).then(|| *pick.get(&ready.iter().copied().collect::<Vec<_>>())) else { break };
            prop_assert!(before(node).all(|node| finished.contains(&node)));
            ready.remove(&node);
            if outcome {
                finished.insert(node);
                let freed: BTreeSet<u32> = schedule.finish(NodeIndex(node)).into_iter().map(|node| node.0).collect();
                prop_assert!(freed.is_disjoint(&ready) && freed.is_disjoint(&lost));
                ready.extend(freed);
            } else {
                lost.insert(node);
                lost.extend(schedule.fail(NodeIndex(node)).into_iter().map(|node| node.0));
            }
        }
        for node in (0..).take(count) {
            let startable = before(node).all(|node| finished.contains(&node));
            let doomed = before(node).any(|node| lost.contains(&node));
            prop_assert_eq!(startable, ready.contains(&node) || finished.contains(&node) || (lost.contains(&node) && !doomed));
            prop_assert!(!doomed || lost.contains(&node), "{} depends on a lost node", node);
        }
    }

    #[test]
    fn a_cycle_is_found_exactly_when_there_is_one((count, pairs) in acyclic(), back in any::<prop::sample::Index>()) {
        let arrows = super::cycle::Arrows::new(count, &pairs);
        prop_assert_eq!(super::cycle::find(&arrows), None);
        if !pairs.is_empty() {
            let (from, to) = *back.get(&pairs);
            let mut closed = pairs.clone();
            closed.push((to, from));
            let cycle = super::cycle::find(&super::cycle::Arrows::new(count, &closed)).unwrap();
            prop_assert_eq!(cycle.first(), cycle.last());
            prop_assert!(cycle.windows(2).all(|step| closed.contains(&(step[0], step[1]))));
        }
    }
}

#[test]
fn tiers_follow_each_other_behind_barriers() {
    let nodes: Vec<CertName> = ["app1", "app2", "db1", "db2", "other", "web"].map(name).to_vec();
    let tier = |names: &[&str]| names.iter().map(|text| name(text)).collect::<Vec<_>>();
    // A node in two tiers belongs to the first; one that is not in the job is no matter; a tier may be empty.
    let tiers = [tier(&["db1", "db2", "away"]), tier(&["app1", "app2", "db1"]), tier(&["away"]), tier(&["web"])];
    let plan = build(nodes.clone(), None, &tiers).unwrap();
    assert_eq!(tiers_of(&nodes, &tiers), [Some(1), Some(1), Some(0), Some(0), None, Some(3)]);
    assert_eq!(levels(plan.nodes.len(), &plan.edges), [1, 1, 0, 0, 0, 2]);
    let mut schedule = Schedule::over(nodes.len(), &plan.edges);
    assert_eq!(schedule.startable(), [false, false, true, true, true, false]);
    assert_eq!(schedule.finish(NodeIndex(2)), []);
    assert_eq!(schedule.finish(NodeIndex(3)), [NodeIndex(0), NodeIndex(1)]);
    assert_eq!(schedule.finish(NodeIndex(4)), []);
    assert_eq!(schedule.finish(NodeIndex(0)), []);
    assert_eq!(schedule.fail(NodeIndex(1)), [NodeIndex(5)], "one of a tier is enough to skip all later ones");
}

#[test]
fn tiers_and_components_order_together_or_go_round() {
    let components = || vec![component("a", "n1", &["A[1]"], &[]), component("b", "n2", &[], &["A[1]"])];
    let nodes = || vec![name("n1"), name("n2"), name("n3")];
    let with = |tiers: &[Vec<CertName>]| build(nodes(), Some(&environment(components(), &[])), tiers);
    let plan = with(&[vec![name("n3")], vec![name("n1")]]).unwrap();
    assert_eq!(levels(plan.nodes.len(), &plan.edges), [1, 2, 0]);
    let cycle = with(&[vec![name("n2")], vec![name("n1")]]).unwrap_err();
    assert_eq!(cycle.first(), cycle.last());
}

#[test]
fn large_tiers_stay_linear() {
    let all: Vec<CertName> = (0..100_000).map(|n| name(&format!("n{n:06}"))).collect();
    let tiers: Vec<Vec<CertName>> = all.chunks(20_000).map(<[CertName]>::to_vec).collect();
    let plan = build(all.clone(), None, &tiers).unwrap();
    assert_eq!(plan.edges.len(), 100_000 + 80_000);
    assert_eq!(levels(plan.nodes.len(), &plan.edges).into_iter().max(), Some(4));
}

proptest! {
    #[test]
    fn no_node_of_a_tier_starts_before_all_of_the_earlier_ones(
        placed in proptest::collection::vec(proptest::option::of(0_usize..4), 1..12),
        turns in proptest::collection::vec(any::<proptest::sample::Index>(), 12),
    ) {
        let nodes: Vec<CertName> = (0..placed.len()).map(|n| name(&format!("n{n:02}"))).collect();
        let tiers: Vec<Vec<CertName>> = (0..4)
            .map(|tier| nodes.iter().zip(&placed).filter(|(_, of)| **of == Some(tier)).map(|(node, _)| node.clone()).collect())
            .collect();
        let plan = build(nodes, None, &tiers).unwrap();
        let mut schedule = Schedule::over(plan.nodes.len(), &plan.edges);
        let mut ready: Vec<usize> = (0..placed.len()).filter(|node| schedule.startable()[*node]).collect();
        let mut done = BTreeSet::new();
        for turn in turns {
            if ready.is_empty() { break }
            let node = ready.remove(turn.index(ready.len()));
            let earlier = |other: &usize| placed[*other].is_some() && placed[*other] < placed[node];
            prop_assert!((0..placed.len()).filter(earlier).all(|other| done.contains(&other)));
            done.insert(node);
            ready.extend(schedule.finish(NodeIndex(u32::try_from(node).unwrap())).into_iter().map(|freed| freed.0 as usize));
        }
        prop_assert_eq!(done.len(), placed.len(), "everybody gets a turn");
    }
}
