//! Integration tests of `store`: through its ports only, on real files.

#![expect(clippy::unwrap_used, reason = "a helper that cannot do its work fails the test")]

mod backup;
mod builders;
mod deep;
mod durable;
mod fixtures;
mod heavy;
mod large;
mod life;
mod lists;
mod model;
mod random;
mod refusals;
mod restored;
mod retention;
mod tokens;
mod trouble;
