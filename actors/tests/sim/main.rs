//! A seeded simulation of the engine: scripted agents, a store in memory, a paused clock, one thread, all chance from the
//! seed. Messages are lost, doubled and delayed, sessions and agents come and go, the store is slow or refuses, the service
//! crashes at any call to its ports and comes back, clients stop, drain, back up, restore; the promises are checked at
//! every step of it.
//!
//! `cargo test --test sim` does ten thousand seeds. `make simulate SEEDS=300000` does so many, `SEEDS=17..18` does one; a
//! seed that breaks a promise is played again with every step written down.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agent;
mod book;
mod campaign;
mod fleet;
mod ground;
mod plan;
mod store;
mod story;
mod tally;
mod transport;
mod verdict;
mod world;

use campaign::{Seeds, run};

/// Seeds of a plain `cargo test`.
const FEW: u64 = 10_000;

#[test]
fn promises_1_to_6_hold_whatever_happens_in_whatever_order() {
    let seeds = Seeds::from_env(FEW);
    let (tally, broken) = run(seeds);
    assert!(broken.is_empty(), "{} seeds broke a promise, the first of them {}", broken.len(), broken[0]);
    // What never happened was not tested.
    assert_eq!(tally.never_seen(), Vec::<String>::new(), "{tally:#?}");
}

#[test]
fn a_seed_always_tells_the_same_story() {
    for seed in [3, 1_414, 271_828] {
        let (first, second) = (story::play(seed, true), story::play(seed, true));
        assert!(first.steps.len() > 50, "seed {seed} tells something");
        let differs = first.steps.iter().zip(&second.steps).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.steps.len(), second.steps.len(), "seed {seed}");
    }
}
