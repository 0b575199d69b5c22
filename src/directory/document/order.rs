//! The order of an instance's components: producers first, otherwise as written.

use std::collections::{BTreeMap, BTreeSet};

use bunraku_actors::ports::Component;

/// Sorts components topologically. Among those that could come next, the one written first does; components on a cycle,
/// and all behind it, keep the order in which they are written.
pub(super) fn producers_first(components: Vec<Component>) -> Vec<Component> {
    let dependencies = dependencies(&components);
    let mut dependents = vec![Vec::new(); components.len()];
    let mut open: Vec<usize> = dependencies.iter().map(BTreeSet::len).collect();
    for (consumer, producers) in dependencies.iter().enumerate() {
        for &producer in producers {
            dependents[producer].push(consumer);
        }
    }
    let mut ready: BTreeSet<usize> = (0..components.len()).filter(|&index| open[index] == 0).collect();
    let mut order = Vec::with_capacity(components.len());
    let mut slots: Vec<Option<Component>> = components.into_iter().map(Some).collect();
    while let Some(index) = ready.pop_first() {
        order.extend(slots[index].take());
        for &consumer in &dependents[index] {
            open[consumer] -= 1;
            if open[consumer] == 0 {
                ready.insert(consumer);
            }
        }
    }
    order.extend(slots.into_iter().flatten());
    order
}

/// For every component the places of those which produce what it consumes, itself left out.
fn dependencies(components: &[Component]) -> Vec<BTreeSet<usize>> {
    let mut producers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, component) in components.iter().enumerate() {
        for capability in &component.produces {
            producers.entry(capability).or_default().push(index);
        }
    }
    let of = |(index, component): (usize, &Component)| {
        let wanted = component.consumes.iter().filter_map(|capability| producers.get(capability.as_str()));
        wanted.flatten().copied().filter(|&producer| producer != index).collect()
    };
    components.iter().enumerate().map(of).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn component(title: usize, produces: &[usize], consumes: &[usize]) -> Component {
        let names = |numbers: &[usize]| numbers.iter().map(|number| format!("Cap[{number}]")).collect();
        Component {
            kind: "Part".to_owned(),
            title: title.to_string(),
            node: None,
            produces: names(produces),
            consumes: names(consumes),
        }
    }

    fn titles(components: &[Component]) -> Vec<usize> {
        components.iter().map(|component| component.title.parse().unwrap()).collect()
    }

    #[test]
    fn producers_come_before_consumers_and_the_rest_stays() {
        let written =
            vec![component(0, &[], &[2]), component(1, &[], &[]), component(2, &[2], &[3]), component(3, &[3], &[])];
        assert_eq!(titles(&producers_first(written)), [1, 3, 2, 0]);
    }

    #[test]
    fn a_cycle_keeps_its_written_order_behind_what_is_free() {
        let written = vec![component(0, &[0], &[1]), component(1, &[1], &[0]), component(2, &[2], &[2])];
        assert_eq!(titles(&producers_first(written)), [2, 0, 1]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_acyclic_input_is_ordered(
            edges in proptest::collection::vec((0_usize..12, 0_usize..12), 0..30),
            ranks in Just((0_usize..12).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            // An edge goes from the lower rank to the higher one, so that there is no cycle, whatever the written order.
            let acyclic: BTreeSet<(usize, usize)> = edges.into_iter().filter(|(a, b)| ranks[*a] < ranks[*b]).collect();
            let written: Vec<Component> = (0..12)
                .map(|index| {
                    let consumes: Vec<usize> =
                        acyclic.iter().filter(|(_, to)| *to == index).map(|(from, _)| *from).collect();
                    component(index, &[index], &consumes)
                })
                .collect();
            let order = titles(&producers_first(written));
            let place = |title: usize| order.iter().position(|&t| t == title);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..12).collect::<Vec<_>>());
            for (from, to) in acyclic {
                prop_assert!(place(from) < place(to), "{} before {} in {:?}", from, to, order);
            }
        }
    }
}
