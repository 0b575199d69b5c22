//! All that a test leaves to chance, from one seed: the same seed makes the same plan and the same faults.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A source of chance.
#[derive(Debug)]
pub struct Chance(StdRng);

impl Chance {
    /// A source whose draws all follow from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// A source for one part of the test, whose draws do not shift those of the others.
    #[must_use]
    pub fn branch(&mut self) -> Self {
        Self::new(self.0.random())
    }

    /// A number of `low..=high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0.random_range(low..=high)
    }

    /// A time between two numbers of milliseconds.
    pub fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_micros(self.between(low * 1_000, high * 1_000))
    }

    /// True in `percent` of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.between(0, 99) < percent
    }

    /// One of them.
    ///
    /// # Panics
    /// When there is none.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        let last = all.len().checked_sub(1).expect("there is something to pick from");
        all[self.0.random_range(0..=last)]
    }

    /// 128 random bits.
    pub fn bits(&mut self) -> u128 {
        self.0.random()
    }

    /// So many of them, in their order.
    pub fn some<T: Clone>(&mut self, all: &[T], count: usize) -> Vec<T> {
        let mut left = count.min(all.len());
        let mut chosen = Vec::with_capacity(left);
        for (place, one) in all.iter().enumerate() {
            let open = (all.len() - place) as u64;
            if self.between(1, open) <= left as u64 {
                chosen.push(one.clone());
                left -= 1;
            }
        }
        chosen
    }
}
