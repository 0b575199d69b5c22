//! From targets to an order, and through it.

use bunraku_actors::model::{CertName, NodeIndex};
use bunraku_actors::plan::{Schedule, build};
use bunraku_actors::ports::Environment;
use bunraku_actors::testing::{Build, component, instance};
use divan::{Bencher, black_box};

fn nodes(count: u32) -> Vec<CertName> {
    (0..count).map(|number| CertName::parse(&format!("n{number:06}.example.com")).expect("it is a name")).collect()
}

/// Each node of the second half consumes what all of the first half produce.
fn two_tiers(nodes: &[CertName]) -> Environment {
    let half = nodes.len() / 2;
    let part = |(place, node): (usize, &CertName)| {
        let (produces, consumes): (&[&str], &[&str]) =
            if place < half { (&["Db[all]"], &[]) } else { (&[], &["Db[all]"]) };
        component(&format!("c{place}"), node.as_str(), produces, consumes)
    };
    let components = nodes.iter().enumerate().map(part).collect();
    Build::environment(vec![instance("shop", components)], nodes.to_vec())
}

#[divan::bench(args = [100, 10_000])]
fn a_plan_without_order(bencher: Bencher<'_, '_>, count: u32) {
    bencher
        .with_inputs(|| nodes(count))
        .bench_values(|nodes| build(black_box(nodes), None, &[]).expect("there is no cycle"));
}

#[divan::bench(args = [100, 10_000])]
fn a_plan_of_two_tiers(bencher: Bencher<'_, '_>, count: u32) {
    let names = nodes(count);
    let environment = two_tiers(&names);
    let inputs = || names.clone();
    bencher
        .with_inputs(inputs)
        .bench_values(|nodes| build(black_box(nodes), Some(&environment), &[]).expect("there is no cycle"));
}

#[divan::bench(args = [100, 10_000])]
fn through_two_tiers(bencher: Bencher<'_, '_>, count: u32) {
    let names = nodes(count);
    let plan = build(names.clone(), Some(&two_tiers(&names)), &[]).expect("there is no cycle");
    bencher
        .with_inputs(|| Schedule::over(plan.nodes.len(), &plan.edges))
        .bench_values(|mut schedule| (0..count).map(NodeIndex).map(|node| schedule.finish(node).len()).sum::<usize>());
}
